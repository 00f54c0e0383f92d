# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import nodes_file
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.nodes_file import Node, Policy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SEED = """\
nodes:
  node1:
    host: "10.112.0.201"
    username: "root"
    password: "${NODE1_PASSWORD}"
    enabled: true
    docker_compose_path: "/opt/inference"
    results_path: "/opt/benchmark/results"
  node2:
    host: "[2001:db8::2]"
    port: 2222
    address: 192.0.2.2
    enabled: false
    extra: {rack: 3}
"""
PRIVATE = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n"


def write(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "nodes.yml"
    path.write_text(text)
    path.chmod(mode)
    return path


def refusal(folder: Path, text: str, environ: dict[str, str] | None = None, policy: Policy | None = None) -> str:
    """Return all that is said about a file that is refused."""
    with pytest.raises(InputError) as caught:
        nodes_file.load(write(folder, text), environ or {}, policy or Policy())
    return str(caught.value)


def test_the_form_of_the_seed_is_read_in_its_order(tmp_path: Path) -> None:
    nodes = nodes_file.load(write(tmp_path, SEED), {"NODE1_PASSWORD": "hunter2"})
    assert nodes == (
        Node(
            "node1",
            "10.112.0.201",
            22,
            "root",
            "hunter2",
            None,
            True,
            "/opt/inference",
            "/opt/benchmark/results",
            "10.112.0.201",
            {},
        ),
        Node("node2", "2001:db8::2", 2222, enabled=False, address="192.0.2.2", extra={"rack": 3}),
    )
    assert "hunter2" not in repr(nodes)


ONE = "nodes:\n  n1: {{host: 10.0.0.1, {}}}\n"
BAD = [
    pytest.param("", ["the file is empty; required keys: nodes"], id="B01-empty"),
    pytest.param("- a\n", ["must be a mapping, the top level"], id="B02-list"),
    pytest.param("nodes: {}\n", ["nodes.yml:1:8: nodes: no node is defined"], id="no-node"),
    pytest.param("nodes:\n  n1:\n", ["nodes.n1: must be a mapping; got null"], id="empty-node"),
    pytest.param("nodes:\n  n1: {host: a}\n  n1: {host: b}\n", ["nodes.n1: duplicate key 'n1'; first at line 2, again at line 3"], id="B05-twice"),
    pytest.param("nodes:\n  n1: {port: 22}\n", ["nodes.yml:2:3: nodes.n1: required key 'host' is missing"], id="B58-no-host"),
    pytest.param("nodes:\n  n1: {host: ''}\n", ["nodes.n1.host: must not be empty"], id="B58-empty-host"),
    pytest.param(ONE.format("port: 0"), ["n1.port: is out of range; got integer 0; allowed: 1..65535"], id="B58-port-0"),
    pytest.param(ONE.format("port: 70000"), ["got integer 70000; allowed: 1..65535"], id="B58-port-70000"),
    pytest.param(ONE.format('port: "22"'), ["must be an integer without quotes; got string '22'", "did you mean 22?"], id="B58-port-quoted"),
    pytest.param(ONE.format("username: root"), ["nodes.yml:2:34: nodes.n1.username: logging in as root is switched off by policy"], id="B58-root"),
    pytest.param("nodes:\n  a: {host: Node1, port: 22}\n  b: {host: node1}\n", ["nodes.yml:3:13: nodes.b.host: the same host and port as node 'a' of line 2"], id="B58-twins"),
    pytest.param("nodes:\n  a: {host: a b}\n", ["space or a control character"], id="B59-space"),
    pytest.param("nodes:\n  a: {host: -oProxyCommand=id}\n", ["ssh would take it as an option"], id="B59-option"),
    pytest.param('nodes:\n  a: {host: "fe80::1"}\n', ["[fe80::1]"], id="B59-ipv6"),
    pytest.param("nodes:\n  a: {host: n\u043ede}\n", ["U+043E CYRILLIC SMALL LETTER O"], id="B59-look-alike"),
    pytest.param(ONE.format("username: -l"), ["n1.username: not a valid user name; got string '-l'"], id="B59-user"),
    pytest.param(ONE.format("address: -x"), ["n1.address:", "ssh would take it"], id="B59-address"),
    pytest.param("nodes:\n  -x: {host: a}\n", ["not a valid node name"], id="B59-node-name"),
    pytest.param("nodes:\n  local: {host: a}\n", ["has a meaning of its own"], id="reserved-name"),
    pytest.param(ONE.format('extra: {ansible_ssh_common_args: "-o X=y"}'), ["extra.ansible_ssh_common_args: not allowed"], id="B59-extra"),
    pytest.param(ONE.format('password: "${NODE1_PASSWORD}"'), ["nodes.yml:2:34: nodes.n1.password: environment variable NODE1_PASSWORD is not set"], id="B37-unset"),
    pytest.param(ONE.format('password: "${EMPTY}"'), ["environment variable EMPTY is empty"], id="B37-empty"),
    pytest.param(ONE.format('password: "${NODE1"'), ["variable that is not of the form ${NAME}"], id="B37-form"),
    pytest.param(ONE.format("usrname: x"), ["unknown key", "did you mean username?"], id="B16-near"),
    pytest.param("host: 10.0.0.1\n", ["host: key is at the wrong level", "nodes.NAME.host"], id="B17-level"),
    pytest.param(ONE.format("enabled: yes"), ["enabled: must be true or false", "did you mean true?"], id="B14-yes"),
    pytest.param(ONE.format("key_file: none"), ["n1.key_file: key file", "none does not exist"], id="B64-missing"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "parts"), BAD)
def test_every_problem_is_named(text: str, parts: list[str], tmp_path: Path) -> None:
    found = refusal(tmp_path, text, {"EMPTY": ""}, Policy(root_login=False))
    for part in parts:
        assert part in found


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    text = 'nodes:\n  a: {host: -x, port: 0, password: "${P}", foo: 1}\n  b: {enabled: yes}\n'
    assert len(refusal(tmp_path, text).splitlines()) == 6


def test_B37_a_value_from_the_environment_is_never_shown(tmp_path: Path) -> None:
    found = refusal(
        tmp_path,
        'nodes:\n  a: {host: "${HOST}", username: "${WHO}"}\n',
        {"HOST": "-oSecret4711", "WHO": "who ami 4711"},
    )
    assert "4711" not in found
    assert "got string '${HOST}'" in found


def test_B37_variables_of_nodes_that_are_off_may_be_missing(tmp_path: Path) -> None:
    text = 'nodes:\n  a: {host: 10.0.0.1, enabled: false, password: "${NOPE}"}\n'
    assert nodes_file.load(write(tmp_path, text), {})[0].password is None


def test_B38_a_plain_secret_is_warned_about_and_never_shown(tmp_path: Path) -> None:
    found = nodes_file.read(write(tmp_path, ONE.format("password: hunter2, extra: {api_token: abc4711}"), 0o644), {})
    said = "\n".join(problem.render() for problem in found.warnings)
    assert "nodes.n1.password: secret written in plain text" in said
    assert '"${N1_PASSWORD}"' in said
    assert "mode 0644" in said
    assert "nodes.n1.extra.api_token: secret written in plain text" in said
    assert "hunter2" not in said
    assert "4711" not in said
    assert found.nodes[0].password == "hunter2"


@pytest.mark.parametrize(
    ("mode", "content", "part"),
    [
        pytest.param(0o644, PRIVATE, "mode 0644", id="B64-mode"),
        pytest.param(0o600, "ssh-ed25519 AAAA", "is a public key", id="B64-public"),
        pytest.param(0o600, "-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "is encrypted", id="B64-encrypted"),
    ],
)
def test_key_files_are_checked_with_their_node(mode: int, content: str, part: str, tmp_path: Path) -> None:
    (tmp_path / "id").write_text(content)
    (tmp_path / "id").chmod(mode)
    found = refusal(tmp_path, ONE.format("key_file: ~/id"), {"HOME": str(tmp_path)})
    assert "nodes.n1.key_file" in found
    assert part in found


def test_key_files_are_found_from_home_and_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "id").write_text(PRIVATE)
    (tmp_path / "id").chmod(0o600)
    for written in ("~/id", "id", str(tmp_path / "id")):
        node = nodes_file.load(write(tmp_path, ONE.format(f"key_file: {written}")), {"HOME": str(tmp_path)})[0]
        assert node.key_file == tmp_path / "id"


def test_B65_unknown_host_keys_are_named_when_hosts_are_checked(tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    text = "nodes:\n  a: {host: 10.0.0.1}\n  b: {host: 10.0.0.2, enabled: false}\n"
    found = refusal(tmp_path, text, policy=Policy(known_hosts=known))
    assert "nodes.a.host: known_hosts file" in found
    assert "ssh-keyscan -p 22 -t ed25519 10.0.0.1" in found
    assert "nodes.b" not in found
    known.write_text("10.0.0.1 ssh-ed25519 AAAA\n")
    assert len(nodes_file.load(write(tmp_path, text), {}, Policy(known_hosts=known))) == 2


def test_B68_a_file_that_everybody_may_write_is_refused_with_mode_and_owner(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        nodes_file.load(write(tmp_path, SEED, 0o666), {})
    assert "mode 0666" in str(caught.value)
    assert f"uid {os.geteuid()}" in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
def test_B68_a_file_of_another_owner_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, SEED)
    os.chown(path, 12345, -1)
    with pytest.raises(InputError, match="owner uid 12345"):
        nodes_file.load(path, {})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.text('nodes:\n  a{}host1.-"${}[]', max_size=80).map(str.encode))
def test_random_bytes_never_raise_anything_but_input_errors(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "nodes.yml"
    path.write_bytes(content)
    try:
        nodes_file.load(path, {})
    except InputError as exc:
        assert exc.problems
