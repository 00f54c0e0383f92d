# SPDX-License-Identifier: MIT

"""The runner against the real ansible-runner and ansible-playbook, on the controller alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from testcell import runner
from testcell.project import Project

PLAY = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.debug:
        msg: "{{ [given, number, run_id, testcell_project_dir] }}"
    - ansible.builtin.copy:
        content: "{{ lookup('env', 'TESTCELL_SECRET') }}|{{ lookup('env', 'LC_ALL') }}"
        dest: "{{ out }}"
    - ansible.builtin.fail:
        msg: "it did not work"
      when: number == 7
"""
WAITING = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.command:
        argv: [sh, -c, "echo up > {{ fifo }}; exec sleep 60"]
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project with two playbooks of plain Ansible, and temporary files of its own."""
    (tmp_path / "ansible.cfg").write_text("[defaults]\ninventory_unparsed_warning=false\n")
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "waiting.yml").write_text(WAITING)
    (tmp_path / "hosts").write_text(f"localhost ansible_connection=local ansible_python_interpreter={sys.executable}\n")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))  # of the modules, too, which are killed in some tests
    return Project(tmp_path)


def job(project: Project, playbook: str = "play.yml", **changes: object) -> runner.Job:
    variables = {
        "given": "{{ lookup('pipe', 'id') }}",
        "number": 1,
        "run_id": "20260102_030405",
        "out": str(project.root / "out"),
    }
    variables.update(changes)
    return runner.Job(playbook, project, (str(project.root / "hosts"),), variables)


def test_a_job_gives_results_and_leaves_nothing_behind(small: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text in variables is never a template, and a run id stays a text although it looks like a number to YAML."""
    monkeypatch.setenv("TESTCELL_SECRET", "x")
    monkeypatch.setenv("LC_ALL", "C")
    heard: list[str] = []
    done = runner.run(job(small), lambda event: heard.append(str(event.get("event"))))
    assert (done.rc, done.status, done.signal, done.failures) == (0, "successful", 0, ())
    assert done.results["debug"]["msg"] == ["{{ lookup('pipe', 'id') }}", 1, "20260102_030405", str(small.root)]
    assert (small.root / "out").read_text() == "|C.UTF-8"
    assert "playbook_on_stats" in heard
    assert os.environ["TESTCELL_SECRET"] == "x" and not list((small.root / "tmp").iterdir())


def test_events_become_files_only_where_these_are_kept(small: Project) -> None:
    """A test that writes for hours would fill the disk with them, since each line of it is an event."""
    files: list[int] = []
    runner.run(job(small), lambda _event: files.append(len(list(small.root.glob("tmp/**/job_events/*.json")))))
    assert len(files) > 10 and max(files) <= 3, "one that is being read, and those of the moment"


def test_a_failed_task_is_named_with_its_message(small: Project) -> None:
    done = runner.run(job(small, number=7))
    assert done.rc == 2 and [(f.host, f.message) for f in done.failures] == [("localhost", "it did not work")]


def test_a_missing_playbook_is_no_crash(small: Project) -> None:
    done = runner.run(job(small, "none.yml"))
    assert done.rc not in (0, 2) and any("none.yml" in line for line in done.output)


def test_kept_files_hold_no_environment_and_no_variables(small: Project) -> None:
    done = runner.run(
        runner.Job(
            "play.yml", small, (str(small.root / "hosts"),), {"out": "x", "number": 7, "given": "s3cret"}, keep=True
        )
    )
    assert done.kept is not None and list(done.kept.glob("artifacts/*/stdout"))
    assert list(done.kept.glob("artifacts/*/job_events/*.json"))
    assert not list(done.kept.glob("artifacts/*/command")) and not (done.kept / "env" / "extravars").exists()


def test_excluded_nodes_are_turned_off_without_touching_the_inventory(small: Project) -> None:
    assert runner._exclusion(small.root, ()) == []
    (path,) = runner._exclusion(small.root, ("node2",))
    assert Path(path).read_text() == "node2 testcell_enabled=false\n"


STARTER = (
    "import json, sys\nfrom pathlib import Path\nfrom testcell import runner\nfrom testcell.project import Project\n"
    "root = Path(sys.argv[1])\n"
    "job = runner.Job('waiting.yml', Project(root), (str(root / 'hosts'),), {'fifo': str(root / 'fifo')}, grace_s=10.0)\n"
    "done = runner.run(job)\n"
    "print(json.dumps([done.rc, done.signal, done.signals]))\n"
)


def begun(small: Project) -> subprocess.Popen[str]:
    """Return a process that has started a playbook whose task is at work."""
    os.mkfifo(small.root / "fifo")
    paths = os.pathsep.join(path for path in sys.path if path)
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(small.root)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
        text=True,
    )
    assert (small.root / "fifo").read_text() == "up\n"
    return process


def test_a_starter_that_is_killed_takes_ansible_with_it(small: Project) -> None:
    with (small.root / "ansible.cfg").open("a") as stream:
        stream.write("callbacks_enabled=enginelab.testcell.recorder\n")
    with begun(small) as process:
        process.kill()
    deadline = time.monotonic() + 30
    while _sleeping_below(str(small.root)):
        assert time.monotonic() < deadline, _sleeping_below(str(small.root))
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_ansible_and_its_workers(small: Project, number: signal.Signals) -> None:
    with begun(small) as process:
        process.send_signal(number)
        assert process.stdout is not None
        rc, received, count = json.loads(process.stdout.readline())
        assert process.wait(timeout=30) == 0
    assert rc != 0 and received == number and count == 1
    assert not _sleeping_below(str(small.root))


def test_a_job_that_takes_too_long_is_ended_with_all_its_processes(small: Project) -> None:
    os.mkfifo(small.root / "fifo")
    with subprocess.Popen(["cat", str(small.root / "fifo")], stdout=subprocess.PIPE) as reader:
        hosts, variables = (str(small.root / "hosts"),), {"fifo": str(small.root / "fifo")}
        done = runner.run(runner.Job("waiting.yml", small, hosts, variables, timeout_s=4))
        reader.kill()
    assert (done.status, done.signal) == ("timeout", 0) and done.rc != 0
    assert not _sleeping_below(str(small.root))


def _sleeping_below(marker: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if marker in text:
            found.append(text)
    return found
