# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.ssh_key import wrong_key_file
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def openssh(cipher: bytes) -> bytes:
    """Return the start of a private key file of OpenSSH with this cipher."""
    body = base64.encodebytes(b"openssh-key-v1\0" + len(cipher).to_bytes(4, "big") + cipher + b"\0" * 40)
    return b"-----BEGIN OPENSSH PRIVATE KEY-----\n" + body + b"-----END OPENSSH PRIVATE KEY-----\n"


PLAIN = openssh(b"none")


def key(folder: Path, content: bytes, mode: int = 0o600, name: str = "id") -> Path:
    path = folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_plain_private_key_of_mode_0600_is_fine(tmp_path: Path) -> None:
    assert wrong_key_file(key(tmp_path, PLAIN), agent=False) == ""
    assert wrong_key_file(key(tmp_path, b"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", 0o400, "rsa"), agent=False) == ""


@pytest.mark.parametrize(
    ("content", "mode", "parts"),
    [
        pytest.param(PLAIN, 0o644, ["mode 0644", "chmod 600"], id="B64-mode"),
        pytest.param(PLAIN, 0o640, ["mode 0640"], id="B64-group"),
        pytest.param(b"ssh-ed25519 AAAAC3 me@here\n", 0o600, ["is a public key"], id="B64-public"),
        pytest.param(b"-----BEGIN PUBLIC KEY-----\n", 0o600, ["is a public key"], id="B64-public-pem"),
        pytest.param(openssh(b"aes256-ctr"), 0o600, ["is encrypted", "ssh-add"], id="B64-encrypted"),
        pytest.param(
            b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n",
            0o600,
            ["is encrypted"],
            id="B64-encrypted-pem",
        ),
        pytest.param(b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n", 0o600, ["is encrypted"], id="B64-encrypted-pkcs8"),
        pytest.param(b"PuTTY-User-Key-File-3: ssh-ed25519\n", 0o600, ["puttygen"], id="B64-putty"),
        pytest.param(b"hello", 0o600, ["is not a private key"], id="B64-other-text"),
        pytest.param(b"", 0o600, ["is not a private key"], id="B64-empty"),
    ],
)
def test_unusable_keys_are_named_with_what_to_do(content: bytes, mode: int, parts: list[str], tmp_path: Path) -> None:
    wrong = wrong_key_file(key(tmp_path, content, mode), agent=False)
    for part in parts:
        assert part in wrong


def test_B64_a_missing_key_and_a_folder_are_named_with_their_path(tmp_path: Path) -> None:
    assert f"key file {tmp_path / 'none'} does not exist" in wrong_key_file(tmp_path / "none", agent=False)
    assert "not a regular file" in wrong_key_file(tmp_path, agent=False)


def test_B64_the_private_key_beside_a_public_one_is_suggested(tmp_path: Path) -> None:
    assert str(tmp_path / "id") in wrong_key_file(key(tmp_path, b"ssh-rsa AAAA", name="id.pub"), agent=False)


def test_an_encrypted_key_is_fine_where_an_agent_holds_it(tmp_path: Path) -> None:
    assert wrong_key_file(key(tmp_path, openssh(b"aes256-ctr")), agent=True) == ""


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200).map(lambda raw: b"-----BEGIN OPENSSH PRIVATE KEY-----" + raw + b"-----END"))
def test_any_content_gets_an_answer(content: bytes, tmp_path: Path) -> None:
    assert isinstance(wrong_key_file(key(tmp_path, content), agent=False), str)
