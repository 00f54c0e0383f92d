# SPDX-License-Identifier: MIT

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testcell import __version__

Cli = Callable[..., Any]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        pytest.param("runn", "Did you mean 'run'", id="B69-unknown-command"),
        pytest.param("run --taggs x", "--tags", id="B69-unknown-option"),
        pytest.param("run example --node a --node b", "'--node' was given twice", id="B69-option-twice"),
        pytest.param(
            "--format json --format yaml scenarios", "'--format' was given twice", id="B69-global-option-twice"
        ),
        pytest.param("run example --all", "names and --all were both given", id="B69-all-with-a-name"),
        pytest.param("run example --timeout ten", "'--timeout'", id="B69-timeout-ten"),
        pytest.param("run example --timeout 0", "'--timeout'", id="B69-timeout-zero"),
        pytest.param("scenarios --output site.yml", "site.yml exists", id="B69-output-exists"),
        pytest.param("scenarios --output scenarios", "is a directory", id="B69-output-directory"),
        pytest.param("scenarios --output none/file", "none is no directory", id="B69-output-no-folder"),
        pytest.param("scenarios --format xml", "'--format'", id="B69-unknown-format"),
        pytest.param("run", "allowed: example", id="B70-no-scenario"),
        pytest.param("run exampel", "did you mean example", id="B70-wrong-name"),
        pytest.param("scenario exampel", "Did you mean example", id="B70-wrong-name-shown"),
        pytest.param("config show exampel", "Did you mean example", id="B70-wrong-name-in-config"),
        pytest.param("scenario example --enable --disable", "both given", id="both-switches"),
        pytest.param("run example -e x", "KEY=VALUE", id="extra-without-value"),
        pytest.param("run example -e a=1 -e a=2", "-e a was given twice", id="extra-twice"),
        pytest.param("run example -e scenario=x", "as arguments", id="extra-reserved"),
        pytest.param("results --days 3", "belong to --cleanup", id="days-alone"),
        pytest.param("results latest --cleanup", "takes no run", id="cleanup-with-a-run"),
        pytest.param("results --cleanup --days -1", "'--days'", id="negative-days"),
        pytest.param("results latest --disk", "--disk is about all runs", id="disk-with-a-run"),
        pytest.param("results prune", "give one of --days, --keep and --max-size", id="prune-without-a-limit"),
        pytest.param("results prune --days 1 --keep 2", "give one of --days", id="prune-by-two-limits"),
        pytest.param("results prune --max-size 5", "a number and its unit", id="prune-by-a-size-without-unit"),
        pytest.param("results prune --keep -1", "'--keep'", id="prune-by-a-negative-number"),
        pytest.param("results archive", "Missing argument", id="archive-of-nothing"),
        pytest.param("results unpack none.tar.gz", "is no file", id="unpack-of-nothing"),
        pytest.param("verify", "Missing argument", id="verify-of-nothing"),
        pytest.param("cleanup", "give one run, or --all", id="cleanup-of-nothing"),
        pytest.param("cleanup 20260102_030405 --all", "give one run, or --all", id="cleanup-of-both"),
        pytest.param("cleanup ../x", "is no run id", id="cleanup-of-a-path"),
        pytest.param("lab up --nodes 99", "'--nodes'", id="too-many-nodes"),
        pytest.param("config", "Usage:", id="group-alone"),
    ],
)
def test_wrong_usage_shows_the_usage_line_and_ends_with_2(project: Path, cli: Cli, line: str, said: str) -> None:
    answer = cli(*line.split())
    assert answer.code == 2 and answer.out == ""
    assert "Usage: testcell" in answer.err and said in answer.err


def test_output_to_a_full_disk_is_named(project: Path, cli: Cli) -> None:
    """B69: /dev/full exists, so the name is refused before anything is written to it."""
    answer = cli("scenarios", "--output", "/dev/full")
    assert answer.code == 2 and "/dev/full exists" in answer.err


@pytest.mark.parametrize("words", ["scenarios", "scenarios --format json", "status", "classify --format json"])
def test_an_answer_that_is_lost_on_a_full_disk_is_no_success(project: Path, words: str) -> None:
    """B69"""
    line = [sys.executable, "-m", "testcell", "-C", str(project), *words.split()]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            line, input='{"text": "x"}', stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert done.returncode == 5 and "No space left on device: the answer" in done.stderr


def test_the_disk_full_on_writing_is_named_and_no_half_file_stays(
    project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B69"""
    from testcell.cli import output

    def full(path: Path, *_: object, **__: object) -> object:
        open(path, "x").close()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output.Path, "open", full)
    answer = cli("scenarios", "--output", "answer.json")
    monkeypatch.undo()
    assert answer.code == 2 and "No space left on device" in answer.err
    assert not (project / "answer.json").exists()


def test_nothing_selected_is_wrong_input(project: Path, cli: Cli) -> None:
    """B40"""
    answer = cli("run", "--all", "--tags", "none", "--dry-run")
    assert answer.code == 3 and "0 scenarios selected" in answer.err


def test_help_lists_every_command_and_the_exit_codes(project: Path, cli: Cli) -> None:
    answer = cli("--help")
    assert answer.code == 0 and "7 nodes not clean" in " ".join(answer.out.split())
    for name in [
        "init",
        "status",
        "scenarios",
        "nodes",
        "health",
        "validate",
        "config",
        "run",
        "scenario",
        "results",
        "cleanup",
        "lab",
    ]:
        assert f"  {name} " in answer.out
    assert "--dry-run" in cli("run", "-h").out


def test_no_command_shows_the_help(cli: Cli) -> None:
    answer = cli()
    assert answer.code == 2 and "Commands:" in answer.err


def test_version(cli: Cli) -> None:
    answer = cli("--version")
    assert (answer.code, answer.out) == (0, f"testcell {__version__}\n")


def test_an_error_is_json_where_json_was_asked_for(project: Path, cli: Cli) -> None:
    (project / "scenarios" / "001_example" / "metadata.yml").write_text("name: example\nunknown_key: 1\n")
    answer = cli("--format", "json", "run", "example", "--dry-run")
    found = json.loads(answer.out)
    assert answer.code == 3 and found["exit_code"] == 3 and found["ok"] is False
    wrong = [problem for problem in found["problems"] if problem["key"] == "unknown_key"]
    assert wrong and wrong[0]["line"] == 2 and wrong[0]["file"].endswith("metadata.yml")


def test_no_project_says_what_to_do(tmp_path: Path, cli: Cli) -> None:
    answer = cli("-C", tmp_path, "scenarios")
    assert answer.code == 2 and "testcell init" in answer.err


def test_a_crash_of_the_file_system_is_an_infrastructure_error(
    project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from testcell.cli import inputs

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error", "/some/file")

    monkeypatch.setattr(inputs, "catalog", broken)
    answer = cli("scenarios")
    assert answer.code == 5 and answer.err == "Input/output error: /some/file\n"


def test_a_fault_of_ours_is_never_taken_for_a_failed_test(
    project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from testcell.cli import inputs

    def broken(*_: object) -> None:
        raise TypeError("unexpected keyword")

    monkeypatch.setattr(inputs, "catalog", broken)
    answer = cli("scenarios")
    assert answer.code == 5 and "internal error: TypeError: unexpected keyword (test_usage.py:" in answer.err
    assert "Traceback" not in answer.err
    assert "Traceback" in cli("--log-level", "DEBUG", "scenarios").err
    assert cli("scenarios", "--format", "json").json["exit_code"] == 5
