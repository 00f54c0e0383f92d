# SPDX-License-Identifier: MIT

"""`run` from its job to its exit code, with Ansible replaced by what it would leave behind."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import opening, plan
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import case_board
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import failure

from testcell import runner

Cli = Callable[..., Any]


class Ansible:
    """Stands in for runner.run: leaves a summary or a plan in the run's folder, and remembers its jobs.

    answers: what the nodes say to a playbook that asks them; none of them answers where it is None.
    """

    def __init__(self) -> None:
        self.jobs: list[runner.Job] = []
        self.answers: Any = [{"name": "local", "ok": True}]
        self.signals_while_collecting = 0
        self.summary: dict[str, Any] | None = None
        self.opens = False
        self.rc, self.signals = 0, 0
        self.failures: tuple[runner.TaskFailure, ...] = ()

    def __call__(self, job: runner.Job, _listener: object = None) -> runner.Outcome:
        self.jobs.append(job)
        if job.playbook == "site.yml":
            self._run(job)
            return self._outcome(self.rc, self.signals, self.failures)
        out = job.extravars.get("cleanup_out")
        if out and self.answers is not None:
            Path(out).write_text(json.dumps(self.answers))
        return self._outcome(0, self.signals_while_collecting if job.playbook.endswith("collect") else 0)

    def named(self, name: str) -> list[runner.Job]:
        """Return the jobs of one playbook of the collection."""
        return [job for job in self.jobs if job.playbook.rpartition(".")[2] == name]

    def _run(self, job: runner.Job) -> None:
        variables = job.extravars
        run_dir = Path(variables["results_dir"]) / variables["testcell_run_id"]
        if self.opens:
            asked = opening.Asked("example", {}, results_dir=str(run_dir.parent), run_id=run_dir.name)
            decided = opening.open_run(opening.decide(asked, job.project.root, 1000.0, "me"))
            plan.save(decided)
            case_board(run_dir / ".board" / "0", 0).post("opened", {"t": 1000.0})
        if self.summary is not None:
            run_dir.mkdir(exist_ok=True)
            (run_dir / "summary.json").write_text(json.dumps({"run_id": run_dir.name, **self.summary}))

    def _outcome(self, rc: int, signals: int, failures: tuple[runner.TaskFailure, ...] = ()) -> runner.Outcome:
        return runner.Outcome(rc, "", signal.SIGINT if signals else 0, signals, 1.0, failures, {}, ("said",), None)


@pytest.fixture
def ansible(project: Path, monkeypatch: pytest.MonkeyPatch) -> Ansible:
    """Return the stand-in for Ansible; ssh would reach the project's nodes as far as anybody checks."""
    stand_in = Ansible()
    nodes = (
        "node1 ansible_host=192.0.2.11\nnode2 ansible_host=192.0.2.12\n[all:vars]\nansible_host_key_checking=false\n"
    )
    (project / "inventories" / "nodes.ini").write_text(nodes, encoding="utf-8")
    monkeypatch.setattr(runner, "run", stand_in)
    return stand_in


def test_a_job_carries_what_was_asked_for(ansible: Ansible, cli: Cli) -> None:
    ansible.summary = {"verdict": "pass", "exit_code": 0}
    options = [
        "--tags",
        "example",
        "--timeout",
        "9",
        "--collection-mode",
        "basic",
        "--stop-on-failure",
        "--limit",
        "node1",
        "-e",
        "testcell_x=y",
    ]
    assert cli("run", "--all", "-i", "inventories/nodes.ini", *options).code == 0
    (job,) = ansible.jobs
    expected = {
        "scenario": "all",
        "scenario_tags": "example",
        "testcell_test_execution_timeout": "9",
        "collection_mode": "basic",
        "continue_on_failure": "false",
        "testcell_x": "y",
    }
    assert expected.items() <= job.extravars.items()
    assert job.excluded == ("node2",) and job.playbook == "site.yml" and "skip_tags_scenarios" not in job.extravars


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        (("example", "--wait"), "3600"),
        (("--wait", "example"), "3600"),
        (("example", "--wait", "90"), "90"),
        (("example", "--wait=0"), "0"),
        (("example",), None),
        (("example", "-e", "testcell_wait_s=7"), "7"),
        (("example", "-e", "testcell_wait_s=7", "--wait", "8"), "8"),
    ],
    ids=str,
)
def test_a_run_waits_for_as_long_as_it_is_told(ansible: Ansible, cli: Cli, words: Any, seconds: str | None) -> None:
    ansible.summary = {"verdict": "pass", "exit_code": 0}
    assert cli("run", *words).code == 0
    assert ansible.jobs[0].extravars.get("testcell_wait_s") == seconds


@pytest.mark.parametrize("words", [("--wait", "-1"), ("--wait", "604801"), ("--wait", "1", "--wait")], ids=str)
def test_a_wait_that_is_none_is_wrong_usage(ansible: Ansible, cli: Cli, words: Any) -> None:
    assert cli("run", "example", *words).code == 2 and ansible.jobs == []


@pytest.mark.parametrize(
    ("verdict", "code"), [("pass", 0), ("fail", 1), ("no_data", 4), ("error", 5), ("error", 6), ("error", 7)]
)
def test_the_exit_code_is_the_summary_s_whatever_ansible_said(
    ansible: Ansible, cli: Cli, verdict: str, code: int
) -> None:
    ansible.summary, ansible.rc = {"verdict": verdict, "exit_code": code, "counts": {verdict: 1}}, 2
    answer = cli("run", "example", "--format", "json")
    assert answer.code == code and answer.json["verdict"] == verdict
    assert answer.json["path"].endswith(f"results/{answer.json['run_id']}")


def test_a_signal_after_the_end_keeps_the_summary(ansible: Ansible, cli: Cli) -> None:
    ansible.summary, ansible.signals = {"verdict": "pass", "exit_code": 0}, 1
    answer = cli("run", "example")
    assert answer.code == 130 and "verdict  PASS" in answer.out and len(ansible.jobs) == 1


CUT_SHORT = [
    ("once", 1, 0, 130, "cancelled", 1, 90),
    ("twice", 2, 0, 130, "cancelled", 0, 30),
    ("again while collecting", 1, 1, 130, "cancelled", 1, 30),
    ("Ansible died", 0, 0, 5, "error", 1, 90),
]


@pytest.mark.parametrize(
    ("signals", "later", "code", "verdict", "collected", "limit"),
    [row[1:] for row in CUT_SHORT],
    ids=[row[0] for row in CUT_SHORT],
)
def test_a_run_cut_short_is_collected_then_cleaned_and_summed_up(
    project: Path,
    ansible: Ansible,
    cli: Cli,
    signals: int,
    later: int,
    code: int,
    verdict: str,
    collected: int,
    limit: int,
) -> None:
    ansible.opens, ansible.signals, ansible.signals_while_collecting, ansible.rc = True, signals, later, 99
    answer = cli("run", "example", "-e", "testcell_node_root=/elsewhere", "--format", "json")
    run_id = answer.json["run_id"]
    assert answer.code == code and answer.json["verdict"] == verdict and "reasons" not in answer.json
    collecting, (cleaning,) = ansible.named("collect"), ansible.named("cleanup")
    assert [Path(job.extravars["collect_run_dir"]).name for job in collecting] == [run_id] * collected
    assert ansible.jobs[-1] is cleaning and cleaning.extravars["cleanup_run"] == run_id
    assert cleaning.timeout_s == limit
    for job in (*collecting, cleaning):
        assert job.extravars["testcell_node_root"] == "/elsewhere", "the nodes are found as the run found them"
    assert os.readlink(project / "results" / "latest") == run_id


@pytest.mark.parametrize(
    ("steps", "kind"),
    [(("report",), "disk_full"), (("open",), "disk_full"), (("deploy",), "controller_died"), ((), "controller_died")],
)
def test_f08_a_run_that_its_disk_ended_says_so(ansible: Ansible, cli: Cli, steps: tuple[str, ...], kind: str) -> None:
    ansible.opens, ansible.rc = True, 2
    told = [failure.of("disk_full", "the controller cannot write /x", at=1.0, step=step).as_dict() for step in steps]
    ansible.failures = tuple(
        runner.TaskFailure(host="local", task="Report", message=one["message"], unreachable=False, failure=one)
        for one in told
    )
    answer = cli("run", "example", "--format", "json")
    assert answer.code == 5 and answer.json["failure"]["error_kind"] == kind


@pytest.mark.parametrize("answers", [None, [], [{"name": "local", "ok": False}], [{"name": "other", "ok": True}]])
def test_silence_is_never_taken_for_clean(ansible: Ansible, cli: Cli, answers: Any) -> None:
    ansible.opens, ansible.answers = True, answers
    answer = cli("run", "example")
    assert answer.code == 7 and "testcell cleanup" in answer.out and "not proved clean: local" in answer.err


def test_the_controller_is_cleaned_where_the_inventory_does_not_have_it(ansible: Ansible, cli: Cli) -> None:
    ansible.opens, ansible.signals = True, 1
    cli("run", "example", "-i", "inventories/nodes.ini")
    for job in (*ansible.named("collect"), *ansible.named("cleanup")):
        assert any(source.endswith("local.ini") for source in job.inventory)


def test_a_run_that_never_began_says_why(ansible: Ansible, cli: Cli) -> None:
    ansible.rc = 127
    answer = cli("run", "example")
    assert answer.code == 5 and "ansible-playbook could not be started" in answer.err and len(ansible.jobs) == 1
    ansible.failures = (runner.TaskFailure("node1", "Take it", "held by run x", False, {"error_kind": "lock_held"}),)
    answer = cli("run", "example", "--format", "json")
    assert (
        answer.code == 6 and answer.json["exit_code"] == 6 and answer.json["error"] == "node1: Take it: held by run x"
    )


def test_nodes_that_give_no_answer_are_not_clean(ansible: Ansible, cli: Cli) -> None:
    ansible.answers = [{"name": "node1", "ok": True}]
    cleaned = cli("cleanup", "--all", "-i", "inventories/nodes.ini", "--format", "json")
    assert cleaned.code == 7 and cleaned.json[1]["errors"] == ["gave no answer"]
