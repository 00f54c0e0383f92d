# SPDX-License-Identifier: MIT
from __future__ import annotations

import json

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy import estimates
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.estimates import Estimate, Start
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import case_files
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import CaseRef


def service(name="engine", began=1.0, ready=3.5, image="engine:1"):
    return {"name": name, "node": "n1", "image": image, "started_s": began, "ready_s": ready, "state": "running"}


@pytest.fixture
def results(tmp_path):
    """Return a results folder with a method `run` that writes the files of one attempt as a run does."""

    class Results:
        folder = tmp_path / "results"

        def run(self, number, *services, scenario="shop", case="", attempt=1, **changes):
            run_id = f"20260101_{number:06d}"
            record = {"run_id": run_id, "scenario": scenario, "case": case, "attempt": attempt, "verdict": "pass"}
            folder = CaseRef(scenario, case, attempt).folder(self.folder / run_id)
            case_files.write(folder, {**record, "services": list(services), **changes})
            return folder / "result_summary.json"

        def seconds(self, *scenarios):
            found = estimates.past_starts(self.folder, scenarios or ("shop",))
            return [start.seconds for starts in found.values() for start in starts]

    return Results()


@pytest.mark.parametrize(
    ("image", "start_period_s", "past", "expected"),
    [
        ("e:1", 0.0, [], Estimate(1.0, "assumed")),
        ("e:1", 90.0, [], Estimate(90.0, "start_period")),
        ("e:1", 90.0, [Start("e", "e:1", 3.0)], Estimate(3.0, "measured")),
        ("e:1", 0.0, [Start("e", "e:1", s) for s in (9.0, 2.0, 3.0)], Estimate(3.0, "measured")),
        ("e:1", 0.0, [Start("e", "e:1", s) for s in (1.0, 2.0)], Estimate(1.5, "measured")),
        ("e:2", 0.0, [Start("e", "e:1", 3.0)], Estimate(1.0, "assumed")),
        ("e:2", 0.0, [Start("e", "e:1", 3.0), Start("e", "e:2", 7.0)], Estimate(7.0, "measured")),
        ("e:2", 0.0, [Start("e", "", 3.0)], Estimate(3.0, "measured")),
        ("", 0.0, [Start("e", "e:1", 3.0)], Estimate(3.0, "measured")),
        ("e:${TAG}", 0.0, [Start("e", "e:1", 3.0)], Estimate(3.0, "measured")),
        ("e:1", 0.0, [Start("other", "e:1", 3.0)], Estimate(1.0, "assumed")),
    ],
    ids=[
        "nothing known",
        "start_period of the check",
        "a measurement beats start_period",
        "median of three",
        "median of two",
        "another image tells nothing",
        "only the same image counts",
        "an image that was not recorded",
        "no image in the file",
        "an image that is filled in later",
        "another service tells nothing",
    ],
)
def test_the_best_that_is_known_is_taken(image, start_period_s, past, expected):
    assert estimates.estimate("e", image, start_period_s, past) == expected


def test_starts_are_read_from_the_files_of_past_runs(results):
    results.run(1, service(), service("router", 3.5, 4.0, "router:1"))
    found = estimates.past_starts(results.folder, ["shop"])
    assert found == {"shop": (Start("engine", "engine:1", 2.5), Start("router", "router:1", 0.5))}


def test_cases_and_repeats_of_a_run_count(results):
    results.run(1, service(ready=2.0))
    results.run(2, service(ready=3.0), case="size-1")
    results.run(2, service(ready=4.0), case="size-1", attempt=2)
    results.run(3, service(ready=5.0), attempt=2)
    assert sorted(results.seconds()) == [1.0, 2.0, 3.0, 4.0]


def test_only_the_last_five_runs_of_the_scenario_count(results):
    for number in range(1, 9):
        results.run(number, service(ready=1.0 + number))
        results.run(number + 20, service(), scenario="other")
    assert results.seconds() == [8.0, 7.0, 6.0, 5.0, 4.0]


def test_runs_in_which_nothing_became_ready_do_not_use_up_the_five(results):
    results.run(1, service(ready=2.0))
    for number in range(2, 9):
        results.run(number, service(ready=None))
    assert results.seconds() == [1.0]


def test_only_the_newest_fifty_folders_are_looked_at(results):
    results.run(1, service())
    for number in range(2, 52):
        (results.folder / f"20260101_{number:06d}").mkdir()
    assert results.seconds() == []
    (results.folder / "20260101_000051").rmdir()
    assert results.seconds() == [2.5]


def cut(path):
    path.write_text(path.read_text()[:-20])


def too_large(path):
    path.write_text(path.read_text() + " " * estimates.MAX_BYTES)


def link(path):
    path.rename(path.with_name("elsewhere.json"))
    path.symlink_to("elsewhere.json")


def folder(path):
    path.unlink()
    path.mkdir()


def moved(path):
    path.parent.joinpath("test_artifacts").mkdir()
    path.rename(path.parent / "test_artifacts" / path.name)


def changed(**changes):
    return lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "spoil",
    [
        cut,
        too_large,
        link,
        folder,
        moved,
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text("[1, 2]"),
        changed(run_id="20250101_000000"),
        changed(scenario="other"),
        changed(services="none"),
        changed(services=[{"name": "engine", "started_s": "1", "ready_s": 2}, 7, None]),
        changed(services=[{"name": "engine", "started_s": 5.0, "ready_s": 2.0}]),
        changed(services=[{"name": "engine", "started_s": True, "ready_s": 2.0}]),
    ],
    ids=[
        "cut off",
        "too large",
        "a link",
        "a folder",
        "an artifact",
        "not text",
        "too deep",
        "no object",
        "of another run",
        "of another scenario",
        "services are no list",
        "times are text",
        "ready before it was started",
        "times are flags",
    ],
)
def test_what_is_damaged_or_not_ours_is_passed_over(results, spoil):
    results.run(1, service(ready=2.0))
    spoil(results.run(2, service()))
    assert results.seconds() == [1.0]


def test_no_results_folder_and_one_that_is_a_file_mean_nothing_is_known(tmp_path):
    assert estimates.past_starts(tmp_path / "none", ["shop"]) == {"shop": ()}
    (tmp_path / "file").write_text("")
    assert estimates.past_starts(tmp_path / "file", ["shop"]) == {"shop": ()}
