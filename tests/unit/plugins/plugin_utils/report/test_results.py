# SPDX-License-Identifier: MIT

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import results, retention
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import owner

HERE = owner.here()
NOW = 1_800_000_000.0
DAY = 86_400.0


def make_run(base: Path, run_id: str, age_days: float = 0.0, **summary: Any) -> Path:
    folder = base / run_id
    folder.mkdir(parents=True)
    document = {
        "run_id": run_id,
        "verdict": "pass",
        "exit_code": 0,
        "counts": {"pass": 1},
        "seconds": 3.0,
        "cases": [{"scenario": "a"}],
    }
    (folder / "summary.json").write_text(json.dumps({**document, **summary}))
    (folder / "log").write_bytes(b"x" * 1000)
    for path in (*folder.iterdir(), folder):
        os.utime(path, (NOW - age_days * DAY,) * 2)
    return folder


def clean(base: Path, *, dry_run: bool = False, resumable: str = "", **policy: Any) -> retention.Cleaned:
    return retention.prune(base, retention.Policy(**policy), NOW, resumable=lambda _run: resumable, dry_run=dry_run)


def names(base: Path) -> set[str]:
    return {entry.name for entry in base.iterdir()}


def test_runs_are_listed_in_the_order_they_began(tmp_path: Path) -> None:
    for run_id in ("20260101_000000_10", "20260101_000000", "20260101_000000_2", "20251231_235959"):
        make_run(tmp_path, run_id)
    found = results.list_runs(tmp_path, NOW)
    assert [row.run_id for row in found] == [
        "20251231_235959",
        "20260101_000000",
        "20260101_000000_2",
        "20260101_000000_10",
    ]
    assert (
        found[0].bytes > 1000 and found[0].verdict == "pass" and found[0].counts == {"pass": 1} and found[0].cases == 1
    )


def test_no_results_folder_is_an_empty_list(tmp_path: Path) -> None:
    assert results.list_runs(tmp_path / "none", NOW) == ()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes", None),
        ("20260101_000000", None),
        ("20260101_000000", {"run_id": "20250101_000000"}),
        ("20260101_000000", ["list"]),
        ("20260101_0000", {"run_id": "20260101_0000"}),
    ],
    ids=["other-name", "no-summary", "other-run-id", "not-a-mapping", "no-run-id"],
)
def test_folders_that_are_no_runs_of_ours_are_not_listed_and_never_removed(
    tmp_path: Path, name: str, content: Any
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "precious").write_text("keep")
    if content is not None:
        (tmp_path / name / "summary.json").write_text(json.dumps(content))
    os.utime(tmp_path / name, (0, 0))
    assert results.list_runs(tmp_path, NOW) == ()
    clean(tmp_path, days=0)
    assert (tmp_path / name / "precious").read_text() == "keep"


def test_unfinished_run_is_known_by_its_plan_or_journal(tmp_path: Path) -> None:
    for run_id, name, text in (
        ("20260101_000001", "plan.json", '{"run_id": "20260101_000001"}'),
        ("20260101_000002", "journal.jsonl", 'not json\n{"t": 1, "run": "20260101_000002"}\n'),
    ):
        (tmp_path / run_id).mkdir()
        (tmp_path / run_id / name).write_text(text)
        os.utime(tmp_path / run_id / name, (NOW - 7200,) * 2)
        os.utime(tmp_path / run_id, (NOW - 7200,) * 2)
    assert [(r.run_id, r.state, r.verdict) for r in results.list_runs(tmp_path, NOW)] == [
        ("20260101_000001", "unfinished", ""),
        ("20260101_000002", "unfinished", ""),
    ]


@pytest.mark.parametrize(
    ("controller", "age_s", "state", "alive"),
    [
        pytest.param(owner.of_process(os.getpid()), 5000, "running", True, id="a-living-process-that-is-silent"),
        pytest.param(f"anna@{HERE.host}:4194303/{HERE.place}/1", 1, "unfinished", False, id="a-dead-one"),
        pytest.param("anna@elsewhere:77/abcd1234-1/1", 60, "running", None, id="another-machine-that-writes"),
        pytest.param("anna@elsewhere:77/abcd1234-1/1", 5000, "unfinished", None, id="another-machine-that-is-silent"),
        pytest.param(None, 60, "running", None, id="nobody-that-is-told"),
    ],
)
def test_f01_a_run_without_a_summary_goes_on_while_its_controller_lives(
    tmp_path: Path, controller: str | None, age_s: float, state: str, alive: bool | None
) -> None:
    folder = tmp_path / "20260101_000000"
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps({"run_id": folder.name, "owner": controller}))
    for path in (folder / "plan.json", folder):
        os.utime(path, (NOW - age_s,) * 2)
    assert [row.state for row in results.list_runs(tmp_path, NOW)] == [state]
    assert results.is_alive(folder) is alive


@pytest.mark.parametrize("content", ["{", "[]", "\xff", '{"a": ' * 50_000], ids=["cut", "list", "latin", "deep"])
def test_summary_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    folder = make_run(tmp_path, "20260101_000000")
    (folder / "summary.json").write_text(content, encoding="latin-1")
    with pytest.raises(results.ResultsError, match=r"summary\.json"):
        results.load_summary(folder)


def test_find_run_takes_latest_and_names_what_there_is(tmp_path: Path) -> None:
    make_run(tmp_path, "20260101_000000")
    newest = make_run(tmp_path, "20260102_000000")
    assert results.find_run(tmp_path, "latest") == newest
    with pytest.raises(results.ResultsError, match="20260102_000000"):
        results.find_run(tmp_path, "20990101_000000")
    with pytest.raises(results.ResultsError):
        results.find_run(tmp_path, "../20260101_000000")


def test_only_runs_older_than_the_limit_go(tmp_path: Path) -> None:
    make_run(tmp_path, "20260101_000000", age_days=8)
    make_run(tmp_path, "20260102_000000", age_days=6)
    done = clean(tmp_path, days=7)
    assert [row.run_id for row in done.removed] == ["20260101_000000"] and done.bytes > 1000
    assert names(tmp_path) == {"20260102_000000"}


def test_dry_run_removes_nothing_and_names_the_same(tmp_path: Path) -> None:
    make_run(tmp_path, "20260101_000000", age_days=8)
    done = clean(tmp_path, days=7, dry_run=True)
    assert [row.run_id for row in done.removed] == ["20260101_000000"] and done.dry_run
    assert names(tmp_path) == {"20260101_000000"}


def test_the_end_in_the_summary_beats_file_times(tmp_path: Path) -> None:
    make_run(tmp_path, "20260101_000000", age_days=0, ended_at="2001-01-01T00:00:00+00:00")
    assert len(clean(tmp_path, days=7).removed) == 1


def test_a_run_that_still_writes_is_kept_whatever_the_limit(tmp_path: Path) -> None:
    folder = tmp_path / "20260101_000000"
    folder.mkdir()
    (folder / "plan.json").write_text('{"run_id": "20260101_000000"}')
    os.utime(folder / "plan.json", (NOW - 5,) * 2)
    assert results.list_runs(tmp_path, NOW)[0].state == "running"
    assert clean(tmp_path, days=0).removed == ()


def test_a_link_named_like_a_run_is_neither_listed_nor_followed(tmp_path: Path) -> None:
    outside = make_run(tmp_path / "outside", "20260101_000000", age_days=99)
    inside = tmp_path / "results"
    inside.mkdir()
    (inside / "20260101_000000").symlink_to(outside)
    assert results.list_runs(inside, NOW) == ()
    clean(inside, days=0)
    assert (outside / "summary.json").exists() and (inside / "20260101_000000").is_symlink()


def test_links_inside_a_run_are_removed_but_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("keep")
    base = tmp_path / "results"
    folder = make_run(base, "20260101_000000", age_days=99)
    (folder / "link").symlink_to(precious)
    (folder / "file_link").symlink_to(precious / "file")
    os.utime(folder, (0, 0))
    assert len(clean(base, days=7).removed) == 1
    assert (precious / "file").read_text() == "keep" and names(base) == set()


def test_a_summary_behind_a_link_proves_nothing(tmp_path: Path) -> None:
    real = make_run(tmp_path / "elsewhere", "20260101_000000")
    fake = tmp_path / "results" / "20260101_000000"
    fake.mkdir(parents=True)
    (fake / "summary.json").symlink_to(real / "summary.json")
    assert results.list_runs(tmp_path / "results", NOW) == ()


@pytest.mark.parametrize("others", [["20260102_000000"], []], ids=["beside-a-younger-one", "alone"])
def test_the_latest_run_is_kept_whatever_its_age(tmp_path: Path, others: list[str]) -> None:
    make_run(tmp_path, "20260101_000000", age_days=99)
    for run_id in others:
        make_run(tmp_path, run_id)
    (tmp_path / "latest").symlink_to("20260101_000000")
    assert clean(tmp_path, days=7).refused == (("20260101_000000", "it is the latest"),)
    assert (tmp_path / "latest" / "summary.json").is_file()


@pytest.mark.parametrize(
    ("kept", "target"),
    [(["20260102_000000"], "20260102_000000"), ([], None)],
    ids=["moves-to-the-newest", "goes-with-the-last"],
)
def test_latest_stays_right_when_its_run_is_taken_out(tmp_path: Path, kept: list[str], target: str | None) -> None:
    folder = make_run(tmp_path, "20260101_000000")
    for run_id in kept:
        make_run(tmp_path, run_id)
    (tmp_path / "latest").symlink_to("20260101_000000")
    assert retention.take_out(tmp_path, folder, NOW) == ""
    link = tmp_path / "latest"
    assert (os.readlink(link) if link.is_symlink() else None) == target


FOUR = (
    ("20260101_000000", 40, "fail"),
    ("20260102_000000", 30, "pass"),
    ("20260103_000000", 20, "error"),
    ("20260104_000000", 1, "pass"),
)


@pytest.mark.parametrize(
    ("policy", "gone"),
    [
        pytest.param({"days": 25}, "12", id="older"),
        pytest.param({"days": 25, "failed_days": 60}, "2", id="failed-ones-stay-longer"),
        pytest.param({"days": 35, "failed_days": 5}, "13", id="failed-ones-go-sooner"),
        pytest.param({"keep": 1}, "123", id="all-but-the-newest"),
        pytest.param({"keep": 0}, "1234", id="all"),
        pytest.param({"keep": 9}, "", id="fewer-than-are-kept"),
        pytest.param({"keep": 1, "failed_days": 30}, "12", id="all-but-the-newest-and-young-failed-ones"),
        pytest.param({"max_bytes": 2800}, "12", id="oldest-first-until-the-rest-fits"),
        pytest.param({"max_bytes": 2800, "failed_days": 60}, "24", id="failed-ones-are-passed-over"),
        pytest.param({"max_bytes": 10**6}, "", id="it-fits"),
    ],
)
def test_a_policy_lets_these_go(tmp_path: Path, policy: dict[str, Any], gone: str) -> None:
    for run_id, age, verdict in FOUR:
        make_run(tmp_path, run_id, age_days=age, verdict=verdict)
    would = clean(tmp_path, dry_run=True, **policy)
    done = clean(tmp_path, **policy)
    assert [row.run_id[7] for row in done.removed] == [row.run_id[7] for row in would.removed] == list(gone)
    assert {name[7] for name in names(tmp_path)} == set("1234") - set(gone)


@pytest.mark.parametrize("verdict", ["fail", "error", "invalid", "no_data", "flaky", "cancelled"])
def test_what_did_not_pass_at_once_stays_as_what_did_not_pass(tmp_path: Path, verdict: str) -> None:
    make_run(tmp_path, "20260101_000000", age_days=40, verdict="pass")
    make_run(tmp_path, "20260102_000000", age_days=40, verdict=verdict)
    assert [row.verdict for row in clean(tmp_path, days=25, failed_days=60).removed] == ["pass"]


def test_a_run_that_stays_makes_others_go_for_the_room(tmp_path: Path) -> None:
    for run_id, age, verdict in FOUR:
        make_run(tmp_path, run_id, age_days=age, verdict=verdict)
    results.pin(tmp_path / "20260101_000000")
    done = clean(tmp_path, max_bytes=2800)
    assert [row.run_id[7] for row in done.removed] == ["2", "3"] and "pinned" in dict(done.refused)["20260101_000000"]


@pytest.mark.parametrize("policy", [{"days": 0}, {"keep": 0}, {"max_bytes": 0}], ids=["by-age", "by-number", "by-size"])
@pytest.mark.parametrize("why", ["pinned", "live", "resumable", "latest"])
def test_what_is_never_removed(tmp_path: Path, why: str, policy: dict[str, Any]) -> None:
    folder = make_run(tmp_path, "20260101_000000", age_days=99)
    if why == "pinned":
        (folder / ".keep").write_text("the run of the release")
    elif why == "latest":
        (tmp_path / "latest").symlink_to(folder.name)
    else:
        (folder / "summary.json").rename(folder / "plan.json")
        os.utime(folder / "plan.json", ((NOW - 60) if why == "live" else 0,) * 2)
    done = clean(tmp_path, resumable="it can go on", **policy)
    assert done.removed == () and [name for name, _ in done.refused] == [folder.name]
    assert folder.is_dir()


def test_a_pin_comes_and_goes(tmp_path: Path) -> None:
    folder = make_run(tmp_path, "20260101_000000", age_days=99)
    assert [results.pin(folder), results.pin(folder), results.read_run(folder, NOW).pinned] == [True, False, True]
    assert [results.unpin(folder), results.unpin(folder), results.read_run(folder, NOW).pinned] == [True, False, False]
    assert len(clean(tmp_path, days=7).removed) == 1


def test_a_folder_called_latest_is_left_alone(tmp_path: Path) -> None:
    make_run(tmp_path, "20260101_000000", age_days=99)
    (tmp_path / "latest").mkdir()
    clean(tmp_path, days=7)
    assert names(tmp_path) == {"latest"}


def test_an_interrupted_cleaning_is_finished_by_the_next(tmp_path: Path) -> None:
    make_run(tmp_path, "20260101_000000").rename(tmp_path / ".removing.20260101_000000")
    (tmp_path / ".removing.mine").mkdir()
    for name, age_s in ((".unpacking-old", 2 * DAY), (".unpacking-new", 60)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (NOW - age_s,) * 2)
    clean(tmp_path, days=7)
    assert names(tmp_path) == {".removing.mine", ".unpacking-new"}


def test_what_a_killed_archive_has_left_goes_with_the_next_cleaning(tmp_path: Path) -> None:
    old = ".20260101_000000.tar.gz.abc"
    kept = {".20260101_000000_2.tar.gz.new", ".mine.tar.gz.abc", "20260101_000000.tar.gz"}
    for name in (old, *kept):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (NOW - (60 if name.endswith("new") else 2 * DAY),) * 2)
    clean(tmp_path, days=0, dry_run=True)
    assert names(tmp_path) == {old, *kept}
    clean(tmp_path, days=0)
    assert names(tmp_path) == kept
