# SPDX-License-Identifier: MIT
from __future__ import annotations

import json

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import plan as run_plan
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import CaseRef
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import judging
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import case_board, run_board
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import failure

EXITED = {"state": "exited", "exit_code": 0}


def report(
    tmp_path,
    build,
    *,
    test=None,
    fail=None,
    step="deploy",
    later=(),
    later_at=97.0,
    snapshot=True,
    verified=True,
    recovered=None,
    lost=False,
    rules="",
    logs=None,
    notes=None,
):
    """Return the record and the result note of one case whose board says what the arguments say."""
    case = build.case(services=[build.service("a")])
    case = build.replace(case, test=build.replace(case.test, client="script", result_paths=("results/",)))
    run = build.replace(build.plan(tmp_path, case), classify_rules=rules)
    run.run_dir.mkdir(parents=True)
    journal.append(
        run.run_dir, {"t": 1.0, "step": "prep", "phase": "begin", "scenario": "other", "case": "", "attempt": 1}
    )
    board, shared = case_board(run.boards, 0), run_board(run.boards)
    board.post("opened", {"t": 90.0})
    if test:
        board.post("test", test)
    if fail:
        board.claim("failure", failure.of(fail, f"it was {fail}", at=95.0, step=step).as_dict())
    for kind in later:
        board.claim(f"later-failure.{kind}.n1", failure.of(kind, f"then {kind}", at=later_at).as_dict())
    if recovered:
        board.post("recovered.a", recovered)
    if lost:
        board.post("lost.n2", {"why": "another run has it"})
    for name, note in (notes or {}).items():
        board.post(name, note)
    if snapshot:
        board.post("snapshot.n1", {})
    if snapshot and verified is not None:
        board.post("verified.n1", {"clean": verified, "leftovers": [], "foreign": [], "errors": []})
    results = case.ref.folder(run.run_dir) / "test_artifacts" / "results"
    results.mkdir(parents=True)
    (results / "data").write_text("x")
    for name, text in (logs or {}).items():
        path = case.ref.folder(run.run_dir) / "nodes" / "n1" / "services" / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    document = judging.report_case(run, case, board, shared, 100.0)
    return run, document, shared


CASES = [
    ("all went well", {"test": EXITED}, "pass", 0),
    ("the script failed", {"test": {**EXITED, "exit_code": 3}}, "fail", 1),
    ("the test never ran", {}, "no_data", 4),
    ("an engine failure", {"fail": "container_exited"}, "fail", 1),
    ("a node without the bind source", {"fail": "mount_invalid", "step": "prep"}, "error", 5),
    ("a bind source that compose refuses", {"fail": "mount_invalid", "step": "deploy"}, "fail", 1),
    ("a network failure", {"fail": "ssh_timeout"}, "error", 5),
    ("the lease was held", {"fail": "lock_held", "snapshot": False}, "error", 6),
    ("passed but not clean", {"test": EXITED, "fail": "cleanup_failed", "verified": False}, "error", 7),
    ("failed and not clean", {"fail": "container_exited", "later": ("cleanup_failed",), "verified": False}, "fail", 7),
]


@pytest.mark.parametrize(("board", "verdict", "code"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_the_verdict_and_the_exit_code_follow_from_the_board(tmp_path, build, board, verdict, code):
    run, document, shared = report(tmp_path, build, **board)
    assert document["verdict"] == verdict
    summary = judging.report_run(run, shared, 101.0)
    assert (summary["verdict"], summary["exit_code"]) == (verdict, code)


def test_f07_a_controller_killed_at_the_summary_leaves_no_value_of_its_caller(tmp_path, build, monkeypatch):
    run, _, shared = report(tmp_path, build, test=EXITED)
    run_plan.save(build.replace(run, environment={"TOKEN": "secret"}))
    monkeypatch.setattr(judging.run_files, "write", lambda *_args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        judging.report_run(run, shared, 101.0)
    assert not [path for path in run.run_dir.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]


def test_the_first_error_is_never_overwritten(tmp_path, build):
    _, document, _ = report(tmp_path, build, fail="container_exited", later=("cleanup_failed", "transfer_failed"))
    assert document["failure"]["error_kind"] == "container_exited"
    assert "later: then cleanup_failed" in document["warnings"]


def test_what_the_reasons_tell_is_no_warning_again(tmp_path, build):
    alike = failure.of("mount_invalid", "it was so on n2", at=98.0, step="prep", node="n2").as_dict()
    _, document, _ = report(
        tmp_path,
        build,
        fail="mount_invalid",
        step="prep",
        later=("ssh_dropped",),
        notes={"later-failure.prep.n2": alike},
    )
    assert document["reasons"] == ["it was mount_invalid", "it was so on n2"]
    assert document["warnings"] == ["later: then ssh_dropped"]


def test_a_failure_that_wraps_another_is_told_by_what_the_collected_log_says(tmp_path, build):
    run, document, shared = report(tmp_path, build, fail="container_exited", logs={"a": "CUDA out of memory\n"})
    assert (document["verdict"], document["failure"]["error_kind"]) == ("fail", "gpu_oom")
    assert "(container_exited); its cause: CUDA out of memory" in document["failure"]["message"]
    written = json.loads((run.run_dir / "s" / "failure.json").read_text())
    assert (written["rule"], written["during_fault"]) == ("gpu-oom", "")
    assert judging.report_run(run, shared, 101.0)["cases"][0]["failure"]["error_kind"] == "gpu_oom"


def test_a_failure_that_wraps_another_is_told_by_what_was_seen_on_its_node(tmp_path, build):
    card = {"index": 0, "name": "H100", "uuid": "GPU-0", "fault": ""}
    versions = {"engine": {}, "compose": [], "python": "3", "kernel": "6"}
    notes = {
        "facts.n1": {**versions, "gpus": [card], "warnings": [], "clock_offset_s": 0.0},
        "collected.n1": {
            "files": [],
            "missing": [],
            "refused": [],
            "containers": [],
            "gpus": {"cards": [], "error": ""},
        },
    }
    _, document, _ = report(tmp_path, build, fail="container_exited", notes=notes)
    assert (document["failure"]["error_kind"], document["failure"]["node"]) == ("gpu_fault", "n1")


def test_the_projects_rules_for_failures_come_first(tmp_path, build):
    rules = tmp_path / "rules.yml"
    rules.write_text("rules: [{id: ours, kind: gpu_fault, patterns: ['out of memory on our cards']}]\n")
    logs = {"a": "CUDA out of memory on our cards\n"}
    _, document, _ = report(tmp_path / "1", build, fail="container_exited", logs=logs, rules=str(rules))
    assert (document["failure"]["error_kind"], document["failure"]["rule"]) == ("gpu_fault", "ours")
    rules.write_text("rules: {}\n")
    _, document, _ = report(tmp_path / "2", build, fail="container_exited", logs=logs, rules=str(rules))
    assert document["failure"]["error_kind"] == "gpu_oom"
    assert document["reasons"][-1].startswith(f"{rules} was changed since the run began and cannot be used: ")


def test_f39_a_node_that_only_waited_is_not_the_cause_even_if_it_told_first(tmp_path, build):
    _, document, _ = report(tmp_path, build, fail="container_exited", later=("dependency_failed",), later_at=94.0)
    assert document["failure"]["error_kind"] == "container_exited"
    assert document["warnings"] == []


@pytest.mark.parametrize(
    ("lost", "kind", "verdict"), [(True, "controller_died", "error"), (False, "service_died", "fail")]
)
def test_f10_what_a_node_misses_of_one_that_another_run_has_taken_is_no_failure_of_the_engine(
    tmp_path, build, lost, kind, verdict
):
    _, document, _ = report(tmp_path, build, fail="service_died", step="test", later=("controller_died",), lost=lost)
    assert (document["failure"]["error_kind"], document["verdict"]) == (kind, verdict)


@pytest.mark.parametrize(
    ("board", "verdict", "lines"), [({"test": EXITED}, "flaky", 1), ({"fail": "service_died"}, "fail", 2)]
)
def test_what_the_cell_did_for_the_engine_is_always_a_reason(tmp_path, build, board, verdict, lines):
    note = {"service": "a", "node": "n1", "restarts": 1, "last": "died with exit status 1"}
    _, document, _ = report(tmp_path, build, **board, recovered=note)
    assert (document["verdict"], document["result"]["ok"]) == (verdict, False)
    assert len(document["reasons"]) == lines
    assert document["reasons"][-1].endswith("while the test ran and was started again, 1 time(s)")


def test_every_file_of_the_case_and_the_run_is_written(tmp_path, build):
    run, _, shared = report(tmp_path, build, test=EXITED)
    judging.report_run(run, shared, 101.0)
    names = {path.name for path in run.run_dir.iterdir()}
    assert {"summary.json", "summary.md", "report.html", "junit.xml", "journal.jsonl"} <= names
    assert ".board" not in names
    case = {path.name for path in (run.run_dir / "s").iterdir()}
    assert {
        "test_metadata.json",
        "result_summary.json",
        "performance_results.csv",
        "test_report.md",
        "timeline.csv",
        "manifest.json",
    } <= case
    assert json.loads((tmp_path / "latest" / "summary.json").read_text())["counts"] == {"pass": 1}


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["pass"], "pass"),
        (["fail", "pass"], "flaky"),
        (["fail", "fail"], "fail"),
        (["pass", "skipped"], "pass"),
        (["skipped"], "skipped"),
    ],
    ids=["one", "G06 second try", "both", "repeat not needed", "never run"],
)
def test_attempts_are_taken_together(verdicts, expected):
    records = [{"scenario": "s", "case": "", "attempt": n, "verdict": v} for n, v in enumerate(verdicts, 1)]
    assert judging._settled(records) == [expected]


def test_a_skipped_case_says_why_and_has_no_files(tmp_path, build):
    case = build.case(ref=CaseRef("s", "", 2), services=[build.service("a")])
    run = build.plan(tmp_path, case)
    board, shared = case_board(run.boards, 0), run_board(run.boards)
    board.post("skip", {"reason": "the attempt before passed"})
    document = judging.report_case(run, case, board, shared, 5.0)
    assert (document["verdict"], document["reasons"]) == ("skipped", ["the attempt before passed"])
    assert not case.ref.folder(run.run_dir).exists()


def test_a_case_that_was_never_run_makes_no_green_run(tmp_path, build):
    run, _, shared = report(tmp_path, build, test=EXITED)
    longer = build.replace(run, cases=(*run.cases, build.case(index=1, ref=CaseRef("other", "", 1))))
    summary = judging.report_run(longer, shared, 101.0)
    assert (summary["verdict"], summary["exit_code"]) == ("error", 5)
    assert [case["verdict"] for case in summary["cases"]] == ["pass", "error"]
    assert "other was never run" in summary["cases"][1]["failure"]["message"]


VERIFIED = {
    "clean": ({}, {"n1": (True, 0)}),
    "left-dirty": ({"fail": "cleanup_failed", "verified": False}, {"n1": (False, 1)}),
    "never-verified": ({"verified": None, "fail": "ssh_timeout"}, {"n1": (None, 1)}),
    "never-touched": ({"snapshot": False, "fail": "lock_held"}, {}),
}


@pytest.mark.parametrize(("board", "expected"), VERIFIED.values(), ids=VERIFIED)
def test_the_summary_of_a_run_says_whether_its_nodes_were_verified(tmp_path, build, board, expected):
    run, document, shared = report(tmp_path, build, test=EXITED, **board)
    longer = build.replace(run, cases=(*run.cases, build.case(index=1, ref=CaseRef("other", "", 1))))
    judging.report_run(longer, shared, 101.0)
    found = json.loads((run.run_dir / "summary.json").read_text()).get("verify", {})
    assert {node: (state["clean"], len(state["cases"])) for node, state in found.items()} == expected
    assert {node: state["clean"] for node, state in document["verify"].items()} == {
        node: clean for node, (clean, _) in expected.items()
    }
    page = (run.run_dir / "summary.md").read_text()
    assert ("not clean: n1" in page) is bool(expected and not expected["n1"][0]), "as the exit code says it"


def test_f28_a_disk_that_ran_low_is_a_warning_of_the_run(tmp_path, build):
    run, _, shared = report(tmp_path, build, test=EXITED)
    run_plan.save(build.replace(run, warnings=("the disk runs low",)))
    judging.report_run(run_plan.load(run.run_dir), shared, 101.0)
    assert json.loads((run.run_dir / "summary.json").read_text())["warnings"] == ["the disk runs low"]
    assert "the disk runs low" in (run.run_dir / "summary.md").read_text()
