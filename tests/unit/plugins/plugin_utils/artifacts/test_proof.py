# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import sealed
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import (
    manifest,
    proof,
    readback,
    sums,
    verify,
)
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.manifest import Claim


def listed(run: Path) -> dict[str, str]:
    return sums.parse((run / sums.NAME).read_bytes())


def seal(run: Path, **changes: object) -> None:
    given = {"known": {}, "pending": {}, **changes}
    proof.seal(run, sealed.CASES, 0.0, **given)  # type: ignore[arg-type]


def test_a_run_is_sealed_with_every_file_and_nothing_else(tmp_path: Path) -> None:
    run = sealed.write(tmp_path, seal=False)
    (run / ".keep").touch()
    (run / ".board" / "0").mkdir(parents=True)
    (run / ".board" / "0" / "note.json").touch()
    seal(run)
    document = json.loads((run / manifest.NAME).read_text())
    assert document["run_id"] == run.name and document["closed_at"] == "1970-01-01T00:00:00+00:00"
    assert [(case["scenario"], case["case"], case["attempt"], case["path"]) for case in document["cases"]] == [
        ("first", "", 1, "first/manifest.json"),
        ("second", "a_1", 2, "second/a_1/attempt_2/manifest.json"),
    ]
    own = [
        "events.jsonl",
        "first/test.log",
        "journal.jsonl",
        "plan.json",
        "second/a_1/attempt_2/test.log",
        "summary.json",
    ]
    assert [entry["path"] for entry in document["files"]] == own
    assert set(listed(run)) == {
        name for name in sealed.tree(run) if name not in (sums.NAME, ".keep", ".board/0/note.json")
    }


def test_what_is_written_next_is_sealed_as_it_will_be(tmp_path: Path) -> None:
    run = sealed.write(tmp_path, seal=False)
    (run / "summary.json").unlink()
    seal(run, pending={"summary.json": b"{}\n"})
    assert [finding.path for finding in verify.folder(run).findings] == ["summary.json"]
    (run / "summary.json").write_bytes(b"{}\n")
    assert verify.folder(run).findings == ()


def test_bytes_that_have_been_proved_are_sealed_and_not_what_the_disk_has_now(tmp_path: Path) -> None:
    run = sealed.write(tmp_path, seal=False)
    before = proof.read_back(run / "first", manifest.read_case((run / "first/manifest.json").read_bytes()).files)
    known = {f"first/{path}": digest for path, digest in before.sums.items()}
    for name in (sealed.LOG, sealed.RESULT):
        (run / "first" / name).write_bytes(b"0" * len(sealed.CONTENT[name]))
    seal(run, known=known)
    assert [finding.path for finding in verify.folder(run).findings] == [
        f"first/{sealed.LOG}",
        f"first/{sealed.RESULT}",
    ]


def test_a_run_that_goes_on_is_sealed_anew(tmp_path: Path) -> None:
    run = sealed.write(tmp_path)
    (run / "first.interrupted_1").mkdir()
    (run / "first.interrupted_1" / "test.log").write_bytes(b"x")
    (run / "journal.jsonl").write_bytes(b'{"step": "resume"}\n')
    assert verify.folder(run).findings
    seal(run)
    assert verify.folder(run).findings == ()


def test_settled_events_are_sealed_like_any_file(tmp_path: Path) -> None:
    run = sealed.write(tmp_path, seal=False)
    seal(run, growing=("events.jsonl",))
    (run / "events.jsonl").write_bytes(sealed.EVENTS * 2)
    assert "events.jsonl" not in listed(run)
    sums.settle(run, "events.jsonl")
    assert listed(run)["events.jsonl"] == proof.sha256(sealed.EVENTS * 2)
    assert verify.folder(run).findings == ()


def test_a_run_without_a_proof_gets_none_by_settling(tmp_path: Path) -> None:
    run = sealed.write(tmp_path, seal=False)
    sums.settle(run, "events.jsonl")
    assert not (run / sums.NAME).exists()


@pytest.mark.parametrize("size", [0, readback.WORTH_A_THREAD], ids=["in-turn", "in-threads"])
def test_files_are_read_back_in_order_with_what_is_wrong_with_each(tmp_path: Path, size: int) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_bytes(name.encode() * 3_000_000)
    (tmp_path / "link").symlink_to("a")
    os.mkfifo(tmp_path / "fifo")
    names = ["c", "link", "a", "none", "fifo", "b"]
    found = dict(readback.read_all(tmp_path, [(name, {"sha256": 64, "blake2b": 40}) for name in names], size))
    assert list(found) == names
    assert [found[name].why for name in ("link", "none", "fifo")] == [
        "it is a link",
        "No such file or directory",
        "it is no regular file",
    ]
    assert all(len(found[name].digests["blake2b"]) == 40 and found[name].size == 3_000_000 for name in "abc")
    assert found["b"].digests["sha256"] == proof.sha256(b"b" * 3_000_000)


def test_read_back_says_what_differs_and_keeps_the_digests_that_the_manifest_lacks(tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(b"x")
    (tmp_path / "bad").write_bytes(b"y")
    (tmp_path / "short").write_bytes(b"")
    digest = proof.sha256(b"x")
    wanted = {
        "good": Claim(1),
        "bad": Claim(1, {"sha256": digest}),
        "short": Claim(1, {"sha256": digest}),
        "none": Claim(2),
    }
    found = proof.read_back(tmp_path, wanted)
    assert found.sums == {"good": digest}
    assert [(one.path, one.expected, one.found) for one in found.differences] == [
        ("bad", f"sha256 {digest}", f"sha256 {proof.sha256(b'y')}"),
        ("short", "1 bytes", "0 bytes"),
        ("none", "2 bytes", "No such file or directory"),
    ]
