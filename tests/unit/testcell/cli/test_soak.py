# SPDX-License-Identifier: MIT

"""`soak` from its words to its exit code, with Ansible replaced by what it would leave behind."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import opening, owner, plan
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import case_board

from testcell import runner
from testcell.cli import attaching

Cli = Callable[..., Any]
RUN = "20260101_000000"
PASSED = {"run_id": RUN, "verdict": "pass", "exit_code": 0, "counts": {"pass": 1}, "cases": [], "seconds": 1.0}
CHAOS = (
    "allow_total: true\nevents:\n  - {kind: pause, at_s: 1, duration_s: 1, recovery_s: 1, target: {service: engine}}\n"
)


class Ansible:
    """Stands in for runner.run: leaves a summary in the folder of each run, and remembers the jobs."""

    def __init__(self) -> None:
        self.jobs: list[runner.Job] = []

    def __call__(self, job: runner.Job, _listener: object = None) -> runner.Outcome:
        self.jobs.append(job)
        if job.playbook != "site.yml":
            return runner.Outcome(0, "", 0, 0, 1.0, (), {}, ("said",), None)
        run_id = job.extravars.get("testcell_run_id") or job.extravars["testcell_resume"]
        folder = Path(job.extravars["results_dir"]) / run_id
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "summary.json").write_text(json.dumps({**PASSED, "run_id": run_id}))
        return runner.Outcome(0, "", 0, 0, 1.0, (), {}, ("said",), None)


@pytest.fixture
def ansible(project: Path, monkeypatch: pytest.MonkeyPatch) -> Ansible:
    """Return the stand-in for Ansible, in a project whose scenario may be soaked with faults."""
    stand_in = Ansible()
    monkeypatch.setattr(runner, "run", stand_in)
    return stand_in


@pytest.fixture
def controller() -> Iterator[subprocess.Popen[bytes]]:
    """Return a living process that stands for the controller of a run."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait(timeout=10)


def begun(project: Path, who: str, *, ended: bool = False) -> Path:
    """Return the folder of a soak that `who` has begun: its plan, its one case open; ended: with its summary."""
    asked = opening.Asked("example", {}, soak_profile="soak_smoke", results_dir=str(project / "results"), run_id=RUN)
    decided = replace(opening.open_run(opening.decide(asked, project, 1000.0, who)), owner=who)
    plan.save(decided)
    run_dir = project / "results" / RUN
    case_board(run_dir / ".board" / "0", 0).post("opened", {"t": 1000.0})
    if ended:
        (run_dir / "summary.json").write_text(json.dumps({**PASSED, "verdict": "fail", "exit_code": 4}))
    return run_dir


def test_options_become_the_variables_of_the_playbook(project: Path, ansible: Ansible, cli: Cli) -> None:
    (project / "scenarios" / "001_example" / "faults.yml").write_text(CHAOS)
    words = {
        "duration_secs": "60",
        "topologies": "single,single_chaos",
        "chaos_plan": "faults.yml",
        "max_stall_secs": "7",
        "max_lag_p95": "3.5",
        "max_failure_ratio": "0.25",
        "max_rss_slope": "5MiB",
        "out_dir": str(project / "nights"),
    }
    options = [word for name, value in words.items() for word in (f"--{name.replace('_', '-')}", value)]
    flags = ("--enable-chaos", "--negative-control")
    answer = cli("soak", "example", "--profile", "soak_release", "--wait", "9", *flags, *options)
    assert answer.code == 0, answer.err
    (job,) = ansible.jobs
    said = {**words, "soak_profile": "soak_release", "scenario": "example"}
    said |= {"enable_chaos": "true", "negative_control": "true"}
    assert {**said, "testcell_wait_s": "9", "results_dir": words["out_dir"]}.items() <= job.extravars.items()


def test_what_is_not_asked_for_is_left_to_profile_and_scenario(ansible: Ansible, cli: Cli) -> None:
    assert cli("soak", "example", "--no-chaos").code == 0
    (job,) = ansible.jobs
    names = {"scenario", "soak_profile", "enable_chaos", "results_dir", "testcell_run_id"}
    assert set(job.extravars) == names and job.extravars["soak_profile"] == "soak_smoke"
    assert job.extravars["enable_chaos"] == "false"


def test_a_variable_is_beaten_by_the_option_of_its_name(ansible: Ansible, cli: Cli) -> None:
    assert cli("soak", "example", "-e", "duration_secs=5", "-e", "max_stall_secs=3", "--duration-secs", "50").code == 0
    found = ansible.jobs[0].extravars
    assert (found["duration_secs"], found["max_stall_secs"]) == ("50", "3")


def test_the_folder_that_the_scenario_names_is_watched(project: Path, ansible: Ansible, cli: Cli) -> None:
    metadata = project / "scenarios" / "001_example" / "metadata.yml"
    metadata.write_text(metadata.read_text() + "\nsoak:\n  out_dir: nights\n")
    answer = cli("soak", "example", "--format", "json")
    assert answer.code == 0 and Path(answer.json["path"]).parent == project / "nights"
    assert ansible.jobs[0].extravars["results_dir"] == str(project / "nights")
    answer = cli("soak", "example", "--out-dir", "mine", "--format", "json")
    assert Path(answer.json["path"]).parent == project / "mine"


def test_a_dry_run_shows_each_topology_and_touches_nothing(project: Path, ansible: Ansible, cli: Cli) -> None:
    answer = cli("soak", "example", "--duration-secs", "60", "--dry-run", "--format", "json")
    assert answer.code == 0, answer.err
    assert [case["labels"]["topology"] for case in answer.json["cases"]] == ["single", "distributed"]
    assert ansible.jobs == [] and not (project / "results").exists()


def a_night(folder: Path, run_id: str, scenario: str, *, control: bool = False) -> None:
    """Leave what a soak of two kills leaves of itself: a plan, a summary of the run, and one of the case."""
    ref = {"scenario": scenario, "case": "topology_single", "attempt": 1}
    settings = {"profile": "soak_smoke", "duration_secs": 60, "negative_control": control}
    case = folder / run_id / scenario / "topology_single" / "soak"
    case.mkdir(parents=True)
    told = {"verdict": "pass", "headline": {"faults": 2, "faults_felt": 0 if control else 2, "rto_max_s": 3.5}}
    (case / "summary.json").write_text(json.dumps({**told, "lasted_s": 60.0, "negative_control": control}))
    plan_data = {"cases": [{"ref": ref, "soak": {"topology": "single", "settings": settings}}]}
    (folder / run_id / "plan.json").write_text(json.dumps(plan_data))
    (folder / run_id / "summary.json").write_text(json.dumps({**PASSED, "cases": [{**ref, "verdict": "pass"}]}))


def test_nights_are_shown_side_by_side_and_a_control_is_called_one(project: Path, ansible: Ansible, cli: Cli) -> None:
    folder = project / "soaks"
    a_night(folder, "20260102_010000", "001_example", control=True)
    a_night(folder, "20260101_010000", "001_example")
    a_night(folder, "20260103_010000", "002_other")
    shown = cli("soak", "--nights", "001_example", "--out-dir", str(folder))
    assert shown.code == 0, shown.err
    first, second = [line.split() for line in shown.out.splitlines() if line.startswith("2026")]
    assert (first[0], first[1], first[2]) == ("20260101_010000", "001_example/topology_single", "pass")
    assert "2/2" in first and "(control)" not in first
    assert second[0] == "20260102_010000" and "0/2" in second and "(control)" in second
    answer = cli("soak", "--nights", "--out-dir", str(folder), "--format", "json")
    assert [one["run_id"][:8] for one in answer.json] == ["20260101", "20260102", "20260103"]
    assert [one["negative_control"] for one in answer.json] == [False, True, False]
    assert ansible.jobs == []


def test_no_nights_say_how_to_make_one(project: Path, cli: Cli) -> None:
    shown = cli("soak", "--nights", "--out-dir", str(project / "none"))
    assert shown.code == 0 and "no soak is kept here; testcell soak NAME makes one" in shown.out + shown.err


WRONG = [
    (("example", "--attach", RUN), "a NAME and --attach were both given"),
    (("--attach", RUN, "--dry-run"), "--attach and --dry-run were both given"),
    (("--attach", RUN, "--duration-secs", "9"), "--attach and --duration-secs were both given"),
    (("--attach", RUN, "--no-chaos"), "--attach and --enable-chaos were both given"),
    (("--attach", RUN, "--limit", "local"), "--attach and --limit were both given"),
    (("--attach", RUN, "--negative-control"), "--attach and --negative-control were both given"),
    (("--attach", RUN, "--nights"), "--nights and --attach were both given"),
    (("--nights", "--duration-secs", "9"), "--nights and --duration-secs were both given"),
    (("--nights", "--dry-run"), "--nights and --dry-run were both given"),
    ((), "scenario"),
    (("example", "--profile", "soak_long"), "soak_long"),
    (("example", "--duration-secs", "0"), "duration-secs"),
    (("example", "--max-failure-ratio", "5"), "max-failure-ratio"),
    (("--attach", "20990101_000000"), "there is no plan of a run here"),
]


@pytest.mark.parametrize(("words", "said"), WRONG, ids=[" ".join(words) or "nothing" for words, _ in WRONG])
def test_a_wrong_command_line_is_refused(
    project: Path, ansible: Ansible, cli: Cli, words: tuple[str, ...], said: str
) -> None:
    if RUN in words:
        begun(project, owner.of_process(os.getpid()), ended=True)
    answer = cli("soak", *words)
    assert answer.code == 2 and said in answer.err and ansible.jobs == []


def test_a_soak_that_has_ended_shows_its_verdict(project: Path, ansible: Ansible, cli: Cli) -> None:
    begun(project, owner.of_process(os.getpid()), ended=True)
    answer = cli("soak", "--attach", RUN, "--format", "json")
    assert (answer.code, answer.json["verdict"], answer.json["path"]) == (4, "fail", str(project / "results" / RUN))
    assert "verdict  FAIL" in cli("soak", "--attach", RUN).out and ansible.jobs == []


def test_a_soak_whose_controller_lives_is_followed_to_its_end(
    project: Path,
    ansible: Ansible,
    cli: Cli,
    controller: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_dir = begun(project, owner.of_process(controller.pid))
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        assert len(looks) <= 3, "the summary was there, and it went on looking"
        if len(looks) == 3:
            (run_dir / "summary.json").write_text(json.dumps(PASSED))

    monkeypatch.setattr(attaching, "time", Slept(sleep))
    answer = cli("soak", "--attach", RUN, "--format", "json")
    assert (answer.code, answer.json["verdict"], len(looks)) == (0, "pass", 3), answer.err
    assert f"controls the run {RUN}; following it" in answer.err and ansible.jobs == []


def test_f01_a_soak_whose_controller_dies_meanwhile_goes_on(
    project: Path,
    ansible: Ansible,
    cli: Cli,
    controller: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """F01: the one who follows takes over."""
    begun(project, owner.of_process(controller.pid))

    def sleep(_seconds: float) -> None:
        controller.kill()
        controller.wait(timeout=10)

    monkeypatch.setattr(attaching, "time", Slept(sleep))
    answer = cli("soak", "--attach", RUN, "--wait", "60", "-e", "testcell_node_root=/elsewhere")
    assert answer.code == 0 and "has died; going on with it" in answer.err
    _goes_on(project, ansible)


def test_f01_a_soak_whose_controller_has_died_goes_on(
    project: Path, ansible: Ansible, cli: Cli, controller: subprocess.Popen[bytes]
) -> None:
    """F01: the controller was killed, and nobody has seen it."""
    begun(project, owner.of_process(controller.pid))
    controller.kill()
    controller.wait(timeout=10)
    answer = cli("soak", "--attach", RUN, "--wait", "60", "-e", "testcell_node_root=/elsewhere")
    assert answer.code == 0 and "following it" not in answer.err and "has died; going on with it" in answer.err
    _goes_on(project, ansible)


class Slept:
    """Stands in for the module time: what is slept is told to a function."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self.sleep = sleep


def _goes_on(project: Path, ansible: Ansible) -> None:
    """Hold that a run was resumed as its controller would have done it, after its open case was brought home."""
    collecting, running = ansible.jobs
    assert collecting.playbook.endswith("collect") and running.playbook == "site.yml"
    assert running.extravars == {
        "testcell_resume": RUN,
        "testcell_wait_s": "60",
        "testcell_node_root": "/elsewhere",
        "results_dir": str(project / "results"),
    }
