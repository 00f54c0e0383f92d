# SPDX-License-Identifier: MIT
"""One request in, answer lines out; every failure is an answer."""

from __future__ import annotations

import importlib
import io
import json

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import lease, main
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

PACKAGE = main.__package__


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Send raw bytes, or a request with the given fields, and return (exit code, answer lines)."""
    fenced: list[str] = []

    def run(raw: bytes | None = None, **fields):
        request = {
            "op": "where",
            "root": str(tmp_path / "root"),
            "run": {"id": "r1", "scenario": "s"},
            "args": {},
            **fields,
        }
        out = io.BytesIO()
        monkeypatch.setattr(lease, "check_fence", lambda _context: fenced.append(request["op"]))
        code = main.main([], io.BytesIO(json.dumps(request).encode() if raw is None else raw), out)
        lines = out.getvalue().decode().splitlines()
        assert all(line.startswith("@cell ") for line in lines)
        return code, [json.loads(line.removeprefix("@cell ")) for line in lines]

    run.fenced = fenced
    run.root = tmp_path / "root"
    return run


def operation(monkeypatch, work):
    monkeypatch.setattr(main, "find", lambda _op: work)


def test_every_operation_of_the_table_is_there():
    for op, module in main.MODULES.items():
        assert callable(importlib.import_module(f".{module}", PACKAGE).OPS[op])


def test_no_operation_of_a_module_is_missing_from_the_table():
    for module in set(main.MODULES.values()):
        for op in importlib.import_module(f".{module}", PACKAGE).OPS:
            assert main.MODULES[op] == module


def test_the_last_line_is_the_result(ask, monkeypatch):
    def work(context, args):
        context.emit({"what": "half"})
        return {"got": args, "text": "ü\ud800"}

    operation(monkeypatch, work)
    code, lines = ask(args={"a": 1})
    assert code == 0
    assert lines == [{"event": {"what": "half"}}, {"result": {"got": {"a": 1}, "text": "ü\ud800"}}]


def test_an_empty_root_stands_for_the_users_own(ask, monkeypatch):
    seen = []
    operation(monkeypatch, lambda context, _args: seen.append(context.root) or {})
    ask(root="", check=True)
    assert str(seen[0]).startswith("/var/tmp/testcell-")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "expected an object"),
        (b'{"op": 1, "root": "/x"}', "request.op is 1"),
        (b'{"op": "facts"}', "request.root is None"),
        (b'{"op": "facts", "root": "/x", "run": "r"}', "request.run is 'r'"),
        (b'{"op": "facts", "root": "/x", "args": []}', "request.args is []"),
    ],
)
def test_a_request_that_cannot_be_read_is_told(ask, raw, words):
    code, lines = ask(raw)
    assert (code, lines[0]["error"]["kind"]) == (0, "protocol_error")
    assert words in lines[0]["error"]["message"]


def test_an_unknown_operation_lists_the_known_ones(ask):
    error = ask(op="explode")[1][0]["error"]
    assert error["kind"] == "protocol_error"
    assert "known: canary, chaos, clean, compose" in error["message"]


@pytest.mark.parametrize(
    "run", [{"id": "../x"}, {"id": ""}, {"id": "r", "scenario": "a/b"}, {"id": "r", "case": ".."}, {"id": "r\n"}]
)
def test_names_that_could_leave_the_root_are_refused(ask, run):
    assert ask(run=run)[1][0]["error"]["kind"] == "config_invalid"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (CellError("port_conflict", "taken", port=80), "port_conflict"),
        (OSError(28, "No space left on device"), "disk_full"),
        (OSError(30, "Read-only file system"), "fs_readonly"),
        (PermissionError(13, "Permission denied"), "privilege"),
        (ValueError("surprise"), "internal_error"),
    ],
)
def test_every_failure_is_an_answer_with_its_kind(ask, monkeypatch, error, kind):
    def fail(_context, _args):
        raise error

    operation(monkeypatch, fail)
    code, lines = ask()
    assert (code, len(lines), lines[0]["error"]["kind"]) == (0, 1, kind)


def test_operations_are_fenced_but_for_those_that_only_look_and_the_lease_itself(ask, monkeypatch):
    operation(monkeypatch, lambda _context, _args: {})
    for op in main.MODULES:
        ask(op=op)
    assert set(main.MODULES) - set(ask.fenced) == {"facts", "health", "lease"}


def test_a_refused_epoch_does_nothing(ask, monkeypatch):
    done = []
    operation(monkeypatch, lambda _context, _args: done.append(1) or {})

    def refuse(_context):
        raise CellError("lock_held", "another run owns this node")

    out = io.BytesIO()
    monkeypatch.setattr(lease, "check_fence", refuse)
    request = {"op": "clean", "root": str(ask.root), "run": {"id": "r1"}, "args": {}}
    main.main([], io.BytesIO(json.dumps(request).encode()), out)
    assert b'"kind":"lock_held"' in out.getvalue()
    assert done == []


@pytest.mark.parametrize("seen", ["services gone", CellError("container_gone", "no such container")])
def test_f10_what_was_seen_of_a_node_that_another_run_took_meanwhile_is_not_told(tmp_path, monkeypatch, seen):
    def request(op, run, **args):
        out = io.BytesIO()
        asked = {"op": op, "root": str(tmp_path / "root"), "run": run, "owner": f"o-{run['id']}", "args": args}
        main.main([], io.BytesIO(json.dumps(asked).encode()), out)
        return json.loads(out.getvalue().splitlines()[-1].removeprefix(b"@cell "))

    def taken_meanwhile(_context, _args):
        request("lease", mine, action="release")
        assert request("lease", {"id": "r2", "scenario": "s"}, action="acquire")["result"]
        if isinstance(seen, CellError):
            raise seen
        return {"seen": seen}

    mine = {"id": "r1", "scenario": "s"}
    mine["epoch"] = request("lease", mine, action="acquire", ttl_s=60)["result"]["epoch"]
    known = main.find
    monkeypatch.setattr(main, "find", lambda op: taken_meanwhile if op == "follow" else known(op))
    assert request("follow", mine)["error"]["kind"] == "lock_held"


def test_a_check_does_not_make_the_root(ask, monkeypatch):
    operation(monkeypatch, lambda _context, _args: {})
    ask(check=True)
    assert not ask.root.exists()
    ask()
    assert ask.root.stat().st_mode & 0o777 == 0o700


def test_nobody_reading_is_not_a_crash(monkeypatch):
    class Closed(io.BytesIO):
        def write(self, _data):
            raise BrokenPipeError

    monkeypatch.setattr(main.os, "dup2", lambda _old, _new: None)
    monkeypatch.setattr(main.os, "open", lambda _path, _flags: 0)
    assert main.main([], io.BytesIO(b"{}"), Closed()) == 1
