# SPDX-License-Identifier: MIT
"""Runs on a controller that has too little of something: an honest end with the reason, and a clean node."""

from __future__ import annotations

import json
import os
import re
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from cellruns import ROOT, Ended, ansible_command, environment, newest, run_site, running_site

pytestmark = [pytest.mark.docker, pytest.mark.skipif(os.geteuid() != 0, reason="small file systems are mounted")]

LOCAL = ROOT / "inventories" / "local"
RUNS_HERE = Path(f"/var/tmp/testcell-{os.getuid()}/runs")


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a file system of 12 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], check=False).returncode:
        pytest.skip("mounts are not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def left_of(run):
    """Return what of a run is on this machine: objects of the engine, folders, processes."""
    words = ["docker", "ps", "-aq", "--filter", f"label=testcell.run={run.folder.name}"]
    found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return [*found, *(path.name for path in RUNS_HERE.glob(run.folder.name))]


def check_whole(folder):
    """Assert that no file of a run was cut off or left half done."""
    for path in folder.rglob("*.json"):
        json.loads(path.read_text())
    for path in folder.rglob("*.jsonl"):
        for line in path.read_text().splitlines():
            json.loads(line)
    assert [path.name for path in folder.rglob(".*")] == []


LOAD = 'exec "$TESTCELL_LOAD" --config "$SCENARIO_PATH/test_config.json" --out "$SCENARIO_RESULT_PATH"\n'
DATA = 'mkdir -p "$SCENARIO_RESULT_PATH"; head -c 20000000 /dev/zero > "$SCENARIO_RESULT_PATH/data"\n'
TOO_MUCH = {
    "artifacts": (DATA, "collect", "bytes are needed there"),
    "log": ("head -c 20000000 /dev/zero\nsleep 60\n", "test", "4194304 bytes are needed there"),
}


@pytest.mark.tries(10)
@pytest.mark.parametrize("what", TOO_MUCH)
def test_f28_a_full_results_disk_ends_the_work_and_not_the_cleaning(small_disk, project, what):
    script, step, words = TOO_MUCH[what]
    project(name="one", script=script)
    folder = project(name="two")
    run = run_site(LOCAL, small_disk / "results", testcell_project_dir=folder, scenario="one,two")
    first, second = run.summary["cases"]
    assert first["failure"]["node"] == "local"
    assert (first["verdict"], first["failure"]["error_kind"], first["failure"]["step"]) == ("error", "disk_full", step)
    assert str(small_disk) in first["failure"]["message"] and words in first["failure"]["message"], run.screen
    assert (run.summary["verdict"], run.summary["exit_code"]) == ("error", 5)
    if what == "log":
        assert (second["verdict"], second["failure"]["error_kind"]) == ("error", "disk_full"), second
        log = run.folder / "one" / "test.log"
        assert f"the controller cannot write {log}: No space left on device" in first["failure"]["message"]
        assert log.stat().st_size > (1 << 20) and set(log.read_bytes()) == {0}, "what came before stays"
    assert left_of(run) == []
    check_whole(run.folder)
    assert (run.folder / "report.html").exists()


@pytest.mark.tries(10)
def test_f28_a_run_that_would_not_find_room_is_refused_before_any_node_is_touched(small_disk, project):
    (small_disk / "filler").write_bytes(bytes(10 << 20))
    folder = project()
    run = run_site(LOCAL, small_disk / "results", testcell_project_dir=folder, scenario="probe")
    assert run.rc != 0
    assert "4194304 bytes are needed there" in run.screen
    assert run.folder is None


@pytest.mark.tries(10)
def test_f28_a_full_disk_under_ansible_s_log_ends_the_work_after_the_case(small_disk, results, project, monkeypatch):
    log = small_disk / "ansible.log"
    monkeypatch.setenv("ANSIBLE_LOG_PATH", str(log))
    # The lines are more than what is left of the log's last page.
    lines = "yes $(head -c 200 /dev/zero | tr '\\0' x) | head -n 20"
    project(name="one", script=f"head -c 20000000 /dev/zero > {small_disk}/filler || true\n{lines}\n{LOAD}")
    folder = project(name="two")
    run = run_site(LOCAL, results, testcell_project_dir=folder, scenario="one,two")
    first, second = run.summary["cases"]
    assert first["verdict"] == "pass", run.screen
    assert (second["verdict"], second["failure"]["error_kind"], second["failure"]["step"]) == (
        "error",
        "disk_full",
        "open",
    )
    full = f"the disk of {log} is full: 1048576 bytes are needed there, 0 are free"
    assert second["failure"]["message"] == full
    assert run.summary["exit_code"] == 5
    assert "".join(run.screen.split()).count("".join(f"lines of this log are lost; {full}".split())) == 1, run.screen
    assert "Traceback" not in run.screen
    assert "-- Resolve the scenarios and open the run" in log.read_text()
    assert left_of(run) == []
    check_whole(run.folder)


@pytest.mark.tries(10)
def test_f27_a_full_remote_tmp_is_no_reason_to_call_a_node_unreachable(small_disk, results, project):
    (small_disk / "filler").write_bytes(b"")
    with pytest.raises(OSError, match="No space"):
        (small_disk / "filler").write_bytes(bytes(20 << 20))
    run = run_site(
        LOCAL, results, testcell_project_dir=project(), scenario="probe", ansible_remote_tmp=small_disk / "ansible"
    )
    assert run.case()["verdict"] == "pass", run.screen


def peak_of_controller_mib(process):
    """Return the most memory that one process of the controller had at once, looking until it ends."""
    peak = 0
    while process.poll() is None:
        for pid in [process.pid, *children_of(process.pid)]:
            with suppress(OSError, IndexError):
                peak = max(peak, int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]))
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    return peak // 1024


def children_of(pid):
    with suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


GIBIBYTE = (
    'i=0; while [ $i -lt 64 ]; do i=$((i+1)); yes "line of block $i" | head -c 16777216; done; echo the last line\n'
)


def test_f35_a_gibibyte_of_log_fills_neither_the_memory_nor_the_disk_of_the_controller(results, project):
    folder = project(script=GIBIBYTE)
    with running_site(LOCAL, results, testcell_project_dir=folder, scenario="probe") as process:
        peak = peak_of_controller_mib(process)
    run = newest(results)
    log = (run / "probe" / "test.log").read_bytes()
    assert 20 < peak < 200
    assert log.startswith(b"line of block 1\n") and log.endswith(b"the last line\n")
    (dropped,) = re.findall(rb"\n\[testcell: (\d+) bytes of output dropped here\]\n", log)
    said = len(b"\n[testcell:  bytes of output dropped here]\n") + len(dropped)
    assert len(log) - said + int(dropped) == (1 << 30) + len(b"the last line\n")
    assert len(log) <= (64 << 20) + said
    assert json.loads((run / "summary.json").read_text())["cases"][0]["verdict"] == "no_data"


def limiting(controller, limit):
    """Yield what sets a limit of a new control group and returns the words with which a shell enters it."""
    group = Path(f"/sys/fs/cgroup/{controller}/testcell-scarce-{os.getpid()}")
    if not group.parent.is_dir():
        pytest.skip(f"a control group of v1 limits {controller}")
    group.mkdir()

    def make(most):
        (group / limit).write_text(str(most))
        return f"echo $$ > {group}/cgroup.procs"

    yield make
    subprocess.run(["sh", "-c", f"until rmdir {group}; do sleep 0.1; done"], timeout=60, check=True)


@pytest.fixture
def processes():
    """Return the words of a shell that let it and all that it starts be at most so many processes."""
    yield from limiting("pids", "pids.max")


@pytest.fixture
def memory():
    """Return the words of a shell that let it and all that it starts have at most so many bytes together."""
    yield from limiting("memory", "memory.limit_in_bytes")


def run_after(words, results, folder):
    """Run site.yml from a shell that has said these words, and return (exit status, screen, folder of the run)."""
    command = ansible_command(LOCAL, {"results_dir": results, "testcell_project_dir": folder, "scenario": "probe"})
    done = subprocess.run(
        ["sh", "-c", f'{words}; exec "$@"', "sh", *command],
        cwd=results.parent,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ended(done.returncode, done.stdout + done.stderr, newest(results))


@pytest.mark.tries(10)
def test_f13_64_descriptors_are_enough(results, project):
    run = run_after("ulimit -n 64", results, project())
    assert (run.case()["verdict"], run.rc) == ("pass", 0), run.screen
    assert left_of(run) == []


@pytest.mark.tries(10)
@pytest.mark.parametrize("count", [8, 12])
def test_f13_too_few_processes_are_resource_limit_and_a_clean_node(results, project, processes, count):
    run = run_after(processes(count), results, project())
    assert run.rc != 0
    assert (run.case()["verdict"], run.case()["failure"]["error_kind"]) == ("error", "resource_limit"), run.screen
    assert run.summary["exit_code"] == 5
    assert left_of(run) == []


@pytest.mark.tries(10)
def test_f13_128_mib_of_memory_are_enough(results, project, memory):
    run = run_after(memory(128 << 20), results, project())
    assert (run.case()["verdict"], run.rc) == ("pass", 0), run.screen
    assert left_of(run) == []


@pytest.mark.tries(10)
@pytest.mark.parametrize("mib", [150, 300])
def test_f13_too_little_memory_is_resource_limit_and_a_clean_node(results, project, mib):
    run = run_after(f"ulimit -v {mib << 10}", results, project())
    assert (run.case()["verdict"], run.case()["failure"]["error_kind"]) == ("error", "resource_limit"), run.screen
    assert run.summary["exit_code"] == 5
    assert left_of(run) == []
