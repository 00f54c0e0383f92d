# SPDX-License-Identifier: MIT
"""A controller that was frozen for longer than its lease finds the node taken, and does nothing there any more."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from cellruns import ROOT, newest, running_site, started_in
from deployments import wait_until

pytestmark = pytest.mark.docker

LOCAL = ROOT / "inventories" / "local"
LEASE = Path(f"/var/tmp/testcell-{os.getuid()}/lease.json")
WORK = 'exec "$TESTCELL_LOAD" --config "$SCENARIO_PATH/test_config.json" --out "$SCENARIO_RESULT_PATH"\n'


def send(folder, number):
    """Send a signal to all processes of the run that was started in a folder, and return them."""
    found = started_in(folder)
    for pid in found:
        os.kill(pid, number)
    return found


@contextmanager
def frozen(folder):
    """Stop all processes of a run while none of them changes the lease; give what lets them go on, as the end does."""
    try:
        for _ in range(50):
            for pid in send(folder, signal.SIGSTOP):
                wait_until(lambda pid=pid: state_of(pid) in "TZ", f"process {pid} to stop")
            if lease_is_free():
                break
            send(folder, signal.SIGCONT)
        else:
            raise AssertionError("the run was changing the lease each time it was stopped")
        yield lambda: send(folder, signal.SIGCONT)
    finally:
        send(folder, signal.SIGCONT)


def lease_is_free():
    with LEASE.with_name("lease.lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def state_of(pid):
    """Return the letter of a process's state; of one that is gone that of a dead one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def expire():
    """Let the node's lease be over, as if its time had passed; the test's supervisor reads it meanwhile."""
    over = LEASE.with_name("lease-over.json")
    over.write_text(json.dumps({**json.loads(LEASE.read_text()), "expires_boottime": 1.0}))
    over.replace(LEASE)


def waiting(tmp_path, name):
    """Return a test script that notes that it runs, and waits until it may go on."""
    return f'touch "{tmp_path}/{name}"\nwhile [ ! -e "{tmp_path}/{name}-on" ]; do sleep 0.1; done\n{WORK}'


def containers(scenario):
    words = ["docker", "ps", "-q", "--filter", f"label=testcell.scenario={scenario}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()


def summary(results):
    return json.loads((newest(results) / "summary.json").read_text())


@pytest.mark.tries(3)
def test_f10_a_frozen_controller_touches_nothing_of_the_run_that_has_its_node_now(project, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    project("first", script=waiting(tmp_path, "first"))
    folder = project("second", script=waiting(tmp_path, "second"))
    given = {"testcell_project_dir": folder}
    with running_site(LOCAL, tmp_path / "a" / "results", scenario="first", **given) as first:
        wait_until((tmp_path / "first").exists, "the test of the first run")
        with frozen(tmp_path / "a") as thaw:
            expire()
            with running_site(LOCAL, tmp_path / "b" / "results", scenario="second", **given) as second:
                wait_until((tmp_path / "second").exists, "the test of the second run")
                before = containers("second")
                thaw()
                assert first.wait(timeout=60) != 0
                after = containers("second")
                (tmp_path / "second-on").touch()
                assert second.wait(timeout=60) == 0
    assert before and before == after
    lost, kept = summary(tmp_path / "a" / "results"), summary(tmp_path / "b" / "results")
    assert (lost["verdict"], lost["exit_code"]) == ("error", 5)
    failure = lost["cases"][0]["failure"]
    assert failure["error_kind"] == "controller_died"
    assert f"node is leased to run '{newest(tmp_path / 'b' / 'results').name}'" in failure["message"]
    assert (kept["verdict"], kept["cases"][0]["verdict"]) == ("pass", "pass")
    entries = [
        json.loads(line) for line in (newest(tmp_path / "a" / "results") / "journal.jsonl").read_text().splitlines()
    ]
    refused = [entry["step"] for entry in entries if entry["phase"] == "end" and not entry["ok"]]
    assert refused == ["test"], "after the refusal it asks the node for nothing"
