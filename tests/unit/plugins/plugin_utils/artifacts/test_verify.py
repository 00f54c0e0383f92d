# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sealed
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import (
    hashes,
    manifest,
    proof,
    sums,
    verify,
)

Change = Callable[[Path], None]
LOG = f"first/{sealed.LOG}"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return sealed.write(tmp_path)


def edit(name: str, change: Callable[[Any], None]) -> Change:
    """Return what changes a JSON file and leaves all else."""

    def edited(run: Path) -> None:
        document = json.loads((run / name).read_text())
        change(document)
        (run / name).write_text(json.dumps(document))

    return edited


def other_run(run: Path) -> None:
    other = sealed.write(run.parent / "else", "20260909_090909")
    for name in ("manifest.json", "SHA256SUMS"):
        os.replace(other / name, run / name)


def test_a_run_that_is_as_it_was_is_proved(run: Path) -> None:
    found = verify.folder(run)
    assert found.findings == () and found.run_id == run.name
    assert found.files == sealed.FILES + 1 and found.bytes > 0 and len(found.proof) == 64


def test_coreutils_says_the_same_of_a_run(run: Path) -> None:
    command = ["sha256sum", "--strict", "--quiet", "-c", "SHA256SUMS"]
    assert subprocess.run(command, cwd=run, check=False, timeout=30).returncode == 0
    listed = sums.parse((run / sums.NAME).read_bytes())
    assert set(listed) == set(sealed.tree(run)) - {sums.NAME}
    (run / LOG).write_bytes(b"other")
    assert subprocess.run(command, cwd=run, check=False, capture_output=True, timeout=30).returncode == 1


WRONG: dict[str, tuple[Change, str, str]] = {
    "B87-file-missing": (lambda run: (run / LOG).unlink(), LOG, "nothing"),
    "B87-file-of-another-size": (lambda run: (run / LOG).write_bytes(b"x"), LOG, "1 bytes"),
    "B87-file-of-another-hash": (lambda run: (run / LOG).write_bytes(b"Ready\n" * 100), LOG, "sha256 "),
    "B87-hash-of-the-manifest-alone": (
        lambda run: (run / "first" / sealed.RESULT).write_bytes(b'{"tokens": 2}\n'),
        f"first/{sealed.RESULT}",
        "sha256 ",
    ),
    "B87-file-without-a-digest-changed": (
        lambda run: (run / "first" / sealed.STATE).write_bytes(b"x"), f"first/{sealed.STATE}", "1 bytes",
    ),
    "B87-extra-file": (lambda run: (run / "first" / "more").write_bytes(b""), "first/more", "nothing names"),
    "B87-extra-hidden-file": (lambda run: (run / ".more").write_bytes(b""), ".more", "nothing names"),
    "B87-extra-file-in-a-new-folder": (
        lambda run: ((run / "new").mkdir(), (run / "new" / "x").touch()), "new/x", "nothing names",  # type: ignore[func-returns-value]
    ),
    "B81-link-for-a-file": (
        lambda run: ((run / LOG).unlink(), (run / LOG).symlink_to(run / "plan.json")), LOG, "a link",  # type: ignore[func-returns-value]
    ),
    "B81-extra-link": (lambda run: (run / "x").symlink_to("/etc"), "x", "nothing names"),
    "B82-fifo-for-a-file": (lambda run: ((run / LOG).unlink(), os.mkfifo(run / LOG)), LOG, "no regular file"),  # type: ignore[func-returns-value]
    "B87-own-file-altered": (lambda run: (run / "plan.json").write_bytes(b"{}"), "plan.json", "2 bytes"),
    "B87-summary-altered": (edit("summary.json", lambda d: d.update(verdict="fail")), "summary.json", ""),
    "B87-log-altered": (lambda run: (run / "first/test.log").write_bytes(b"d0ne\n"), "first/test.log", "sha256 "),
    "B87-settled-events-altered": (
        lambda run: (run / "events.jsonl").write_bytes(sealed.EVENTS * 2), "events.jsonl", "sha256 ",
    ),
    "B87-manifest-missing": (lambda run: (run / "manifest.json").unlink(), "manifest.json", "nothing"),
    "B82-folder-for-the-manifest": (
        lambda run: ((run / "manifest.json").unlink(), (run / "manifest.json").mkdir()), "manifest.json", "nothing",  # type: ignore[func-returns-value]
    ),
    "B81-link-for-the-sums": (
        lambda run: ((run / "SHA256SUMS").unlink(), (run / "SHA256SUMS").symlink_to("plan.json")), "SHA256SUMS", "nothing",  # type: ignore[func-returns-value]
    ),
    "B87-manifest-altered": (edit("manifest.json", lambda d: d["files"].pop()), "manifest.json", ""),
    "B87-manifest-no-json": (lambda run: (run / "manifest.json").write_bytes(b"{"), "manifest.json", "is no JSON"),
    "B87-manifest-of-another-run": (other_run, "manifest.json", "the run 20260909_090909"),
    "B87-entry-of-another-run": (
        edit("manifest.json", lambda d: d.update(run_id="20260909_090909")), "manifest.json", "20260909_090909",
    ),
    "B87-sums-missing": (lambda run: (run / "SHA256SUMS").unlink(), "SHA256SUMS", "nothing"),
    "B87-sums-damaged": (lambda run: (run / "SHA256SUMS").write_bytes(b"x\n"), "SHA256SUMS", "line 1"),
    "B87-sums-without-a-line": (
        lambda run: (run / "SHA256SUMS").write_bytes(b"".join((run / "SHA256SUMS").read_bytes().splitlines(True)[:-1])),
        "SHA256SUMS",
        "no line of it",
    ),
    "B87-sums-with-a-line-more": (
        lambda run: (run / "SHA256SUMS").write_bytes((run / "SHA256SUMS").read_bytes() + b"0" * 64 + b"  zz\n"),
        "zz",
        "nothing",
    ),
    "B87-case-manifest-missing": (lambda run: (run / "first/manifest.json").unlink(), "first/manifest.json", "nothing"),
    "B87-case-manifest-altered": (
        edit("first/manifest.json", lambda d: d["nodes"]["n1"]["files"].pop()), "first/manifest.json", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "path", "said"), WRONG.values(), ids=WRONG)
def test_whatever_is_not_as_it_was_is_found(run: Path, change: Change, path: str, said: str) -> None:
    change(run)
    before = sealed.tree(run) if "fifo" not in said and not (run / LOG).is_fifo() else None
    found = verify.folder(run)
    assert {finding.kind for finding in found.findings} == {"artifact_corrupt"}
    shown = [finding for finding in found.findings if finding.path == path]
    assert shown and any(said in finding.found for finding in shown), found.findings
    assert all(finding.expected and finding.found and finding.next for finding in found.findings)
    assert before is None or sealed.tree(run) == before


def test_b87_each_wrong_file_has_its_own_finding(run: Path) -> None:
    (run / LOG).write_bytes(b"x")
    (run / "plan.json").unlink()
    (run / "more").touch()
    assert [finding.path for finding in verify.folder(run).findings] == [LOG, "more", "plan.json"]


def test_b87_a_forger_who_writes_the_sums_anew_is_found_by_the_manifests(run: Path) -> None:
    (run / LOG).write_bytes(b"Ready\n" * 100)
    listed = sums.parse((run / sums.NAME).read_bytes())
    listed[LOG] = proof.sha256((run / LOG).read_bytes())
    (run / sums.NAME).write_bytes(sums.render(listed))
    assert {finding.path for finding in verify.folder(run).findings} == {LOG, sums.NAME}


def test_a_digest_that_this_machine_cannot_make_is_told_and_the_sums_still_prove(run: Path) -> None:
    assert hashes.hasher("blake3") is None, "this test is about a machine without blake3"
    found = verify.folder(run)
    assert found.findings == () and "blake3 cannot be made on this machine" in "".join(found.notes)


class FakeBlake3:
    """A hash as the package makes it, for a machine that does not have it."""

    def update(self, _block: bytes) -> None:
        """Take a block."""

    def hexdigest(self) -> str:
        """Return a digest."""
        return "cd" * 32


def test_b87_a_digest_of_another_algorithm_is_held_against_the_file_where_it_can_be(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes.importlib, "import_module", lambda _name: SimpleNamespace(blake3=FakeBlake3))
    found = verify.folder(run)
    assert {finding.path for finding in found.findings} == {
        f"{case}/{sealed.HASHED}" for case in ("first", "second/a_1/attempt_2")
    }
    assert found.findings[0].expected == f"blake3 {'ab' * 32}" and found.findings[0].found == f"blake3 {'cd' * 32}"


def test_what_came_without_a_digest_is_noted(run: Path) -> None:
    assert any("1 file(s) came without a digest" in note for note in verify.folder(run).notes)


def test_a_pin_is_no_change(run: Path) -> None:
    (run / ".keep").write_text("the release")
    assert verify.folder(run).findings == ()


def test_a_folder_of_another_name_is_proved_too(run: Path) -> None:
    moved = run.rename(run.with_name("kept for the release"))
    assert verify.folder(moved).findings == ()
    wrong = moved.rename(run.with_name("20270101_000000"))
    assert [finding.expected for finding in verify.folder(wrong).findings] == ["the run 20270101_000000"]


GROWN: dict[str, tuple[bytes, bool]] = {
    "nothing-more": (sealed.EVENTS, True),
    "more-lines": (sealed.EVENTS * 3, True),
    "a-line-cut-short": (sealed.EVENTS + b'{"t": 2, "ev', True),
    "B87-another-beginning": (sealed.EVENTS.replace(b"1", b"2", 1), False),
    "B87-shorter": (sealed.EVENTS[:-5], False),
    "B87-no-lines-behind": (sealed.EVENTS + b"\0\0\0\n", False),
}


@pytest.mark.parametrize(("content", "good"), GROWN.values(), ids=GROWN)
def test_what_ansible_still_wrote_is_proved_as_far_as_it_was_there(tmp_path: Path, content: bytes, good: bool) -> None:
    run = sealed.write(tmp_path, seal=False)
    proof.seal(run, sealed.CASES, 0.0, known={}, pending={}, growing=("events.jsonl",))
    (run / "events.jsonl").write_bytes(content)
    found = verify.folder(run)
    assert (found.findings == ()) is good
    assert any("came after the proof" in note for note in found.notes) is (good and content != sealed.EVENTS)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("plan.json")], ids=["B82-fifo", "B81-link"])
def test_what_is_no_file_where_ansible_still_wrote_one_is_found(tmp_path: Path, make: Change) -> None:
    run = sealed.write(tmp_path, seal=False)
    proof.seal(run, sealed.CASES, 0.0, known={}, pending={}, growing=("events.jsonl",))
    (run / "events.jsonl").unlink()
    make(run / "events.jsonl")
    assert [finding.path for finding in verify.folder(run).findings] == ["events.jsonl"]


def test_what_ansible_still_wrote_is_found_where_it_is_too_much_to_be_read(tmp_path: Path) -> None:
    run = sealed.write(tmp_path, seal=False)
    proof.seal(run, sealed.CASES, 0.0, known={}, pending={}, growing=("events.jsonl",))
    with (run / "events.jsonl").open("ab") as stream:
        stream.truncate(verify.MAX_PROOF_BYTES + 1)
    (finding,) = verify.folder(run).findings
    assert (finding.path, str(verify.MAX_PROOF_BYTES) in finding.found) == ("events.jsonl", True)


def test_a_run_of_the_first_form_is_proved_as_far_as_it_can_be(run: Path) -> None:
    sealed.of_the_first_form(run)
    found = verify.folder(run)
    assert found.findings == () and found.proof == "" and "older than the proof" in found.notes[0]
    (run / LOG).write_bytes(b"x")
    assert [finding.path for finding in verify.folder(run).findings] == [LOG]


def test_b87_a_run_without_its_proof_is_no_old_one(run: Path) -> None:
    (run / manifest.NAME).unlink()
    (run / sums.NAME).unlink()
    found = verify.folder(run)
    assert {finding.path for finding in found.findings} == {manifest.NAME, sums.NAME}
