# SPDX-License-Identifier: MIT
"""What the sweeps look for in a run's folder: whatever is half is found."""

from __future__ import annotations

import hashlib
import json

import pytest
import run_checks
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import proof
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.folder import CaseRef

CONTENT = b"bytes"
ENTRY = {"path": "test_artifacts/a", "size": 5, "digest": f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"}
WHOLE = {
    "summary.json": b"{}\n",
    "report.html": b"<html></html>",
    "junit.xml": b"<a></a>",
    "summary.md": b"# x\n",
    "s/timeline.csv": b"a,b\n",
    "s/manifest.json": json.dumps({"nodes": {"n1": {"files": [ENTRY]}}}).encode(),
    "s/test_artifacts/a": CONTENT,
    "s/test_artifacts/half.json": b"{",
    ".board/0/run/.claim.x": b"{",
}


@pytest.fixture
def run(tmp_path):
    for name, content in WHOLE.items():
        path = tmp_path / "20260102_030405" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "20260102_030405"


def test_a_whole_run_is_found_whole_whatever_its_test_wrote(run):
    run_checks.check_shapes(run)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("summary.json", b""),
        ("report.html", b"<html>"),
        ("junit.xml", b"<a>"),
        ("summary.md", b"# x"),
        ("s/timeline.csv", b""),
        ("s/test_artifacts/a", b"byte"),
        ("s/test_artifacts/a", None),
    ],
)
def test_f07_a_half_file_is_found(run, name, content):
    if content is None:
        (run / name).unlink()
    else:
        (run / name).write_bytes(content)
    with pytest.raises(run_checks.FOUND):
        run_checks.check_shapes(run)


def test_a_run_without_its_proof_is_found(run):
    with pytest.raises(run_checks.Broken, match="SHA256SUMS"):
        run_checks.check_proof(run)
    proof.seal(run, [CaseRef("s", "", 1)], 0.0, known={}, pending={})
    with pytest.raises(run_checks.Broken, match=r"s/manifest\.json"):
        run_checks.check_proof(run)


def test_a_summary_that_cannot_be_read_is_found(run):
    (run / "plan.json").write_text(json.dumps({"run_id": run.name}))
    (run / "summary.json").write_text("{")
    with pytest.raises(run_checks.Broken, match="unreadable"):
        run_checks.check_readers(run)


def test_a_secret_is_found_wherever_it_lies(run):
    run_checks.check_no_secret(run, "token")
    (run / ".board" / "environment.json").write_text('{"A": "token"}')
    with pytest.raises(run_checks.Broken, match=r"environment\.json"):
        run_checks.check_no_secret(run, "token")
