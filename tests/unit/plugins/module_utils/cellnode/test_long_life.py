# SPDX-License-Identifier: MIT
"""One process that answers many requests stays as it was: no thread, descriptor, child or setting is left behind."""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import zlib
from pathlib import Path

import pytest
from served import Served

SCRIPT = b"#!/bin/sh\necho hello\n"
FILE = {"path": "run.sh", "size": len(SCRIPT), "mode": 0o755, "sha256": hashlib.sha256(SCRIPT).hexdigest()}


@pytest.fixture
def served(cell, tmp_path):
    """The program on a node without an engine, in the service of one run."""
    common = {"root": str(cell.root), "run": cell.run, "owner": "tester", "engine": False}
    made = Served(cell.program, common, {"DOCKER_HOST": f"unix://{tmp_path}/none.sock"})
    yield made
    made.close()


def work(served, turn):
    """Do one of everything that needs no engine."""
    served.call("facts", deep=True, paths=["/"])
    served.call("lease", action="show")
    served.call("where")
    served.call("upload", dest_rel="scenario", files=[FILE])
    data = base64.b64encode(zlib.compress(SCRIPT)).decode()
    served.call("upload", dest_rel="scenario", files=[FILE], data={"run.sh": data})
    name = f"unit{turn}"
    argv = [f"{served.call('where')['case_dir']}/scenario/run.sh"]
    served.call("supervise", action="start", name=name, argv=argv, timeout_s=60, grace_s=1)
    offset, state = 0, "running"
    while state == "running":
        unit = served.call("follow", name=name, offset=offset, wait_s=10)["unit"]
        offset, state = unit["offset"], unit["state"]
    served.call("supervise", action="poll", name=name, offset=0)
    served.call("supervise", action="start", name=f"kill{turn}", argv=["sleep", "60"], timeout_s=60, grace_s=1)
    served.call("supervise", action="kill", name=f"kill{turn}")
    served.call("follow", wait_s=0.01)
    served.call("send", base_rel="scenario", patterns=["**"], algorithms={"sha256": 1.0})
    served.call("evidence", mode="comprehensive", log_cap_bytes=1 << 20)
    served.call("snapshot")
    served.call("canary", url="http://127.0.0.1:9/v1/completions", body={}, timeout_s=1)
    served.call("workers", url="http://127.0.0.1:9/workers", expected={"decode": 1}, timeout_s=0)
    served.call("stop", timeout_s=1)
    for op in ("nonsense", "start", "deploy", "compose"):
        assert "error" in served.answer(served.send(op, services=["a"], checks=[{"kind": "ping"}]))


def test_no_request_leaves_anything_behind(served):
    work(served, 0)
    before = served.footprint()
    for turn in (1, 2):
        work(served, turn)
    assert served.footprint() == before
    assert before.folder == os.getcwd()
    assert (before.children, before.umask) == ((), "0022")


def test_a_unit_holds_none_of_the_streams_of_the_process_that_started_it(served, cell, eventually):
    served.call("supervise", action="start", name="test", argv=["sleep", "60"], timeout_s=60, grace_s=1)
    status = cell.status()
    theirs = {os.readlink(path) for path in Path(f"/proc/{served.process.pid}/fd").iterdir()} - {"/dev/null"}
    for pid in (status["pid"], status["supervisor_pid"]):
        assert not theirs & {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
    served.process.send_signal(signal.SIGKILL)
    served.process.communicate(timeout=10)  # ends only when nobody holds the other end of the streams
    assert cell.poll()["state"] == "running"
    assert cell.call("supervise", action="kill", name="test")["state"] == "killed"


def test_a_unit_is_started_while_another_thread_waits_for_input_with_its_lock_held(served, cell):
    for turn in range(20):
        answer = served.call("supervise", action="start", name=f"u{turn}", argv=["true"], timeout_s=60, grace_s=1)
        assert answer["started"]
