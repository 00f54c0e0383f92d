# SPDX-License-Identifier: MIT

"""`health` before a node is contacted, and the screen it draws."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import document, latest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.health.standard import Standard
from rich.console import Console

from testcell import runner
from testcell.cli import health, health_screen, output

Cli = Callable[..., Any]
RUN = "20260101_000000"
SERVICE = {"run": RUN, "scenario": "002", "case": "c-1", "service": "router", "container": "p", "image": "x:1",
           "state": "running", "health": "unhealthy", "exit_code": None, "oom": False, "restarts": 2, "age_s": 65.0,
           "up_s": 60.0, "ports": [1]}  # fmt: skip
CARD = {"index": 0, "name": "H", "uuid": "u", "memory_total_bytes": 80 << 30, "memory_used_bytes": 4 << 30,
        "utilization_percent": 35}  # fmt: skip
HOLDER = {"run": RUN, "owner": "me@box:7/b", "epoch": 4, "shared": False, "expires_in_s": 90.0, "age_s": 9.0}
FACTS = {
    "answered_unix": 1000.1,
    "engine": {"ok": True, "version": "20.10", "api": "1.41", "error": ""},
    "compose": [{"kind": "plugin", "version": "2.26"}],
    "disks": [{"path": "/", "free_bytes": 9 << 30, "total_bytes": 20 << 30}],
    "gpus": [CARD] * 2,
    "gpu_error": "",
    "listening": [],
    "lease": {
        "held": True,
        "state": "held",
        "run": RUN,
        "owner": "me@box:7/b",
        "expires_in_s": 90.0,
        "holders": [HOLDER],
    },
    "services": [SERVICE],
    "services_error": "",
    "leftovers": [{"run": "dead", "type": "volume", "id": "v", "name": "v", "age_s": 3.0, "ours": True}],
    "leftovers_error": "",
    "memory": {"quarantine": None, "blames": []},
}


@pytest.fixture
def answer() -> dict[str, Any]:
    """Return a round of two nodes, one of which is away."""
    asking = document.Asking(1000.0, 0.1)
    nodes = [
        document.of_answer("node1", FACTS, asking, Standard(), lambda _: False),
        document.of_silence("node2", "ssh_refused", "Connection refused", asking),
    ]
    return document.of_round(2, 1000.2, nodes, [])


INTERVALS = [
    ("--watch", "--watch 5"),
    ("--watch 7", "--watch 7"),
    ("--watch=7 x", "--watch=7 x"),
    ("--watch -1", "--watch -1"),
    ("x --watch --rounds 2", "x --watch 5 --rounds 2"),
    ("--watch 001_baseline", "--watch 5 001_baseline"),
    ("-i --watch -- --watch", "-i --watch 5 -- --watch"),
    ("--watchful", "--watchful"),
]


@pytest.mark.parametrize(("given", "meant"), INTERVALS)
def test_the_number_of_watch_may_be_left_out(given: str, meant: str) -> None:
    assert health.with_interval(given.split()) == meant.split()


USAGE = [
    pytest.param("--watch 0", "'--watch'", id="too-fast"),
    pytest.param("--watch 3601", "'--watch'", id="too-slow"),
    pytest.param("--watch --watch 3", "'--watch' was given twice", id="twice"),
    pytest.param("--rounds 2", "--rounds belongs to --watch", id="rounds-alone"),
    pytest.param("--watch --rounds 0", "'--rounds'", id="no-round"),
    pytest.param("--watch --output new.json", "--output takes one answer", id="many-answers-in-one-file"),
]


@pytest.mark.parametrize(("line", "said"), USAGE)
def test_wrong_usage_is_told_before_a_node_is_asked(project: Path, cli: Cli, line: str, said: str) -> None:
    found = cli("health", *line.split())
    assert found.code == 2 and found.out == "" and said in found.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("exampel",), 2, "did you mean example"),
        (("example", "-i", "none"), 3, "none does not exist"),
    ],
    ids=["wrong-name", "no-inventory"],
)
def test_wrong_input_is_told_before_a_node_is_asked(
    project: Path, cli: Cli, words: tuple[str, ...], code: int, said: str
) -> None:
    found = cli("health", *words)
    assert found.code == code and said in found.err


def test_a_broken_scenario_is_told_before_a_node_is_asked(project: Path, cli: Cli) -> None:
    (project / "scenarios" / "001_example" / "metadata.yml").write_text("name: example\nunknown_key: 1\n")
    found = cli("health", "example", "--format", "json")
    assert found.code == 3 and "unknown_key" in found.json["error"]


def lines(document: dict[str, Any]) -> list[str]:
    return output.as_text(document, lambda: health_screen.page(document), "table").splitlines()


def test_one_screen_shows_nodes_services_and_problems(answer: dict[str, Any]) -> None:
    shown = lines(answer)
    assert shown[0].split("  ")[0] == "node" and "ports" not in shown[0], "no scenario was named"
    cells = [cell.strip() for cell in shown[1].split("  ") if cell.strip()]
    assert cells == [
        "node1", "warning", "20.10", "2.26", "9.0 GiB", "+0.0 s", "2, 8.0 GiB of 160 GiB, 35 %", "1 of 1 run",
        f"run {RUN} of me@box:7, 1 min 30 s",
    ]  # fmt: skip
    assert shown[2].split()[:2] == ["node2", "failed"]
    assert shown[5].split() == ["node1", RUN, "002/c-1", "router", "running", "unhealthy", "1", "min", "05", "s", "2"]
    assert [line.split(":")[:3] for line in shown[7:]] == [
        ["node2", " error", " node"],
        ["node1", " warning", " service"],
        ["node1", " warning", " leftover"],
    ]
    assert shown[9].endswith("next: testcell cleanup dead")


def test_wanted_ports_have_a_column_where_a_scenario_is_named(answer: dict[str, Any]) -> None:
    assert "ports" in lines({**answer, "scenarios": ["s"]})[0]


def test_no_nodes_are_no_table(answer: dict[str, Any]) -> None:
    assert lines({**answer, "nodes": []}) == ["no nodes"]


def test_json_is_one_line_a_round_and_yaml_one_document(
    answer: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for form in ("json", "yaml"):
        written = health_screen.Written(form, 5)
        written.show(answer)
        written.show({**answer, "round": 3})
        written.close()
        said = capsys.readouterr().out
        found = list(yaml.safe_load_all(said)) if form == "yaml" else [json.loads(line) for line in said.splitlines()]
        assert [one["round"] for one in found] == [2, 3] and found[0] == answer


def test_a_plain_screen_gets_a_block_a_round(answer: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    health_screen.Written("table", 5).show(answer)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "round 2, 1970-01-01 00:16:40 UTC, every 5 s: 1 of 2 nodes ok"
    assert said[1].startswith("node") and said[-1] == ""


def test_a_terminal_is_redrawn_and_given_its_cursor_back(
    answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = io.StringIO()
    console = Console(file=sent, force_terminal=True, width=160, height=40, color_system=None)
    monkeypatch.setattr(output, "console", lambda **_: console)
    screen = health_screen.Redrawn(5)
    screen.show(answer)
    assert "\x1b[?25l" in sent.getvalue(), "the cursor is hidden meanwhile"
    screen.show({**answer, "round": 3})
    screen.close()
    after = sent.getvalue()
    assert after.rstrip().endswith("\x1b[?25h") and after.count("round 2, ") == 1 and "round 3, " in after
    assert "\x1b[1A" in after, "the second round stands where the first one stood"


def test_a_terminal_on_which_nothing_was_shown_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    health_screen.Redrawn(5).close()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("form", "tty", "kind"),
    [("table", True, "Redrawn"), ("table", False, "Written"), ("json", True, "Written")],
)
def test_only_a_person_s_terminal_is_redrawn(monkeypatch: pytest.MonkeyPatch, form: str, tty: bool, kind: str) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda _: tty)
    assert type(health_screen.screen(form, 5)).__name__ == kind


class Ansible:
    """Stands in for runner.run: leaves what the nodes answer in the folder where it is wanted."""

    def __init__(self) -> None:
        self.answers: list[dict[str, Any]] = []
        self.jobs: list[runner.Job] = []
        self.rc, self.signal = 0, 0
        self.failures: tuple[runner.TaskFailure, ...] = ()

    def __call__(self, job: runner.Job, _listener: object = None) -> runner.Outcome:
        self.jobs.append(job)
        for node in self.answers:
            latest.put(Path(job.extravars["health_folder"]), 1, node)
        return runner.Outcome(self.rc, "", self.signal, int(bool(self.signal)), 1.0, self.failures, {}, ("said",), None)


@pytest.fixture
def ansible(project: Path, monkeypatch: pytest.MonkeyPatch) -> Ansible:
    """Return the stand-in for Ansible, beside an inventory of two nodes."""
    stand_in = Ansible()
    (project / "nodes").write_text("node1 ansible_host=192.0.2.11\nnode2 ansible_host=192.0.2.12\n")
    monkeypatch.setattr(runner, "run", stand_in)
    return stand_in


WATCH = ("--watch", "1", "--rounds", "1")
ASK = ("health", "-i", "nodes", "--format", "json")


def told(*names: str) -> list[dict[str, Any]]:
    asking = document.Asking(1000.0, 0.1)
    facts = {**FACTS, "lease": {**FACTS["lease"], "held": False, "holders": []}, "leftovers": []}  # type: ignore[dict-item]
    return [document.of_answer(name, facts, asking, Standard(), lambda _: False) for name in names]


@pytest.mark.parametrize("how", [(), WATCH], ids=["once", "watch"])
def test_the_exit_code_says_whether_every_node_can_work(ansible: Ansible, cli: Cli, how: tuple[str, ...]) -> None:
    ansible.answers = told("node1", "node2")
    assert cli(*ASK, *how).code == 0
    ansible.answers, ansible.rc = told("node1"), 2
    ansible.failures = (runner.TaskFailure("node2", "Ask the node", "the worker died", False, {}),)
    found = cli(*ASK, *how)
    assert found.code == 5 and [node["ok"] for node in found.json["nodes"]] == [True, False]
    assert found.json["nodes"][1]["problems"][0]["error_kind"] == "node_unreachable"
    if not how:
        assert found.json["nodes"][1]["problems"][0]["detail"] == "the worker died"


@pytest.mark.parametrize("how", [(), WATCH], ids=["once", "watch"])
def test_a_signal_beats_what_the_nodes_said(ansible: Ansible, cli: Cli, how: tuple[str, ...]) -> None:
    ansible.answers, ansible.signal, ansible.rc = told("node1", "node2"), 15, 254
    assert cli(*ASK, *how).code == 143


@pytest.mark.parametrize("answers", [[], ["node1", "node2"]], ids=["before", "after"])
def test_an_ansible_that_dies_is_no_healthy_node(ansible: Ansible, cli: Cli, answers: list[str]) -> None:
    ansible.answers, ansible.rc = told(*answers), 250
    found = cli(*ASK, *WATCH)
    assert found.code == 5 and "Ansible failed unexpectedly" in found.out


def test_the_job_says_what_is_asked_and_how_long(ansible: Ansible, cli: Cli) -> None:
    ansible.answers = told("node1", "node2", "local")
    cli(*ASK, "example", "--watch", "7", "--rounds", "3", "-e", "testcell_min_free_bytes=5")
    cli(*ASK)
    watched, once = (dict(job.extravars) for job in ansible.jobs)
    assert watched.pop("health_folder") != once.pop("health_folder")
    assert watched == {
        "scenario": "example",
        "testcell_min_free_bytes": "5",
        "health_interval_s": 7,
        "health_rounds": 0,
    }, "the nodes are asked until enough rounds are shown"
    assert once == {"health_interval_s": 5, "health_rounds": 1}


def test_the_controller_must_answer_where_a_scenario_uses_it(ansible: Ansible, cli: Cli) -> None:
    ansible.answers = told("node1", "node2")
    found = cli(*ASK, "example")
    assert found.code == 5 and found.json["nodes"][2]["name"] == "local" and found.json["scenarios"] == ["example"]
    assert cli(*ASK).code == 0


NODES = ("nodes", "-i", "nodes")


def test_nodes_says_who_holds_them_and_what_keeps_runs_away(ansible: Ansible, cli: Cli) -> None:
    other = {**HOLDER, "run": "r2", "owner": "you@box:8/b", "epoch": 5, "expires_in_s": 30.0}
    lease = {**FACTS["lease"], "holders": [HOLDER, other]}  # type: ignore[dict-item]
    quarantine = {"kind": "disk_full", "reason": "no room", "run": "r", "since": 0.0, "until": 86400.0}
    facts = {**FACTS, "lease": lease, "time_unix": 1000.0, "memory": {"quarantine": quarantine, "blames": []}}
    asking = document.Asking(1000.0, 0.1)
    ansible.answers = [*told("node1"), document.of_answer("node2", facts, asking, Standard(), lambda _: False)]
    found = cli(*NODES, "--format", "json")
    assert found.code == 0, "a node that is held or in quarantine is no fault of the question"
    first, second = found.json["nodes"]
    assert (first["host"], first["held"], first["holders"], first["quarantine"]) == ("192.0.2.11", False, [], None)
    assert [(one["run"], one["epoch"]) for one in second["holders"]] == [(RUN, 4), ("r2", 5)]
    assert (second["quarantine"], second["leftovers"], second["state"]) == (quarantine, 1, "failed")
    lines = [line.split("  ") for line in cli(*NODES).out.splitlines()]
    rows = [[word.strip() for word in line if word.strip()] for line in lines]
    assert rows[1] == ["node1", "192.0.2.11:22", "ok", "nobody", "none", "none"]
    assert rows[2][3:7] == [f"run {RUN} of me@box:7", "4", "1 min 30 s", "disk_full until 1970-01-02 00:00:00 UTC"]
    assert rows[3][:6] == ["node2", "192.0.2.12:22", "failed", "run r2 of you@box:8", "5", "30 s"]
    assert [job.extravars["health_within_s"] for job in ansible.jobs] == [5, 5]


def test_a_node_that_gives_no_answer_is_named_and_the_others_are_shown(ansible: Ansible, cli: Cli) -> None:
    ansible.answers, ansible.rc = told("node1"), 2
    found = cli(*NODES)
    assert found.code == 5 and "nobody" in found.out and "node2: error: node: has given no answer yet" in found.out
    silent = cli(*NODES, "--format", "json").json["nodes"][1]
    assert (silent["reachable"], silent["held"], silent["leftovers"]) == (False, None, None)


def test_nodes_offline_and_check_do_not_go_together(ansible: Ansible, cli: Cli) -> None:
    assert cli(*NODES, "--offline", "--check").code == 2 and ansible.jobs == []


def test_nodes_with_check_are_asked_as_health_asks(ansible: Ansible, cli: Cli) -> None:
    ansible.answers = told("node1")
    found = cli("nodes", "--check", "-i", "nodes", "--format", "json")
    assert found.code == 5 and [node["ok"] for node in found.json["nodes"]] == [True, False]
