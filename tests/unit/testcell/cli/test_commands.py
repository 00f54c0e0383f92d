# SPDX-License-Identifier: MIT

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Cli = Callable[..., Any]
Make = Callable[..., Path]


def test_init_makes_a_project_that_is_valid(tmp_path: Path, cli: Cli) -> None:
    answer = cli("init", tmp_path / "new", "--format", "json")
    assert answer.code == 0 and "site.yml" in answer.json["written"]
    again = cli("init", tmp_path / "new")
    assert again.code == 0 and "kept  site.yml" in again.out and "wrote" not in again.out
    assert cli("-C", tmp_path / "new", "validate").code == 0


def test_init_into_a_file_says_so(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "file").write_text("")
    answer = cli("init", tmp_path / "file")
    assert answer.code == 5 and "file" in answer.err


@pytest.mark.parametrize("where", ["before", "after"])
def test_format_may_stand_before_or_after_the_command(project: Path, cli: Cli, where: str) -> None:
    options = ["--format", "json"]
    answer = cli(*options, "scenarios") if where == "before" else cli("scenarios", *options)
    (found,) = answer.json
    assert found["name"] == "example" and found["enabled"] is True and found["cases"] == 1


def test_scenarios_in_yaml_and_as_a_table(project: Path, cli: Cli) -> None:
    assert yaml.safe_load(cli("scenarios", "--format", "yaml").out)[0]["folder"] == "001_example"
    lines = cli("scenarios").out.splitlines()
    assert lines[0].split()[:3] == ["name", "folder", "enabled"] and lines[1].split()[:3] == [
        "example",
        "001_example",
        "yes",
    ]


def test_an_answer_can_go_to_a_new_file(project: Path, cli: Cli) -> None:
    answer = cli("scenarios", "--format", "json", "--output", "answer.json")
    assert (answer.code, answer.out) == (0, "") and json.loads((project / "answer.json").read_text())[0][
        "name"
    ] == "example"


def test_a_broken_scenario_is_named_and_the_others_are_still_listed(project: Path, cli: Cli) -> None:
    broken = project / "scenarios" / "002_broken"
    broken.mkdir()
    (broken / "metadata.yml").write_text("name: [x\n")
    answer = cli("scenarios")
    assert answer.code == 3 and "example" in answer.out and "002_broken/metadata.yml:" in answer.err
    assert cli("scenario", "example").code == 0
    assert cli("scenario", "002_broken").code == 3


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("testcell_environment=TAG=7\n", id="words"),
        pytest.param("testcell_environment={'TAG': '7'}\n", id="mapping"),
    ],
)
@pytest.mark.parametrize("command", [("scenarios",), ("scenario", "example"), ("status",), ("validate",)])
def test_variables_of_an_inventory_reach_compose_files(
    project: Path, cli: Cli, command: tuple[str, ...], lines: str
) -> None:
    compose = project / "scenarios" / "001_example" / "docker-compose.yml"
    compose.write_text(compose.read_text().replace("engine-sim:1", "engine-sim:${TAG}"))
    if command[0] != "status":
        answer = cli(*command)
        assert answer.code == 3 and "variable TAG is not set" in answer.out + answer.err
    inventory = project / "inventories" / "local"
    inventory.write_text(f"{inventory.read_text()}[all:vars]\n{lines}")
    answer = cli(*command, "--format", "json")
    assert answer.code == 0 and "TAG" not in answer.out + answer.err
    if command[0] == "status":
        assert answer.json["scenarios"]["broken"] == 0
    if command[0] == "scenario":
        assert answer.json["services"][0]["image"] == "testcell/engine-sim:7"


def test_scenarios_are_listed_with_the_variables_of_the_inventory_that_is_named(project: Path, cli: Cli) -> None:
    compose = project / "scenarios" / "001_example" / "docker-compose.yml"
    compose.write_text(compose.read_text().replace("engine-sim:1", "engine-sim:${TAG}"))
    (project / "other").write_text("node1\n[all:vars]\ntestcell_environment=TAG=7\n")
    assert cli("scenarios", "-i", "other").code == 0
    assert cli("scenario", "example", "-i", "other").code == 0
    missing = cli("scenarios", "-i", "none")
    assert missing.code == 3 and "none does not exist" in missing.err


def test_scenarios_are_listed_where_there_is_no_inventory(project: Path, cli: Cli) -> None:
    (project / "inventories" / "local").unlink()
    answer = cli("scenarios", "--format", "json")
    assert answer.code == 0 and answer.json[0]["name"] == "example"
    assert "read without the variables of an inventory: " in answer.err and "does not exist" in answer.err


def test_an_environment_that_cannot_be_taken_is_named_by_scenarios(project: Path, cli: Cli) -> None:
    inventory = project / "inventories" / "local"
    inventory.write_text(f"{inventory.read_text()}[all:vars]\ntestcell_environment=hunter2\n")
    line = len(inventory.read_text().splitlines())
    answer = cli("scenarios")
    assert answer.code == 3 and f"{inventory}:{line}:1: testcell_environment: must give environment" in answer.err
    assert "hunter2" not in answer.err


def test_a_scenario_is_turned_off_and_on_with_its_comments_kept(project: Path, cli: Cli) -> None:
    path = project / "scenarios" / "001_example" / "metadata.yml"
    path.write_text("# on top\n" + path.read_text().replace("enabled: true", "enabled: true  # why"))
    before = path.read_text()
    assert "is now disabled" in cli("scenario", "example", "--disable").out
    assert path.read_text() == before.replace("enabled: true", "enabled: false")
    assert cli("scenario", "example", "--disable", "--format", "json").json["changed"] is False
    assert "disabled" in cli("run", "example", "--dry-run").err
    cli("scenario", "001_example", "--enable")
    assert path.read_text() == before


def test_a_scenario_is_shown_with_services_and_test(project: Path, cli: Cli) -> None:
    found = cli("scenario", "example", "--format", "json").json
    assert found["services"][0]["image"] == "testcell/engine-sim:1" and found["test"]["timeout_s"] == 300
    assert "run_test.sh on local, at most 300 s" in cli("scenario", "example").out


def test_validate_names_all_problems_at_once(project: Path, cli: Cli) -> None:
    folder = project / "scenarios" / "001_example"
    (folder / "metadata.yml").write_text("name: example\ntime_out: 3\nenabled: 'yes'\n")
    (project / "config" / "defaults.yaml").write_text("test_execution:\n  timeout: -1\n")
    answer = cli("validate")
    assert answer.code == 3 and "defaults.yaml:2:" in answer.out
    (project / "config" / "defaults.yaml").write_text("{}\n")
    answer = cli("validate", "--format", "json")
    assert answer.code == 3 and answer.json["ok"] is False
    assert {(p["line"], p["key"]) for p in answer.json["problems"] if p["severity"] == "error"} >= {
        (2, "time_out"),
        (3, "enabled"),
    }


def test_validate_reads_the_configuration_of_maintenance(project: Path, cli: Cli) -> None:
    config = project / "config" / "auto_maintenance_config.yaml"
    config.write_text("auto_retest: {max_retries: 99, max_retires: 1}\n")
    found = cli("validate", "--format", "json")
    assert found.code == 3
    keys = {one["key"] for one in found.json["problems"] if one["file"] == str(config)}
    assert keys == {"auto_retest.max_retries", "auto_retest.max_retires"}
    (project / "config" / "auto_maintenance_config.json").write_text("{")
    told = [one["message"] for one in cli("validate", "--format", "json").json["problems"]]
    assert any("is also written as" in message and "keep one of them" in message for message in told)


def test_validate_checks_nodes_that_scenarios_name(project: Path, cli: Cli) -> None:
    """B23"""
    path = project / "scenarios" / "001_example" / "metadata.yml"
    path.write_text(path.read_text().replace("node: local", "node: node9"))
    answer = cli("validate", "-i", "inventories/nodes.ini")
    assert answer.code == 3 and "node1" in answer.out and "node9" in answer.out
    assert cli("validate", "-i", "none").code == 3


def test_config_show_gives_each_value_with_its_origin(project: Path, cli: Cli) -> None:
    """B67"""
    found = {item["key"]: item for item in cli("config", "show", "example", "--origin", "--format", "json").json}
    assert found["test_execution.timeout"]["value"] == 300 and found["test_execution.timeout"]["layer"] == "scenario"
    assert found["test_execution.timeout"]["file"] == "scenarios/001_example/metadata.yml"
    assert found["service_health_check.startup_timeout"]["file"] == "config/defaults.yaml"
    assert found["test_execution.grace"]["layer"] == "built-in" and found["test_execution.grace"]["file"] is None
    forced = cli("config", "show", "example", "-e", "test_execution.timeout=7", "--format", "json").json
    assert forced["test_execution.timeout"] == 7


def test_config_show_names_the_profile_of_a_soak_as_an_origin(project: Path, cli: Cli) -> None:
    words = ("config", "show", "example", "--origin", "--format", "json")
    assert [item for item in cli(*words).json if item["key"].startswith("soak.")] == []
    asked = ("-e", "soak_profile=soak_smoke", "-e", "max_stall_secs=7")
    found = {item["key"]: item for item in cli(*words, *asked).json}
    assert (found["soak.duration_secs"]["value"], found["soak.duration_secs"]["layer"]) == (1200, "profile soak_smoke")
    stall = found["soak.max_stall_secs"]
    assert (stall["value"], stall["layer"], [item["value"] for item in stall["shadows"]]) == (7, "override", [120])
    wrong = cli(*words, "-e", "soak_profile=smoke")
    assert wrong.code == 3 and "-e: soak_profile: unknown profile; got string 'smoke'" in wrong.out + wrong.err


def test_nodes_are_listed_without_contact(project: Path, cli: Cli) -> None:
    found = cli("nodes", "--offline", "-i", "inventories/nodes.ini", "--format", "json").json
    assert [node["name"] for node in found["nodes"]] == ["node1", "node2"]
    assert "bench@192.0.2.11:22" in cli("nodes", "--offline", "-i", "inventories/nodes.ini").out


def test_dry_run_prints_nodes_batches_files_and_commands_and_touches_nothing(project: Path, cli: Cli) -> None:
    before = sorted(project.rglob("*"))
    answer = cli("run", "example", "--dry-run", "-i", "inventories/nodes.ini")
    assert answer.code == 0
    for part in ("batch 1", "engine@node", "run_test.sh", "up --no-start", "nothing has been touched"):
        assert part in answer.out
    assert sorted(project.rglob("*")) == before
    found = cli("run", "--all", "--dry-run", "--format", "json").json
    assert found["cases"][0]["nodes"] == ["local"]


@pytest.mark.parametrize(
    ("options", "placed"),
    [
        (["--limit", "node2"], {"node2"}),
        (["--limit", "!node2"], {"node1"}),
        (["--node", "node2", "--limit", "node2"], {"node2"}),
    ],
)
def test_a_limit_leaves_nodes_out_of_the_plan(project: Path, cli: Cli, options: list[str], placed: set[str]) -> None:
    found = cli("run", "example", "--dry-run", "-i", "inventories/nodes.ini", "--format", "json", *options).json
    assert {batch.split("@")[1] for level in found["cases"][0]["batches"] for batch in level} == placed


def test_options_of_run_beat_the_scenario(project: Path, cli: Cli) -> None:
    found = cli("run", "example", "--dry-run", "--timeout", "77", "--format", "json").json
    assert "at most 77 s" in found["cases"][0]["commands"][-1]["command"]


def test_results_lists_runs_and_shows_one(project: Path, cli: Cli, make_run: Make) -> None:
    assert "no runs in" in cli("results").out
    make_run(project / "results", "20260101_000000")
    failure = {"error_kind": "service_died", "message": "d-1 exited\x1b[2J", "node": "node2", "evidence": ["Segfault"]}
    case = {"scenario": "example", "verdict": "error", "attempt": 1, "failure": failure}
    make_run(project / "results", "20260102_000000", verdict="error", exit_code=5, counts={"error": 1}, cases=[case])
    assert [row["run_id"] for row in cli("results", "--format", "json").json] == ["20260101_000000", "20260102_000000"]
    assert cli("results").out.splitlines()[1].split()[:4] == ["20260101_000000", "pass", "1", "pass"]
    shown = cli("results", "latest").out
    assert (
        "verdict  ERROR" in shown
        and "service_died: d-1 exited" in shown
        and "| Segfault" in shown
        and "\x1b" not in shown
    )
    assert "read the service's log" in shown and "20260102_000000/report.html" in shown
    assert "12.5 ms" in cli("results", "20260101_000000").out
    assert cli("results", "20260101_000000", "--format", "json").json["verdict"] == "pass"


def test_an_unknown_run_names_the_newest(project: Path, cli: Cli, make_run: Make) -> None:
    make_run(project / "results", "20260101_000000")
    answer = cli("results", "20990101_000000")
    assert answer.code == 2 and "20260101_000000" in answer.err


def test_an_unfinished_run_says_how_to_clean_up(project: Path, cli: Cli, make_run: Make) -> None:
    folder = make_run(project / "results", "20260101_000000")
    (folder / "summary.json").rename(folder / "plan.json")
    answer = cli("results", "latest")
    assert answer.code == 4 and "testcell cleanup 20260101_000000" in answer.err


def test_old_results_are_removed_by_age(project: Path, cli: Cli, make_run: Make) -> None:
    make_run(project / "results", "20200101_000000", ended_at="2020-01-01T00:00:00+00:00")
    make_run(project / "results", "20260101_000000")
    (project / "results" / "mine").mkdir()
    found = cli("results", "--cleanup", "--days", "7", "--dry-run", "--format", "json").json
    assert [row["run_id"] for row in found["removed"]] == ["20200101_000000"] and found["dry_run"] is True
    answer = cli("results", "--cleanup")
    assert answer.code == 0 and "1 run(s) removed" in answer.out
    left = sorted(path.name for path in (project / "results").iterdir() if not path.name.startswith("testcell.db"))
    assert left == ["20260101_000000", "mine"]


def test_status_shows_what_is_here_even_when_parts_are_broken(
    project: Path, cli: Cli, make_run: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{project}/none")
    make_run(project / "results", "20260101_000000")
    found = cli("status", "--format", "json").json
    assert found["engine"]["answers"] is False and found["last_run"]["verdict"] == "pass"
    assert found["scenarios"] == {"enabled": 1, "all": 1, "broken": 0} and found["nodes"]["names"] == ["local"]
    (project / "inventories" / "local").rename(project / "elsewhere")
    assert cli("status", "-i", str(project / "elsewhere"), "--format", "json").json["nodes"]["names"] == ["local"]
    (project / "config" / "defaults.yaml").write_text("test_execution: 3\n")
    answer = cli("status")
    assert answer.code == 0 and "does not exist" in answer.out and "defaults.yaml:1" in answer.out


def test_lab_status_without_a_lab_says_how_to_make_one(project: Path, cli: Cli) -> None:
    answer = cli("lab", "status")
    assert answer.code == 0 and "testcell lab up" in answer.out


def test_lab_nodes_that_do_not_answer_are_named(project: Path, cli: Cli) -> None:
    (project / "inventories" / "lab").mkdir()
    (project / "inventories" / "lab" / "hosts").write_text("[lab]\nnode1 ansible_host=127.0.0.1 ansible_port=1\n")
    answer = cli("lab", "status")
    assert answer.code == 5 and "failed" in answer.out
