# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import subprocess
import sys
import zipfile
import zipimport

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.client import Asked, NodeClient, Output
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.reach import connection_kind


def shell(calls):
    """Return an execute that runs the command with the local shell and counts the round trips."""

    def execute(command, stdin):
        calls.append(command)
        done = subprocess.run(["sh", "-c", command], input=stdin, capture_output=True, timeout=60, check=False)
        return Output(done.returncode, done.stdout.decode(), done.stderr.decode())

    return execute


def client(calls, root, name="cellnode"):
    return NodeClient(shell(calls), package.build(name), sys.executable, root=str(root))


def test_the_program_is_brought_once_and_called_in_one_round_trip_after_that(tmp_path):
    calls = []
    node = client(calls, tmp_path / "root")
    first = node.call("lease", action="show")
    assert len(calls) == 3
    assert node.call("lease", action="show") == first
    assert len(calls) == 4
    assert (tmp_path / "root").stat().st_mode & 0o777 == 0o700


def test_an_error_of_the_node_keeps_its_kind(tmp_path):
    with pytest.raises(NodeError) as caught:
        client([], tmp_path / "root").call("no-such-op")
    assert caught.value.kind == "protocol_error"
    assert "no-such-op" in str(caught.value)


def test_noise_around_the_answer_is_passed_over():
    answer = (
        'Welcome!\n@cell {"event": {"n": 1}}\nnoise @cell\n@cell {"result": {"ok": true}}\nShared connection closed.\n'
    )
    events = []
    node = NodeClient(lambda c, s: Output(0, answer, ""), package.build("cellnode"), "python3", on_event=events.append)
    assert node.call("facts") == {"ok": True}
    assert events == [{"n": 1}]


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        (Output(127, "", "sh: 1: /no/python: not found"), "interpreter_missing"),
        (Output(1, "", "OSError: [Errno 28] No space left on device"), "disk_full"),
        (Output(1, "", "OSError: [Errno 30] Read-only file system"), "fs_readonly"),
        (Output(1, "", "something else"), "internal_error"),
        (Output(0, "", ""), "internal_error"),
    ],
    ids=["no python", "F27 disk full", "F26 read-only", "other", "silence"],
)
def test_a_node_without_an_answer_is_named_by_its_cause(output, kind):
    node = NodeClient(lambda c, s: output, package.build("cellnode"), "python3")
    with pytest.raises(NodeError) as caught:
        node.call("facts")
    assert caught.value.kind == kind


def test_a_root_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    with pytest.raises(NodeError) as caught:
        client([], tmp_path / "root").call("lease", action="show")
    assert caught.value.kind == "privilege"
    assert "testcell_node_root" in str(caught.value)


def test_the_same_sources_give_the_same_program():
    one = package.build("cellnode")
    package.build.cache_clear()
    two = package.build("cellnode")
    assert (one.digest, one.content) == (two.digest, two.content)
    assert one.file_name == f"cellnode-{one.digest}.pyz"


def test_the_program_lies_on_the_node_with_what_its_python_compiles_it_to(tmp_path):
    client([], tmp_path / "root").call("lease", action="show")
    (path,) = (tmp_path / "root").glob("cellnode-*.pyz")
    loader = zipimport.zipimporter(f"{path}/cellnode")
    assert loader.get_filename("main").endswith("main.pyc")
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    assert {f"{name}c" for name in names if name.endswith(".py")} <= names


def test_a_program_compiled_by_another_python_still_runs(tmp_path):
    node = client([], tmp_path / "root")
    first = node.call("lease", action="show")
    (path,) = (tmp_path / "root").glob("cellnode-*.pyz")
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, b"\0\0\r\n" + content[4:] if name.endswith(".pyc") else content)
    assert node.call("lease", action="show") == first


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("ssh: connect to host h port 22: Connection refused", "ssh_refused"),
        ("ssh: connect to host h port 22: Connection timed out", "ssh_timeout"),
        ("Connection timed out during banner exchange", "ssh_dropped"),
        ("Connection to 192.0.2.1 port 22 timed out", "ssh_timeout"),
        ("ssh: connect to host h port 22: Network is unreachable", "ssh_timeout"),
        ("ssh: Could not resolve hostname h: Name or service not known", "dns_failure"),
        ("u@h: Permission denied (publickey,password).", "ssh_auth"),
        ("@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\nu@h: Permission denied (publickey).", "ssh_auth"),
        ("WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\nPermission denied (publickey)", "ssh_hostkey"),
        ("No ED25519 host key is known for h and you have requested strict checking.", "ssh_hostkey"),
        ("mux_client_request_session: read from master failed: Broken pipe", "ssh_dropped"),
        ("Timeout, server h not responding.", "ssh_timeout"),
        ("something nobody has seen", "ssh_dropped"),
    ],
)
def test_a_connection_failure_is_named_by_what_ssh_says(message, kind):
    assert connection_kind(message) == kind


def test_the_request_carries_the_run_that_fences_it():
    seen = []
    node = NodeClient(
        lambda c, s: seen.append(json.loads(s)) or Output(0, '@cell {"result": {}}', ""),
        package.build("cellnode"),
        "python3",
        owner="me",
        run={"id": "r", "epoch": 3},
    )
    node.call("stop", timeout_s=1)
    assert seen == [
        {
            "op": "stop",
            "engine": True,
            "root": "",
            "run": {"id": "r", "epoch": 3},
            "owner": "me",
            "check": False,
            "args": {"timeout_s": 1},
        }
    ]


# ---- streams, and several ops at once


class Sink:
    """Takes what comes until it ends with a word."""

    def __init__(self, last):
        self.found, self._last = b"", last
        self._room = memoryview(bytearray(100))

    def space(self):
        return self._room

    def filled(self, count):
        self.found += bytes(self._room[:count])
        return self.found.endswith(self._last)


def streaming(answer, calls=None):
    """Return a client whose streams are what a shell line writes, and which notes other commands."""
    node = NodeClient(shell(calls if calls is not None else []), package.build("cellnode"), sys.executable)
    node.streamed = lambda command: ["/bin/sh", "-c", answer]
    return node


def test_what_is_printed_before_a_stream_is_passed_over():
    sink = Sink(b"end")
    streaming("printf 'Welcome!\\n@ce'; sleep 0.1; printf 'll-other MAG'; sleep 0.1; printf 'IC and the end'").stream(
        "send", {}, b"MAGIC", sink, 60
    )
    assert sink.found == b"MAGIC and the end"


STREAM_ENDS = {
    "cut": ("printf 'MAGIC some'", "ssh_dropped", "the stream ended early"),
    "ssh-timeout": (
        "echo 'ssh: connect to host x port 22: Connection timed out' >&2; exit 255",
        "ssh_timeout",
        "timed out",
    ),
    "ssh-key": ("echo 'Permission denied (publickey).' >&2; exit 255", "ssh_auth", "publickey"),
    "no-python": ("echo 'sh: 1: exec: /no/python: not found' >&2; exit 127", "interpreter_missing", "not found"),
    "F27-disk-full": ("echo 'OSError: [Errno 28] No space left on device' >&2; exit 1", "disk_full", "No space left"),
    "silent": ("printf MAGIC; exec sleep 1000", "transfer_failed", "nothing came from the node for 0.5 s"),
}


@pytest.mark.parametrize(("answer", "kind", "said"), STREAM_ENDS.values(), ids=STREAM_ENDS)
def test_a_stream_that_ends_early_is_named_by_its_cause(answer, kind, said):
    with pytest.raises(NodeError, match=said) as caught:
        streaming(answer).stream("send", {}, b"MAGIC", Sink(b"never"), 0.5 if "sleep 1000" in answer else 60)
    assert caught.value.kind == kind


def test_a_stream_brings_the_program_where_it_is_not_there_yet(tmp_path):
    calls = []
    node = client(calls, tmp_path / "root")
    node.streamed = lambda command: ["/bin/sh", "-c", command]
    sink = Sink(b"}")
    node.stream("send", {"base": str(tmp_path), "patterns": ["x"], "algorithms": {"sha256": 1.0}}, b"TCS1\n", sink, 60)
    assert sink.found.startswith(b"TCS1\nP") and len(calls) == 1


def test_several_ops_as_commands_are_heard_each_by_its_own_and_an_error_harms_no_other(tmp_path):
    node, heard = client([], tmp_path / "root"), []
    send = {"base": str(tmp_path), "patterns": ["x"], "algorithms": {"sha256": 1.0}}
    wrong, right = node.exchange([Asked("no-such-op", {}), Asked("send", send, heard.append, 60)])
    assert wrong["error"]["kind"] == "protocol_error" and right == {"result": {}}
    assert set(heard[0]) == {"stream"}
