# SPDX-License-Identifier: MIT

"""What becomes of runs that are over: proved again, pinned, packed, unpacked, removed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sealed
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import owner

Cli = Callable[..., Any]
HERE = owner.here()
UNFINISHED = "20260101_000000"
LOG = f"first/{sealed.LOG}"


@pytest.fixture
def run(project: Path) -> Path:
    """Return the folder of a run that is over and whole, which is the latest of the project."""
    folder = sealed.write(project / "results")
    (project / "results" / "latest").symlink_to(folder.name)
    return folder


@pytest.mark.parametrize(
    "how", [sealed.RUN_ID, "latest", f"results/{sealed.RUN_ID}", "results/latest", "results/latest/"]
)
def test_a_whole_run_is_proved_however_it_is_named(run: Path, cli: Cli, how: str) -> None:
    before = sealed.tree(run)
    answer = cli("verify", how)
    assert answer.code == 0 and f"run {sealed.RUN_ID} is as it was" in answer.out
    assert answer.out.splitlines()[-1].startswith("proof    sha256:")
    assert sealed.tree(run) == before


def test_b87_each_finding_is_one_line_with_what_to_do(run: Path, cli: Cli) -> None:
    (run / LOG).write_bytes(b"x")
    (run / "plan.json").unlink()
    (run / "more\x1b[2J\n").touch()
    answer = cli("verify", "latest")
    assert answer.code == 5 and "\x1b" not in answer.out
    lines = [line for line in answer.out.splitlines() if line.startswith("artifact_corrupt: ")]
    assert lines == [
        f"artifact_corrupt: {LOG}: expected 600 bytes; found 1 bytes; next: restore it from a copy; without one the result may not be believed",
        "artifact_corrupt: 'more\\x1b[2J\\n': expected no such file; found one that nothing names; next: remove it, or move it out of the run: nothing is added to one that has ended",
        "artifact_corrupt: plan.json: expected a file; found nothing; next: bring it back from a copy, or run the case again",
    ]
    assert "is NOT as it was: 3 finding(s)" in answer.out


def test_b87_findings_are_data_for_programs(run: Path, cli: Cli) -> None:
    (run / LOG).write_bytes(b"x")
    for options in (["--json"], ["--format", "json"]):
        answer = cli("verify", "latest", *options)
        assert answer.code == 5
        assert (answer.json["ok"], answer.json["error_kind"], answer.json["run_id"]) == (
            False,
            "artifact_corrupt",
            sealed.RUN_ID,
        )
        assert [finding["path"] for finding in answer.json["findings"]] == [LOG]


@pytest.mark.parametrize("command", ["verify", "results"])
@pytest.mark.parametrize(
    ("controller", "said", "next_step"),
    [
        (owner.of_process(os.getpid()), "has no summary yet: it still runs", None),
        (
            f"anna@{HERE.host}:4194303/{HERE.place}/1",
            "has no summary: it was cut short",
            f"testcell resume {UNFINISHED}",
        ),
        ("anna@elsewhere:77/abcd1234-1/1", "it still runs, or it was cut short", f"testcell resume {UNFINISHED}"),
    ],
    ids=["its-controller-lives", "its-controller-is-dead", "its-controller-is-elsewhere"],
)
def test_f01_a_run_without_a_summary_says_whether_it_goes_on(
    project: Path, run: Path, cli: Cli, command: str, controller: str, said: str, next_step: str | None
) -> None:
    unfinished = project / "results" / UNFINISHED
    unfinished.mkdir()
    (unfinished / "plan.json").write_text(json.dumps({"run_id": unfinished.name, "owner": controller}))
    answer = cli(command, unfinished.name, "--format", "json")
    assert answer.code == 4 and said in answer.json["error"]
    assert (answer.json["hint"] or "").startswith(next_step or "") and bool(answer.json["hint"]) is bool(next_step)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("20990101_000000", 2, sealed.RUN_ID),
        ("none.tar.gz", 2, "no run"),
        ("scenarios", 2, "is no folder of a run"),
        ("20260101_000000", 4, "testcell resume 20260101_000000"),
    ],
    ids=["unknown", "no-such-file", "another-folder", "unfinished"],
)
def test_what_cannot_be_proved_says_why(project: Path, run: Path, cli: Cli, name: str, code: int, said: str) -> None:
    unfinished = project / "results" / "20260101_000000"
    unfinished.mkdir()
    (unfinished / "plan.json").write_text(json.dumps({"run_id": unfinished.name}))
    answer = cli("verify", name)
    assert answer.code == code and said in answer.err


def test_a_run_is_packed_proved_removed_and_brought_back(project: Path, run: Path, cli: Cli) -> None:
    before = sealed.tree(run)
    answer = cli("results", "archive", "latest", "--to", "run.tar.gz", "--remove", "--format", "json")
    assert (
        answer.code == 0
        and answer.json["removed"] is True
        and answer.json["bytes"] == (project / "run.tar.gz").stat().st_size
    )
    assert not [name for name in os.listdir(project / "results") if not name.startswith("testcell.db")]
    packed = cli("verify", "run.tar.gz", "--json")
    assert packed.code == 0 and packed.json["files"] == len(before) - 1, "all but the list of digests"
    assert not [name for name in os.listdir(project / "results") if not name.startswith("testcell.db")]
    assert cli("results", "unpack", "run.tar.gz").code == 0
    assert sealed.tree(run) == before and cli("verify", sealed.RUN_ID).code == 0
    again = cli("results", "unpack", "run.tar.gz")
    assert again.code == 2 and "is there already" in again.err
    stored = cli("results", "archive", sealed.RUN_ID)
    assert stored.code == 0 and (project / "results" / f"{sealed.RUN_ID}.tar.gz").is_file()
    assert "exists; name a new file" in cli("results", "archive", sealed.RUN_ID).err


def test_a_run_of_before_there_were_proofs_is_proved_as_far_as_it_can_be_and_not_packed(
    project: Path, run: Path, cli: Cli
) -> None:
    sealed.of_the_first_form(run)
    answer = cli("verify", "latest")
    assert answer.code == 0 and f"what came home of run {sealed.RUN_ID} is as it was: 2 files" in answer.out
    assert "older than the proof" in answer.out and "proof    " not in answer.out
    packed = cli("results", "archive", "latest")
    assert packed.code == 4 and "has no SHA256SUMS" in packed.err


def test_b87_a_run_that_is_not_as_it_was_is_neither_packed_nor_removed(project: Path, run: Path, cli: Cli) -> None:
    (run / LOG).write_bytes(b"x")
    answer = cli("results", "archive", "latest", "--to", "run.tar.gz", "--remove")
    assert answer.code == 5 and LOG in answer.out and "was not packed" in answer.err
    assert run.is_dir() and not (project / "run.tar.gz").exists()


def test_b92_a_damaged_archive_is_not_unpacked(project: Path, run: Path, cli: Cli) -> None:
    cli("results", "archive", "latest", "--to", "run.tar.gz")
    content = (project / "run.tar.gz").read_bytes()
    (project / "run.tar.gz").write_bytes(content[:-40])
    answer = cli("results", "unpack", "run.tar.gz", "--results-dir", "back")
    assert answer.code == 5 and "artifact_corrupt" in answer.out
    assert os.listdir(project / "back") == []


def test_a_pinned_run_stays_until_it_is_let_go(project: Path, run: Path, cli: Cli) -> None:
    (project / "results" / "latest").unlink()
    assert "is pinned" in cli("results", "pin", sealed.RUN_ID).out
    assert cli("results", "pin", sealed.RUN_ID, "--format", "json").json["changed"] is False
    assert "pinned" in cli("results").out and cli("verify", sealed.RUN_ID).code == 0
    assert "it is pinned; `testcell results unpin" in cli("results", "prune", "--keep", "0").out
    refused = cli("results", "archive", sealed.RUN_ID, "--to", "x.tar.gz", "--remove")
    assert refused.code == 2 and run.is_dir() and not (project / "x.tar.gz").exists()
    cli("results", "unpin", sealed.RUN_ID)
    assert cli("results", "prune", "--keep", "0", "--dry-run", "--format", "json").json["dry_run"] is True
    assert run.is_dir()
    assert "1 run(s) removed" in cli("results", "prune", "--keep", "0").out and not run.exists()


def test_a_summary_that_was_changed_is_told_so(run: Path, cli: Cli) -> None:
    assert cli("results", sealed.RUN_ID).err == ""
    path = run / "summary.json"
    path.write_text(path.read_text().replace("{", '{"verdict": "pass", ', 1))
    found = cli("results", sealed.RUN_ID)
    assert f"{path} is not as it was when the run ended; next: testcell verify {sealed.RUN_ID}" in found.err
    (run / "SHA256SUMS").write_text("nonsense")
    assert "is not as it was" in cli("results", sealed.RUN_ID).err
    (run / "SHA256SUMS").unlink()
    assert cli("results", sealed.RUN_ID).err == ""


def test_a_run_that_could_go_on_stays_unless_it_is_given_up(
    project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import opening, plan

    asked = opening.Asked(scenario="example", hosts={}, run_id="20260102_030405")
    nobody = "me@here:1/other/1"
    decided = opening.open_run(opening.decide(asked, project, 1000.0, nobody))
    plan.save(decided)
    for path in decided.run_dir.iterdir():
        os.utime(path, (0, 0))
    os.utime(decided.run_dir, (0, 0))
    held = cli("results", "prune", "--days", "1", "--unfinished")
    assert "is not proved dead: me@here:1/other/1 controls it" in held.out and decided.run_dir.is_dir()
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import owner

    monkeypatch.setattr(owner, "is_dead", lambda *_: True)
    assert "it can go on: testcell resume 20260102_030405" in cli("results", "prune", "--days", "1").out
    assert "1 run(s) removed" in cli("results", "prune", "--days", "1", "--unfinished").out
    assert not decided.run_dir.exists()


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ("", []),
        ("results: {warn_free_percent: 100}\n", ["results.warn_free_percent"]),
        ("results: {warn_free_percent: 0, warn_share_percent: 0}\n", ["results.warn_share_percent"]),
    ],
    ids=["as-it-is", "little-free", "much-of-ours"],
)
def test_the_disk_is_shown_and_warned_of(
    project: Path, run: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, limits: str, words: list[str]
) -> None:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import disk

    monkeypatch.setattr(disk, "look", lambda _folder: disk.Disk(total=1 << 30, free=1 << 29))
    (project / "config" / "defaults.yaml").write_text(limits or "{}\n")
    found = cli("results", "--disk", "--format", "json").json
    assert (found["disk"]["free"], found["disk"]["total"]) == (1 << 29, 1 << 30) and [
        row["run_id"] for row in found["runs"]
    ] == [sealed.RUN_ID]
    assert len(found["disk"]["warnings"]) == len(words) and all(
        word in str(found["disk"]["warnings"]) for word in words
    )
    shown = cli("results", "--disk").out
    assert "512 MiB of 1.0 GiB free" in shown and shown.count("warning: ") == len(words)


def test_f28_a_run_says_at_its_start_that_the_disk_runs_low(project: Path, cli: Cli) -> None:
    (project / "config" / "defaults.yaml").write_text("results: {warn_free_percent: 100}\n")
    answer = cli("run", "example", "--dry-run")
    assert answer.code == 0 and "warning: the disk of" in answer.err and "testcell results prune" in answer.err


def test_runs_are_listed_with_what_they_ran_and_when(project: Path, cli: Cli, make_run: Callable[..., Path]) -> None:
    make_run(project / "results", "20260101_000000", started_at="2026-01-01T00:00:00+00:00")
    line = cli("results").out.splitlines()[1]
    assert "example" in line and "2026-01-01 00:00:00 UTC" in line


def test_the_help_of_results_names_its_commands(project: Path, cli: Cli) -> None:
    answer = cli("results", "--help")
    assert answer.code == 0 and all(
        f"  {name} " in answer.out for name in ("show", "prune", "pin", "unpin", "archive", "unpack")
    )
    assert cli("results", "show", "--format", "json").json == cli("results", "--format", "json").json == []
