# SPDX-License-Identifier: MIT
"""TLS: a certificate that is trusted, one that is not, and a server that speaks none."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fake engine")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(private + signed.public_bytes(pem))
    return file


def engine(cell: Any, wire: Any, certificate: Path) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return cell.Engine(wire.says(wire.streamed(wire.token("a", "stop"), "[DONE]")), context)


def test_a_trusted_certificate_is_accepted(cell: Any, wire: Any, certificate: Path) -> None:
    ran = cell.load(engine(cell, wire, certificate), ca_file=str(certificate), num_prompts=2)
    assert [record["ok"] for record in ran.records] == [True, True]


def test_an_unknown_certificate_is_a_tls_error(cell: Any, wire: Any, certificate: Path) -> None:
    ran = cell.load(engine(cell, wire, certificate))
    assert ran.benchmark["errors"] == {"tls_error": 1}


def test_verification_can_be_switched_off_and_that_is_recorded(cell: Any, wire: Any, certificate: Path) -> None:
    ran = cell.load(engine(cell, wire, certificate), tls_verify=False)
    assert ran.status == 0
    assert ran.benchmark["config"]["tls_verify"] is False


def test_a_ca_file_that_is_none_is_a_bad_configuration(cell: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert cell.run({"base_url": "https://127.0.0.1", "model": "m", "num_prompts": 1, "ca_file": "/nowhere.pem"}) == 2
    assert "ca_file: cannot be used: No such file" in capsys.readouterr().err


def test_a_server_without_tls_is_a_tls_error(cell: Any, wire: Any) -> None:
    with cell.Engine(wire.says(b""), greeting=wire.whole({}, 400)) as plain:
        config = {"base_url": f"https://127.0.0.1:{plain.port}", "model": "m", "num_prompts": 1, "timeout_s": 5}
        assert cell.run(config) == 1
    assert '"tls_error": 1' in (cell.folder / "out" / "benchmark.json").read_text()
