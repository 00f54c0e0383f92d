# SPDX-License-Identifier: MIT
"""A run's folder as rows: all of a good one, and of a bad one all but what is bad."""

from __future__ import annotations

import json
import os

import pytest
import remembered
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import rows
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import owner

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
    assert run.pop("digest").startswith("sha256:")
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
