# SPDX-License-Identifier: MIT

"""The shipped script, units and cron lines of nightly soaks: what they call exists, and a night does the right thing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer.main
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import opening, owner, plan

from testcell import project as projects
from testcell.cli.app import app

UNITS = projects.package_root() / "docs" / "guide" / "units"
SCRIPT = UNITS / "nightly"
FILES = sorted(UNITS.iterdir())
SERVICES, TIMERS = sorted(UNITS.glob("*.service")), sorted(UNITS.glob("*.timer"))
JOBS = ("finish", "soak", "maintain")
# Beside the kernel's own name for it, no path is taken for granted.
ABSOLUTE = re.compile(r"""(?<![\w.~$}"%*@-])/(?!bin/sh\n|proc/sys/kernel/random/boot_id)\w[^\s"']*""")
HERE, ELSEWHERE = "{here}", "anna@ctl:77/ffff0000-4026531836/500/0a1b2c3d"
BEFORE = f"anna@{os.uname().nodename}:77/ffff0000-4026531836/500"
RECORDER = '#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done >> "$CALLED"\nexit 4\n'
LONG = "#!/bin/sh\nexec sleep 60\n"


@dataclass(frozen=True)
class Night:
    """A project, and what its nights call."""

    folder: Path

    def run(self, *words: str, program: str = RECORDER, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a job with a program in place of testcell."""
        path = self.folder / "program"
        path.write_text(program)
        path.chmod(0o755)
        said = {"SOAK_PROJECT": str(self.folder), "SOAK_SCENARIO": "example", "SOAK_TESTCELL": "./program", **variables}
        environ = {"PATH": os.environ["PATH"], "CALLED": str(self.folder / "called"), **said}
        command = ["sh", str(SCRIPT), *words]
        return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)

    @property
    def called(self) -> list[str]:
        """Return the words of the one call, none where there was none."""
        path = self.folder / "called"
        return path.read_text().splitlines() if path.exists() else []

    def begun(self, run_id: str, who: str, *, ended: bool) -> None:
        """Let somebody have begun a soak, as its controller writes it."""
        asked = opening.Asked("example", {}, results_dir=str(self.folder / "soaks"), run_id=run_id)
        plan.save(opening.open_run(opening.decide(asked, self.folder, 1000.0, who)))
        if ended:
            (self.folder / "soaks" / run_id / "summary.json").write_text("{}")


@pytest.fixture
def night(project: Path) -> Night:
    """Return the nights of a fresh project."""
    return Night(project)


def parsed(words: list[str]) -> dict[str, object]:
    """Return what the program itself reads from a call; it raises where there is no such command or option."""
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    with command.make_context(words[0], words[1:]) as context:
        return dict(context.params)


def test_a_night_begins_a_soak_that_waits_for_its_nodes(night: Night) -> None:
    answer = night.run("soak", SOAK_INVENTORY="mine.ini", SOAK_WAIT_SECS="9", SOAK_PROFILE="soak_release")
    found = parsed(night.called)
    assert answer.returncode == 4, "the verdict is the unit's"
    assert (found["names"], found["wait"], str(found["out_dir"])) == (["example"], 9, "soaks")
    assert found["profile"] == "soak_release" and [str(one) for one in found["inventory"]] == ["mine.ini"]  # type: ignore[attr-defined]


FINISH = [
    ("nothing was ever run", [], ""),
    ("the newest has ended", [("20260101_000000", HERE, False), ("20260102_000000", HERE, True)], ""),
    ("F01 its controller was killed", [("20260101_000000", HERE, True), ("20260102_000000", HERE, False)], "soak"),
    ("the machine was restarted", [("20260102_000000", f"{BEFORE}/0a1b2c3d", False)], "soak"),
    ("a machine of this name, and no more is known", [("20260102_000000", BEFORE, False)], "cleanup"),
    ("another machine", [("20260102_000000", ELSEWHERE, False)], "cleanup"),
]


@pytest.mark.parametrize(("runs", "command"), [row[1:] for row in FINISH], ids=[row[0] for row in FINISH])
def test_what_was_cut_short_is_finished(night: Night, runs: list[tuple[str, str, bool]], command: str) -> None:
    for run_id, who, ended in runs:
        night.begun(run_id, who.format(here=owner.of_process(os.getpid())), ended=ended)
    if runs:
        (night.folder / "soaks" / "latest").symlink_to(runs[0][0])
    answer = night.run("finish")
    if not command:
        assert (answer.returncode, night.called) == (0, []) and "cut short" in answer.stdout
        return
    found = parsed(night.called)
    assert (night.called[0], answer.returncode) == (command, 4)
    assert found["attach" if command == "soak" else "run_id"] == "20260102_000000"


def test_maintenance_does_one_round(night: Night) -> None:
    night.run("maintain")
    assert night.called[0] == "monitor" and parsed(night.called)["rounds"] == 1


@pytest.mark.parametrize("job", ["soak", "maintain"])
def test_a_job_is_asked_to_end_when_its_time_is_over(night: Night, job: str) -> None:
    assert night.run(job, program=LONG, SOAK_LONGEST_SECS="0.2").returncode == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        ((), {}, "usage: nightly finish|soak|maintain"),
        (("begin",), {}, "got 'begin'"),
        (("soak",), {"SOAK_PROJECT": ""}, "SOAK_PROJECT: must be the folder"),
        (("soak",), {"SOAK_SCENARIO": ""}, "SOAK_SCENARIO: must be a scenario"),
    ],
    ids=["no job", "another job", "no project", "no scenario"],
)
def test_a_wrong_call_is_named(night: Night, words: tuple[str, ...], variables: dict[str, str], said: str) -> None:
    answer = night.run(*words, **variables)
    assert answer.returncode == 2 and said in answer.stderr and night.called == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_path_is_relative_or_a_variable(path: Path) -> None:
    assert ABSOLUTE.findall(path.read_text()) == []


def test_an_absolute_path_would_be_noticed() -> None:
    assert ABSOLUTE.findall("ExecStart=/opt/x/nightly soak") == ["/opt/x/nightly"] and ABSOLUTE.findall("cd /srv")


@pytest.mark.parametrize("path", [*SERVICES, UNITS / "crontab"], ids=lambda path: path.name)
def test_what_is_called_is_the_shipped_script_with_a_job_that_it_has(path: Path) -> None:
    calls = re.findall(r"^(?:ExecStart=.*|[@\d].*)$", path.read_text(), re.MULTILINE)
    assert len(calls) == (3 if path.name == "crontab" else 1)
    for call in calls:
        script, job = re.search(r"SOAK_PROJECT\}?/(\S+?)\"? (\S+)", call).groups()  # type: ignore[union-attr]
        assert projects.package_root() / script == SCRIPT and os.access(SCRIPT, os.X_OK)
        assert job in JOBS or (job == "$job;" and "for job in finish soak;" in call)


def test_the_variables_are_those_of_the_script() -> None:
    known = set(re.findall(r"^(\w+)=", (UNITS / "nightly.env").read_text(), re.MULTILINE))
    used = set(re.findall(r"SOAK_[A-Z_]+", SCRIPT.read_text()))
    assert known == used
    for path in (*SERVICES, UNITS / "crontab"):
        assert set(re.findall(r"SOAK_[A-Z_]+", path.read_text())) <= known | {"SOAK_ENV"}


def test_every_timer_has_its_service_and_every_service_a_bound() -> None:
    assert [path.stem for path in TIMERS] == [path.stem for path in SERVICES]
    for path in SERVICES:
        assert re.search(r"^(RuntimeMaxSec|TimeoutStartSec)=11h$", path.read_text(), re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in (*SERVICES, *TIMERS):
        shutil.copy(path, tmp_path)
        shutil.copy(path, tmp_path / path.name.replace("@", "@mine"))
    environ = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    command = ["systemd-analyze", "verify", *map(str, sorted(tmp_path.glob("*@mine.*")))]
    answer = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert (answer.returncode, answer.stderr) == (0, "")
