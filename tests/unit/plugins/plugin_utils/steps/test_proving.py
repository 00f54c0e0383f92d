# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
import json

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import sums, verify
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import plan as run_plan
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import judging, resuming
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import case_board, run_board
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import failure

PATH, CONTENT = "test_artifacts/results/data", b"bytes of the node"
SHA, BLAKE = hashlib.sha256(CONTENT).hexdigest(), hashlib.blake2b(CONTENT).hexdigest()
FORMS = {
    "first-form": {"sha256": SHA},
    "sha256": {"digest": f"sha256:{SHA}"},
    "blake2b": {"digest": f"blake2b:{BLAKE}"},
    "none": {"digest": ""},
}


def case_with_a_file(tmp_path, build, content=CONTENT, digest=FORMS["sha256"], fail=None):
    """Return the plan of a run whose one case passed and brought a file home, and what is on its disk."""
    case = build.case(services=[build.service("a")])
    case = build.replace(case, test=build.replace(case.test, client="script", result_paths=("results/",)))
    run = build.plan(tmp_path, case)
    folder = case.ref.folder(run.run_dir)
    board = case_board(run.boards, 0)
    board.post("opened", {"t": 90.0})
    board.post("test", {"state": "exited", "exit_code": 0})
    entry = {"path": PATH, "size": len(CONTENT), "mode": 0o644, "mtime_ns": 1, **digest}
    board.post("collected.n1", {"containers": [], "files": [entry], "missing": [], "refused": []})
    if fail:
        board.claim("failure", failure.of(fail, "it failed", at=95.0, step="deploy").as_dict())
    (folder / PATH).parent.mkdir(parents=True)
    if content is not None:
        (folder / PATH).write_bytes(content)
    return run, case


def reported(run, case):
    return judging.report_case(run, case, case_board(run.boards, 0), run_board(run.boards), 100.0)


@pytest.mark.parametrize("digest", FORMS.values(), ids=FORMS)
def test_a_run_with_whole_files_passes_and_is_proved(tmp_path, build, digest):
    run, case = case_with_a_file(tmp_path, build, digest=digest)
    assert reported(run, case)["verdict"] == "pass"
    summary = judging.report_run(run, run_board(run.boards), 101.0)
    assert summary["verdict"] == "pass"
    assert verify.folder(run.run_dir).findings == ()
    (case.ref.folder(run.run_dir) / PATH).write_bytes(b"other bytes, sic!")
    assert [finding.path for finding in verify.folder(run.run_dir).findings] == [f"s/{PATH}"]


@pytest.mark.parametrize(
    ("content", "digest", "said"),
    [
        pytest.param(b"bytes of another.", FORMS["sha256"], f"sha256 {SHA}", id="F21-other-bytes"),
        pytest.param(b"bytes of another.", FORMS["blake2b"], f"blake2b {BLAKE}", id="F21-other-bytes-by-blake2b"),
        pytest.param(b"bytes", FORMS["none"], "17 bytes, found 5 bytes", id="F21-cut"),
        pytest.param(None, FORMS["sha256"], "No such file", id="F21-gone"),
    ],
)
def test_a_file_that_the_disk_has_not_as_it_came_lets_no_case_pass(tmp_path, build, content, digest, said):
    run, case = case_with_a_file(tmp_path, build, content, digest)
    document = reported(run, case)
    found = document["failure"]
    assert (document["verdict"], found["error_kind"], found["step"], found["node"]) == (
        "error",
        "artifact_corrupt",
        "report",
        "local",
    )
    assert said in found["message"] and PATH in found["message"] and any(said in line for line in found["evidence"])
    assert judging.report_run(run, run_board(run.boards), 101.0)["exit_code"] == 5


def test_the_first_failure_of_a_case_stays_the_first(tmp_path, build):
    run, case = case_with_a_file(tmp_path, build, b"", fail="container_exited")
    document = reported(run, case)
    assert document["failure"]["error_kind"] == "container_exited"
    assert any("not on the disk as it came" in line for line in document["warnings"])


def test_digests_of_an_attempt_outlive_its_controller(tmp_path, build, monkeypatch):
    run, case = case_with_a_file(tmp_path, build, digest=FORMS["blake2b"])
    run = build.replace(run, owner="me@here:1/other/1")
    run_plan.save(run)
    reported(run, case)
    monkeypatch.setattr(resuming, "held", lambda _run_dir: "")
    going = resuming.reopen(run.run_dir, "me", 102.0, ["n1"])
    (case.ref.folder(run.run_dir) / PATH).write_bytes(b"bytes of another.")
    judging.report_run(going, run_board(going.boards), 103.0)
    listed = sums.parse((run.run_dir / sums.NAME).read_bytes())
    assert listed[f"s/{PATH}"] == SHA


def test_the_journal_has_ended_when_it_is_proved_and_the_summary_comes_last(tmp_path, build, monkeypatch):
    run, case = case_with_a_file(tmp_path, build)
    reported(run, case)
    seen = []
    seal = judging.proving.proof.seal

    def watched(run_dir, *args, **more):
        seen.append([entry["step"] for entry in journal.read(run_dir)][-1])
        assert not (run_dir / "summary.json").exists()
        seal(run_dir, *args, **more)

    monkeypatch.setattr(judging.proving.proof, "seal", watched)
    judging.report_run(run, run_board(run.boards), 101.0)
    assert seen == ["report"] and verify.folder(run.run_dir).findings == ()
    listed = json.loads((run.run_dir / "manifest.json").read_text())
    assert {"journal.jsonl", "summary.json", "report.html"} <= {entry["path"] for entry in listed["files"]}
