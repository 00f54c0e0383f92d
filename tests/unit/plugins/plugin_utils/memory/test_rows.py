# SPDX-License-Identifier: MIT
"""A run's folder as rows: all of a good one, and of a bad one all but what is bad."""

from __future__ import annotations

import json
import os

import pytest
import remembered
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import rows
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import owner
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import strict_json

NOW = remembered.BEGAN + 10
RUN = "20260102_030405"


def read(run_dir):
    return rows.of_run(run_dir, now=NOW)


def changed(run_dir, **values):
    """Change keys of summary.json, given as `a__b`, as if somebody else had written it."""
    path = run_dir / "summary.json"
    document = json.loads(path.read_text())
    for place, value in values.items():
        *way, last = place.split("__")
        inner = document
        for part in way:
            inner = inner[int(part) if part.isdecimal() else part]
        if value is KeyError:
            del inner[last]
        else:
            inner[last] = value
    path.write_text(json.dumps(document, indent=2))


def test_a_finished_run_is_told_whole(tmp_path):
    failed = remembered.attempt("second", "model=a", 2, "fail")
    found = read(remembered.write(tmp_path, RUN, remembered.attempt(), failed))
    assert found.problems == ()
    run = dict(found.run)
    assert run.pop("digest").startswith("summary.json ")
    assert run == {
        "key": f"{RUN}@ctl", "run_id": RUN, "host": "ctl", "path": str(tmp_path / RUN), "state": "finished", "verdict": "pass",
        "exit_code": 0, "control_ok": True, "started_at": remembered.BEGAN, "ended_at": remembered.BEGAN + 3.75, "seconds": 4.0,
    }  # fmt: skip
    first, second = found.attempts
    assert first.case == {"scenario": "first", "name": "", "labels": '{"model": "small", "prompt_type": "chat"}'}
    assert first.nodes == ("n1", "n2") and first.evidence == () and first.row["verdict"] == "pass"
    assert ("ttft_ms_p50", 7.5, "ms") in first.metrics and (
        "output_token_throughput",
        1980.5,
        "tokens/s",
    ) in first.metrics
    assert len({name for name, _, _ in first.metrics}) == len(first.metrics)
    assert {key: second.row[key] for key in ("attempt", "error_kind", "owner", "retriable", "step", "node", "message")} == {
        "attempt": 2, "error_kind": "engine_dead", "owner": "engine", "retriable": True, "step": "test", "node": "n2",
        "message": "EngineCore died",
    }  # fmt: skip
    assert second.evidence == ("line 1", "line 2") and second.row["path"] == "second/model=a/attempt_2"
    assert second.row["ended_at"] == second.row["started_at"] + 3.5
    assert [(node["node"], node["clean"]) for node in found.nodes] == [("n1", True), ("n2", None)]
    assert [event["task"] for event in found.events] == ["task 0", "task 1", "task 2"]


OURS = owner.here()
DEAD = f"anna@{OURS.host}:4194303/{OURS.place}/1"


@pytest.mark.parametrize(
    ("named", "age_s", "state"),
    [
        pytest.param(owner.of_process(os.getpid()), 5_000, "running", id="a-living-process-of-this-machine"),
        pytest.param(DEAD, 0, "unfinished", id="a-dead-process-of-this-machine"),
        pytest.param(remembered.OWNER, 60, "running", id="another-machine-that-wrote-a-minute-ago"),
        pytest.param(remembered.OWNER, 5_000, "unfinished", id="another-machine-that-is-silent"),
    ],
)
def test_a_run_without_a_summary_goes_on_or_not(tmp_path, named, age_s, state):
    run_dir = remembered.write(tmp_path, RUN, finished=False, owner=named)
    for path in (run_dir / "journal.jsonl", run_dir / "events.jsonl", run_dir):
        os.utime(path, (NOW - age_s, NOW - age_s))
    found = read(run_dir)
    assert (found.run["state"], found.run["verdict"], found.run["exit_code"]) == (state, "", None)
    assert [(one.case["scenario"], one.row["verdict"]) for one in found.attempts] == [("first", "pass")]


def test_a_folder_of_the_first_version_has_neither_plan_nor_tables(tmp_path):
    run_dir = tmp_path / RUN
    run_dir.mkdir()
    case = {"scenario": "a", "verdict": "no_data", "attempt": 1, "case": ""}
    (run_dir / "summary.json").write_text(json.dumps({"run_id": RUN, "verdict": "no_data", "cases": [case]}))
    found = read(run_dir)
    assert found.problems == () and found.run["key"] == f"{RUN}@" and found.attempts[0].row["verdict"] == "no_data"


BROKEN = {
    "truncated": (lambda text: text[: len(text) // 2], "is not JSON"),
    "NaN": (
        lambda text: text.replace('"seconds": 4.0', '"seconds": NaN'),
        "seconds: NaN is not a number that JSON has",
    ),
    "duplicate-keys": (
        lambda text: text.replace('"exit_code": 0', '"exit_code": 0,\n"exit_code": 1'),
        "exit_code: the key is given twice",
    ),
    "nested-1e5": (lambda _: "[" * 100_000 + "]" * 100_000, "is nested too deeply"),
    "utf-16": (lambda text: text.encode("utf-16"), "is not UTF-8"),
    "empty": (lambda _: "", "is empty"),
    "list": (lambda _: "[]", "holds a list; expected an object"),
}


@pytest.mark.parametrize(("damage", "said"), BROKEN.values(), ids=[f"B89-{name}" for name in BROKEN])
def test_of_a_broken_summary_the_line_is_named_and_the_attempts_are_taken_from_their_own_files(tmp_path, damage, said):
    run_dir = remembered.write(tmp_path, RUN)
    path = run_dir / "summary.json"
    content = damage(path.read_text())
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    found = read(run_dir)
    (problem,) = found.problems
    assert problem.file == str(path) and problem.line > 0 and said in problem.render()
    assert (found.run["state"], found.run["verdict"]) == ("finished", "invalid")
    assert [(one.case["scenario"], one.row["verdict"]) for one in found.attempts] == [("first", "pass")]


def test_b89_a_summary_of_two_gibibytes_is_not_read(tmp_path):
    run_dir = remembered.write(tmp_path, RUN)
    with (run_dir / "summary.json").open("r+") as stream:
        stream.truncate(2 << 30)
    (problem,) = read(run_dir).problems
    assert "has 2147483648 bytes, over the limit of" in problem.message


WRONG = {
    "wrong-type": ({"cases__0__verdict": 7}, "cases[0].verdict", "is 7; expected pass or fail or"),
    "negative-seconds": ({"cases__0__seconds": -1}, "cases[0].seconds", "is -1; expected a finite number from 0"),
    "negative-count": (
        {"cases__0__metrics__requests_completed": -3},
        "cases[0].metrics.requests_completed",
        "is -3; expected",
    ),
    "huge-number": ({"cases__0__attempt": 1 << 70}, "cases[0].attempt", "expected a whole number from 1"),
    "flag-as-text": ({"cases__0__result__ok": "yes"}, "cases[0].result.ok", "is 'yes'; expected true or false"),
    "no-mapping": ({"cases__0__control": [1]}, "cases[0].control", "is [1]; expected a mapping"),
    "missing": ({"cases__0__scenario": KeyError}, "cases[0].scenario", "is missing; expected text"),
    "endless-seconds": ({"cases__0__seconds": 1e300}, "cases[0].seconds", "is 1e+300; expected seconds from 0 to"),
    "pass-of-a-failed-test": ({"cases__0__result__ok": False}, "cases[0].verdict", "is 'pass' beside result.ok false"),
    "pass-of-a-failed-cell": (
        {"cases__0__control__ok": False},
        "cases[0].verdict",
        "is 'pass' beside control.ok false",
    ),
    "escape": ({"cases__0__scenario": "../../etc"}, "cases[0].scenario", "leads out of the run's folder"),
}


@pytest.mark.parametrize(("values", "key", "said"), WRONG.values(), ids=[f"B89-{name}" for name in WRONG])
def test_a_wrong_value_is_named_by_line_and_key_and_its_attempt_is_no_pass(tmp_path, values, key, said):
    run_dir = remembered.write(tmp_path, RUN, remembered.attempt(), remembered.attempt("second"))
    changed(run_dir, **values)
    found = read(run_dir)
    (problem,) = found.problems
    assert problem.key == key and said in problem.message
    written = (run_dir / "summary.json").read_text().splitlines()[problem.line - 1]
    assert f'"{key.rpartition(".")[2]}"' in written or "missing" in said
    verdicts = {one.case["scenario"]: (one.row["verdict"], one.row["error_kind"]) for one in found.attempts}
    assert verdicts.pop("second") == ("pass", "")
    assert verdicts in ({"first": ("invalid", "result_invalid")}, {})


def test_b89_a_bad_line_of_the_table_of_figures_is_named_and_the_others_count(tmp_path):
    run_dir = remembered.write(tmp_path, RUN)
    path = run_dir / "first" / "performance_results.csv"
    with path.open("a") as stream:
        stream.write("r,s,,1,pass,,ttft_ms,p95,-3,ms\nr,s,,1,pass,,ttft_ms,p90,12.5,ms\n")
    lines = len(path.read_text().splitlines())
    found = read(run_dir)
    assert [problem.render() for problem in found.problems] == [
        f"{path}:{lines - 1}: value: is '-3'; expected a finite number from 0"
    ]
    assert ("ttft_ms_p90", 12.5, "ms") in found.attempts[0].metrics


def test_text_that_no_database_takes_is_spelled_out(tmp_path):
    odd = remembered.attempt(verdict="fail")
    odd["failure"]["message"] = "a\x00b\udcff"
    found = read(remembered.write(tmp_path, RUN, odd))
    assert found.attempts[0].row["message"] == "a\\x00b\\udcff"


def test_a_link_in_place_of_a_file_is_not_followed(tmp_path):
    run_dir = remembered.write(tmp_path, RUN)
    (tmp_path / "elsewhere.json").write_bytes((run_dir / "summary.json").read_bytes())
    (run_dir / "summary.json").unlink()
    (run_dir / "summary.json").symlink_to(tmp_path / "elsewhere.json")
    assert read(run_dir).run["verdict"] != "pass"


def test_b89_the_places_of_a_file_are_read_once_for_all_its_faults(tmp_path, monkeypatch):
    count = 40
    run_dir = remembered.write(tmp_path, RUN, *(remembered.attempt(case=f"c={number}") for number in range(count)))
    changed(run_dir, **{f"cases__{number}__seconds": -1 for number in range(count)})
    reads = []
    real = strict_json.read
    monkeypatch.setattr(strict_json, "read", lambda *args: reads.append(1) or real(*args))
    found = read(run_dir)
    written = (run_dir / "summary.json").read_text().splitlines()
    assert len(found.problems) == count and reads == [1]
    assert all('"seconds": -1' in written[problem.line - 1] for problem in found.problems)
    assert {one.row["verdict"] for one in found.attempts} == {"invalid"}


FILES = ("summary.json", "plan.json", "events.jsonl", "first/test_metadata.json", "first/performance_results.csv")
ODD = {
    "pipe": (os.mkfifo, "is no file"),
    "endless-device": (lambda path: path.symlink_to("/dev/zero"), "is a link, which is not followed"),
    "folder": (lambda path: path.mkdir(), "cannot be read: Is a directory"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(("make", "said"), ODD.values(), ids=[f"B89-{name}" for name in ODD])
def test_what_is_no_file_keeps_nobody_waiting_and_is_named(tmp_path, name, make, said):
    run_dir = remembered.write(tmp_path, RUN)
    (run_dir / name).unlink()
    make(run_dir / name)
    assert [problem.render() for problem in read(run_dir).problems] == [f"{run_dir / name}: {said}"]


def test_b89_of_a_file_that_is_bad_throughout_the_first_lines_are_named(tmp_path):
    run_dir = remembered.write(tmp_path, RUN)
    (run_dir / "events.jsonl").write_text("no event\n" * 5_000)
    assert [problem.line for problem in read(run_dir).problems] == list(range(1, 21))


def test_b89_a_table_without_its_columns_is_named(tmp_path):
    run_dir = remembered.write(tmp_path, RUN)
    path = run_dir / "first" / "performance_results.csv"
    path.write_text("name,value\nttft_ms,3\n")
    assert [problem.render() for problem in read(run_dir).problems] == [
        f"{path}:1: has no columns `metric` and `value`"
    ]


def test_names_that_become_one_when_they_are_spelled_out_are_one(tmp_path):
    twice = {"metrics": {"a\x00": 1, "a\\x00": 2}}
    run_dir = remembered.write(tmp_path, RUN)
    changed(run_dir, cases__0__metrics=twice["metrics"], nodes=["n\x00", "n\\x00"])
    found = read(run_dir)
    assert [name for name, _, _ in found.attempts[0].metrics].count("a\\x00") == 1
    assert [node["node"] for node in found.nodes] == ["n\\x00"]
