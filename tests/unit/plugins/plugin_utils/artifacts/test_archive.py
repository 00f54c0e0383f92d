# SPDX-License-Identifier: MIT
from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import archive_fuzz
import odd
import pytest
import sealed
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import (
    archive,
    proof,
    sums,
    tar_members,
    verify,
)

Members = list[tuple[tarfile.TarInfo, bytes]]
Change = Callable[[Members], None]
LOG = f"{sealed.RUN_ID}/first/{sealed.LOG}"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return sealed.write(tmp_path / "results")


@pytest.fixture
def packed(run: Path, tmp_path: Path) -> Path:
    assert archive.pack(run, tmp_path / "run.tar.gz").findings == ()
    return tmp_path / "run.tar.gz"


def members(path: Path) -> Members:
    with tarfile.open(path) as opened:
        return [(member, opened.extractfile(member).read()) for member in opened]  # type: ignore[union-attr]


def write(path: Path, entries: Members) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT, errors="surrogateescape") as opened:
        for member, content in entries:
            opened.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return path


def test_a_run_comes_back_as_it_was(run: Path, packed: Path, tmp_path: Path) -> None:
    seen = archive.check(packed)
    assert seen.findings == () and seen.run_id == run.name
    target, _ = archive.unpack(packed, tmp_path / "back")
    assert sealed.tree(target) == sealed.tree(run) and verify.folder(target).findings == ()
    assert os.listdir(tmp_path / "back") == [run.name]
    assert int((target / "plan.json").stat().st_mtime) == int((run / "plan.json").stat().st_mtime)


def unsettled(run: Path) -> None:
    """Let a run be as it is where the recorder could not add its last events to the proof."""
    listed = sums.parse((run / sums.NAME).read_bytes())
    del listed["events.jsonl"]
    (run / sums.NAME).write_bytes(sums.render(listed))
    (run / "events.jsonl").write_bytes(sealed.EVENTS * 2)


# what is done to a run, and how many of its files are no longer proved by that
COUNTED: dict[str, tuple[Callable[[Path], object], int]] = {
    "whole": (lambda run: None, 0),
    "altered": (lambda run: (run / "plan.json").write_bytes((run / "plan.json").read_bytes().upper()), 1),
    "shorter": (lambda run: (run / "plan.json").write_bytes(b"{}"), 1),
    "missing": (lambda run: (run / "plan.json").unlink(), 1),
    "one-more": (lambda run: (run / "more").write_bytes(b"x"), 0),
    "pinned": (lambda run: (run / ".keep").touch(), 0),
    "events-not-settled": (unsettled, 1),
}


@pytest.mark.parametrize(("change", "fewer"), COUNTED.values(), ids=COUNTED)
def test_a_run_and_its_archive_count_the_same_proved_files(
    run: Path, tmp_path: Path, change: Callable[[Path], object], fewer: int
) -> None:
    change(run)
    with (tmp_path / "x.tar.gz").open("wb") as stream:
        archive._write(run, stream)
    here, packed = verify.folder(run), archive.check(tmp_path / "x.tar.gz")
    assert {**here.as_dict(), "path": ""} == {**packed.as_dict(), "path": ""}
    whole = [name for name in sums.parse((run / sums.NAME).read_bytes()) if name not in {f.path for f in here.findings}]
    assert here.files == len(whole) == sealed.FILES + 1 - fewer
    assert here.bytes == sum((run / name).stat().st_size for name in whole)


def test_the_same_run_gives_the_same_bytes(run: Path, packed: Path, tmp_path: Path) -> None:
    archive.pack(run, tmp_path / "again.tar.gz")
    assert (tmp_path / "again.tar.gz").read_bytes() == packed.read_bytes()


def test_tar_itself_reads_it(run: Path, packed: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "-xzf", packed, "-C", tmp_path], check=True, timeout=30)
    assert sealed.tree(tmp_path / run.name) == sealed.tree(run)


DEEP = {"deep": "/".join(["y" * 100] * 9)}


@pytest.mark.parametrize("name", [*odd.NAMES.values(), *DEEP.values()], ids=[*odd.NAMES, *DEEP])
def test_b84_names_come_back_byte_by_byte(tmp_path: Path, name: str) -> None:
    run = sealed.write(tmp_path / "results", **{f"test_artifacts/{name}": b"content"})
    archive.pack(run, tmp_path / "x.tar.gz")
    target, _ = archive.unpack(tmp_path / "x.tar.gz", tmp_path / "back")
    assert (target / "first" / "test_artifacts" / name).read_bytes() == b"content"


def test_b83_names_that_differ_in_case_or_form_are_kept_apart(tmp_path: Path) -> None:
    names = {f"test_artifacts/{name}": name.encode() for name in ("A", "a", "é", "e\u0301")}
    run = sealed.write(tmp_path / "results", **names)
    archive.pack(run, tmp_path / "x.tar.gz")
    target, _ = archive.unpack(tmp_path / "x.tar.gz", tmp_path / "back")
    assert {name: (target / "first" / name).read_bytes() for name in names} == names


def test_b87_a_run_that_is_not_as_it_was_is_not_packed(run: Path, tmp_path: Path) -> None:
    (run / "plan.json").write_bytes(b"{}")
    found = archive.pack(run, tmp_path / "x.tar.gz")
    assert [finding.path for finding in found.findings] == ["plan.json"]
    assert sorted(os.listdir(tmp_path)) == ["results"]


def test_a_file_of_that_name_is_left_as_it_is(run: Path, tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_text("mine")
    with pytest.raises(FileExistsError):
        archive.pack(run, tmp_path / "x.tar.gz")
    assert (tmp_path / "x.tar.gz").read_text() == "mine" and sorted(os.listdir(tmp_path)) == ["results", "x.tar.gz"]


def test_a_run_that_is_there_is_left_as_it_is(run: Path, packed: Path) -> None:
    (run / "plan.json").write_text("changed")
    with pytest.raises(FileExistsError):
        archive.unpack(packed, run.parent)
    assert (run / "plan.json").read_text() == "changed" and os.listdir(run.parent) == [run.name]


def test_a_run_whose_events_were_not_settled_comes_back_with_its_note(tmp_path: Path) -> None:
    run = sealed.write(tmp_path / "results", seal=False)
    proof.seal(run, sealed.CASES, 0.0, known={}, pending={}, growing=("events.jsonl",))
    (run / "events.jsonl").write_bytes(sealed.EVENTS * 2)
    found = archive.pack(run, tmp_path / "x.tar.gz")
    assert found.findings == () and any("came after the proof" in note for note in found.notes)
    target, _ = archive.unpack(tmp_path / "x.tar.gz", tmp_path / "back")
    assert sealed.tree(target) == sealed.tree(run)


def test_f26_a_run_that_the_disk_does_not_take_does_not_appear(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_folder_fd: int, _files: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(archive.durable, "sync", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        archive.unpack(packed, tmp_path / "back")
    assert os.listdir(tmp_path / "back") == []


def info(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    for field, value in fields.items():
        setattr(member, field, value)
    return member


@pytest.mark.parametrize("listed", [True, False])
def test_a_link_in_a_run_is_found_as_what_nothing_names_or_is_not_as_it_was(
    run: Path, tmp_path: Path, listed: bool
) -> None:
    path = run / "summary.json" if listed else run / "notes"
    assert path.exists() is listed
    path.unlink(missing_ok=True)
    path.symlink_to("/etc/hostname")
    found = archive.pack(run, tmp_path / "run.tar.gz").findings
    assert [(one.kind, one.path) for one in found] == [(CORRUPT, path.name)]
    assert not (tmp_path / "run.tar.gz").exists()


def add(name: str, content: bytes = b"", **fields: object) -> Change:
    return lambda entries: entries.append((info(name, len(content), **fields), content))  # type: ignore[arg-type]


def replace(name: str, content: bytes) -> Change:
    def change(entries: Members) -> None:
        at = next(index for index, (member, _) in enumerate(entries) if member.name == name)
        entries[at] = (info(name, len(content)), content)

    return change


def drop(name: str) -> Change:
    return lambda entries: entries.remove(next(entry for entry in entries if entry[0].name == name))


def date(mtime: int) -> Change:
    def change(entries: Members) -> None:
        for member, _content in entries:
            member.mtime = mtime

    return change


BELOW = f"{sealed.RUN_ID}/first/"
UNSAFE, CORRUPT, LARGE = "artifact_unsafe_path", "artifact_corrupt", "artifact_too_large"
WRONG: dict[str, tuple[Change, str]] = {
    **{
        f"B80-{name}": (add(name, b"x"), UNSAFE)
        for name in ("../x", "/abs", "a/../../b", f"{BELOW}../../../x", f"{BELOW}a//b", ".", f"{BELOW}a\\b", f"{BELOW}{'x' * 256}", "C:\\x", BELOW[:-1] + "/.")
    },
    "B80-of-another-run": (add("20270101_000000/x"), CORRUPT),
    "B80-below-no-run": (add("first/x"), CORRUPT),
    "B81-symlink-out": (add(f"{BELOW}out", kind=tarfile.SYMTYPE, linkname="/etc"), UNSAFE),
    "B81-symlink-inside": (add(f"{BELOW}in", kind=tarfile.SYMTYPE, linkname="test.log"), UNSAFE),
    "B81-hard-link-out": (add(f"{BELOW}hard", kind=tarfile.LNKTYPE, linkname="/etc/passwd"), UNSAFE),
    "B81-hard-link-inside": (add(f"{BELOW}hard", kind=tarfile.LNKTYPE, linkname=LOG), UNSAFE),
    "B81-folder": (add(f"{BELOW}folder", kind=tarfile.DIRTYPE), UNSAFE),
    "B82-device": (add(f"{BELOW}null", kind=tarfile.CHRTYPE, devmajor=1, devminor=3), UNSAFE),
    "B82-block-device": (add(f"{BELOW}disk", kind=tarfile.BLKTYPE, devmajor=8), UNSAFE),
    "B82-fifo": (add(f"{BELOW}fifo", kind=tarfile.FIFOTYPE), UNSAFE),
    "B82-sparse": (add(f"{BELOW}sparse", kind=tarfile.GNUTYPE_SPARSE), UNSAFE),
    "B82-pax-header": (add(f"{BELOW}pax", b"9 path=x\n", kind=tarfile.XHDTYPE), UNSAFE),
    "B82-setuid": (add(f"{BELOW}suid", mode=0o4755), UNSAFE),
    "B82-setgid": (add(f"{BELOW}sgid", mode=0o2755), UNSAFE),
    "B92-time-behind-all-times": (date(1 << 70), CORRUPT),
    "B92-time-before-all-times": (date(-(1 << 70)), CORRUPT),
    "B92-two-of-one-name": (add(LOG, b"x"), CORRUPT),
    "B92-more-than-it-says": (add(f"{BELOW}bomb", b"\0" * 50_000_000), LARGE),
    "B92-a-name-of-a-megabyte": (add("x" * 1_000_000), LARGE),
    "B87-extra-file": (add(f"{BELOW}more", b"x"), CORRUPT),
    "B87-missing-file": (drop(LOG), CORRUPT),
    "B87-other-content": (replace(LOG, b"Ready\n" * 100), CORRUPT),
    "B87-other-size": (replace(LOG, b"x"), CORRUPT),
    "B87-no-sums": (drop(f"{sealed.RUN_ID}/SHA256SUMS"), CORRUPT),
    "B87-no-manifest": (drop(f"{sealed.RUN_ID}/manifest.json"), CORRUPT),
    "B87-no-manifest-of-a-case": (drop(f"{BELOW}manifest.json"), CORRUPT),
    "B87-proof-not-first": (lambda entries: entries.reverse(), CORRUPT),
    "B87-empty": (lambda entries: entries.clear(), CORRUPT),
}  # fmt: skip


@pytest.mark.parametrize(("change", "kind"), WRONG.values(), ids=WRONG)
def test_what_is_no_archive_of_ours_leaves_nothing_behind(
    packed: Path, tmp_path: Path, change: Change, kind: str
) -> None:
    entries = members(packed)
    change(entries)
    bad = write(tmp_path / "bad.tar.gz", entries)
    outside = sealed.tree(tmp_path)
    assert kind in {finding.kind for finding in archive.check(bad).findings}
    with pytest.raises(archive.UnpackError) as caught:
        archive.unpack(bad, tmp_path / "back")
    assert kind in {finding.kind for finding in caught.value.found.findings}
    assert os.listdir(tmp_path / "back") == [] and sealed.tree(tmp_path) == outside


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def bomb(content: bytes) -> bytes:
    """Add a second stream of zeros behind the archive, which unpacks to 300 times its size."""
    return content + gzip.compress(b"\0" * 200_000_000, 1)


def lying(content: bytes) -> bytes:
    """Let the header of the first file say a size that is not its own."""
    raw = bytearray(gzip.decompress(content))
    member = tarfile.TarInfo.frombuf(bytes(raw[:512]), "utf-8", "surrogateescape")
    member.size += 1024
    raw[:512] = member.tobuf(tarfile.GNU_FORMAT)
    return gzip.compress(bytes(raw))


BYTES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _content: b"",
    "B92-no-gzip": lambda _content: b"PK\3\4" + b"\0" * 100,
    "B92-gzip-of-no-tar": lambda _content: gzip.compress(b"x" * 10_000),
    "B92-bomb-of-no-tar": lambda _content: gzip.compress(b"\0" * 50_000_000),
    "B92-bomb-behind": bomb,
    "B92-lying-size": lying,
    "F21-cut": cut,
    "F21-checksum": lambda content: content[:-8] + b"\0" * 8,
}


@pytest.mark.parametrize("change", BYTES.values(), ids=BYTES)
def test_a_file_that_is_no_whole_archive_is_refused(
    packed: Path, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(change(packed.read_bytes()))
    assert {finding.kind for finding in archive.check(bad).findings} <= {CORRUPT, LARGE} != set()
    with pytest.raises(archive.UnpackError):
        archive.unpack(bad, tmp_path / "back")
    assert os.listdir(tmp_path / "back") == []


def test_b92_a_proof_that_says_too_much_is_not_read_into_memory(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_PROOF_BYTES", 1000)
    assert LARGE in {finding.kind for finding in archive.check(packed).findings}


@pytest.mark.parametrize(
    ("name", "limit", "said"),
    [("MAX_FILES", 10, "files are over the limit of 10"), ("", 4000, "bytes are over the limit of 4000; --max-size")],
    ids=["B82-many-files", "B82-many-bytes"],
)
def test_an_archive_of_too_much_is_refused_before_a_file_is_written(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: int, said: str
) -> None:
    if name:
        monkeypatch.setattr(archive, name, limit)
    with pytest.raises(archive.UnpackError) as caught:
        archive.unpack(packed, tmp_path / "back", archive.MAX_BYTES if name else limit)
    (finding,) = caught.value.found.findings
    assert finding.kind == LARGE and said in finding.found
    assert os.listdir(tmp_path / "back") == []


def test_b92_no_room_is_told_before_a_file_is_written(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive.reserve, "free_bytes", lambda _folder: 100)
    with pytest.raises(OSError, match="bytes are needed there, 100 are free"):
        archive.unpack(packed, tmp_path / "back")
    assert os.listdir(tmp_path / "back") == []


DAMAGED = 300


def test_f21_b92_archives_damaged_by_chance_write_nothing_outside(tmp_path: Path) -> None:
    """Each is found, or is damage that means nothing, in paddings and times; the bench has more of them."""
    unpacked, wrong = archive_fuzz.sweep(DAMAGED, 20260102, tmp_path)
    assert wrong == [] and 0 < unpacked < DAMAGED / 3


def test_a_stream_gives_no_more_than_it_may(tmp_path: Path) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(b"x" * 1000))
    with gzip.open(tmp_path / "x.gz") as stream:
        budget = tar_members.Budget(stream, 600)  # type: ignore[arg-type]
        assert budget.read(500) == b"x" * 500
        with pytest.raises(tar_members.ArchiveError, match="more than its own manifests say"):
            budget.read(500)
