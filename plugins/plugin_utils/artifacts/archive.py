# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run as one file: packed, proved without being unpacked, and unpacked again."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

from ..run import atomic, reserve
from ..run.folder import PIN
from . import claims as proofs
from . import durable, hashes, manifest, proof, readback, sums, tar_members, verify
from .claims import CORRUPT, Claims, Finding
from .manifest import Claim
from .tar_members import TOO_LARGE, UNSAFE, ArchiveError, Member
from .verify import Tally, Verified

SUFFIX = ".tar.gz"
# A fifth more bytes than level 6 gives, in a quarter of the time.
LEVEL = 1
STAGING = ".unpacking-"
# Headers, names and padding of one member; the blocks at the end.
OVERHEAD_BYTES = 4 * 512 + tar_members.MAX_NAME_BYTES
END_BYTES = 1 << 16
# What Ansible may have added to a file after the proof.
GROWTH_BYTES = 64 << 20
# What a file of the proof may have in an archive, where its size is only said: that of 400,000 files.
MAX_PROOF_BYTES = 128 << 20
# What an archive that is unpacked may hold, whatever it says of itself.
MAX_FILES = 1_000_000
MAX_BYTES = 100 << 30
# Where a member's bytes go besides the digests.
Write = Callable[[bytes], object]
Sink = Callable[[Member], AbstractContextManager[Write]]


class UnpackError(Exception):
    """An archive that was not unpacked. found: what was wrong with it."""

    def __init__(self, message: str, found: Verified) -> None:
        super().__init__(message)
        self.found = found


def pack(run_dir: Path, target: Path) -> Verified:
    """Pack a run into target and return the proof of what was packed, read back from the disk.

    The file gets its name only when nothing was found; FileExistsError when it has one of this name already.
    """
    with atomic.naming(target), _beside(target) as (stream, temporary):
        _write(run_dir, stream)
        stream.flush()
        os.fsync(stream.fileno())
        found = replace(check(temporary), path=str(target))
        if not found.findings:
            _name(temporary, target)
    return found


def _name(temporary: Path, target: Path) -> None:
    """Give a finished file its name; FileExistsError when there is one of this name already."""
    if target.exists() or target.is_symlink():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    os.rename(temporary, target)
    atomic.sync_folder(target.parent)


@contextmanager
def _beside(target: Path) -> Iterator[tuple[IO[bytes], Path]]:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, 0o644)
            yield stream, Path(name)
    finally:
        with suppress(FileNotFoundError):  # it has got its name
            os.unlink(name)


def _write(run_dir: Path, stream: IO[bytes]) -> None:
    """Write the same bytes for the same files: the proof first, then the rest by path; owner and time of packing are left out."""
    with (
        gzip.GzipFile("", "wb", LEVEL, stream, mtime=0) as packed,
        tarfile.open(
            fileobj=packed,
            mode="w|",
            bufsize=tar_members.BUFFER_BYTES,
            format=tarfile.GNU_FORMAT,
            errors="surrogateescape",
        ) as archive,
    ):
        for path in _in_order(run_dir):
            _add(archive, run_dir, path)


def _in_order(run_dir: Path) -> list[str]:
    there = set(proof.files_below(run_dir)) - {PIN}
    first = [name for name in (sums.NAME, manifest.NAME) if name in there]
    with suppress(OSError, manifest.ManifestError):
        first += [path for path in manifest.read_run((run_dir / manifest.NAME).read_bytes()).cases if path in there]
    return [*first, *sorted(there - set(first), key=os.fsencode)]


def _add(archive: tarfile.TarFile, run_dir: Path, path: str) -> None:
    """Add a file; what is none is empty, which the proof of the archive finds."""
    try:
        descriptor = os.open(run_dir / path, readback.FLAGS)
    except OSError as exc:
        if exc.errno != errno.ELOOP:
            raise
        archive.addfile(tarfile.TarInfo(f"{run_dir.name}/{path}"))
        return
    with open(descriptor, "rb") as content:
        facts = os.fstat(descriptor)
        member = tarfile.TarInfo(f"{run_dir.name}/{path}")
        member.size, member.mode, member.mtime = facts.st_size, facts.st_mode & 0o777, int(facts.st_mtime)
        archive.addfile(member, content)


def check(path: Path) -> Verified:
    """Prove an archive without unpacking it to the disk."""
    return _read(path, _nowhere)


def unpack(path: Path, results_dir: Path, max_bytes: int = MAX_BYTES) -> tuple[Path, Verified]:
    """Unpack an archive below results_dir and return the run's folder, which appears whole and proved or not at all.

    max_bytes: of all its files. UnpackError when the archive is not what it says it is, FileExistsError when the run is there already.
    """
    results_dir.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=STAGING, dir=results_dir))
    try:
        found = _read(path, _below(staging), lambda claims: _check_limits(claims, results_dir, max_bytes))
        if found.findings:
            raise UnpackError(f"{path} was not unpacked", found)
        _sync(staging, found.files)
        staging.chmod(0o755)
        target = results_dir / found.run_id
        _name(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target, found


@contextmanager
def _nowhere(_member: Member) -> Iterator[Write]:
    yield len


def _below(staging: Path) -> Sink:
    """Return what puts members as new files into a folder that nobody else writes to and that holds no link."""

    @contextmanager
    def sink(member: Member) -> Iterator[Write]:
        target = staging / member.path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(target, flags, (member.info.mode | 0o600) & 0o755)
        except (FileExistsError, NotADirectoryError):
            raise ArchiveError(UNSAFE, "it is a file and a folder at once", member.info.name) from None
        with open(descriptor, "wb") as stream:
            yield stream.write
            stream.flush()
            os.utime(descriptor, (member.info.mtime, member.info.mtime))

    return sink


def _sync(folder: Path, files: int) -> None:
    """Make all below a folder durable. files: about how many there are."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        durable.sync(descriptor, files)
    finally:
        os.close(descriptor)


@dataclass
class _Reading:
    """An archive while it is read once from its beginning."""

    archive: tarfile.TarFile
    sink: Sink
    claims: Claims = field(default_factory=Claims)
    seen: set[str] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)

    def proof(self, members: Iterator[Member]) -> None:
        """Read what the archive begins with: SHA256SUMS, the manifest of the run, those of its cases."""
        contents: dict[str, bytes] = {}
        run_id = self._expected(members, sums.NAME, contents)
        self._expected(members, manifest.NAME, contents)
        with suppress(manifest.ManifestError):  # which is found again, and told, with all else
            for path in manifest.read_run(contents[manifest.NAME]).cases:
                self._expected(members, path, contents)
        self.claims = proofs.gather(contents.get, run_id)
        for path, content in contents.items():
            if path in self.claims.files:
                self.tally.hold(path, self.claims.files[path], proof.seen(content))

    def _expected(self, members: Iterator[Member], path: str, contents: dict[str, bytes]) -> str:
        member = next(members, None)
        if member is None or member.path != path:
            raise ArchiveError(CORRUPT, f"the proof of a run is expected first, and {path} is not where it belongs")
        contents[path] = self._content(member)
        return member.run_id

    def _content(self, member: Member) -> bytes:
        """Return the whole content of a member that is kept in memory."""
        if member.info.size > MAX_PROOF_BYTES:
            raise ArchiveError(
                TOO_LARGE,
                f"its {member.info.size} bytes are over the limit of {MAX_PROOF_BYTES}",
                member.info.name,
            )
        content = self._stream(member).read()
        with self.sink(member) as write:
            write(content)
        self.seen.add(member.path)
        return content

    def take(self, member: Member) -> None:
        """Hold a member against what it has to be; one that nothing names is left to be found as such."""
        claim, grown = self.claims.files.get(member.path), self.claims.growing.get(member.path)
        if claim and claim.size in (None, member.info.size):
            self._prove(member, claim)
        elif claim:
            self.tally.found.append(Finding(member.path, f"{claim.size} bytes", f"{member.info.size} bytes"))
        elif grown:
            self.tally.found += verify.grown(self._content(member), member.path, grown, self.claims)
        self.seen.add(member.path)

    def _prove(self, member: Member, claim: Claim) -> None:
        stream = self._stream(member)
        with self.sink(member) as write:

            def read(size: int) -> bytes:
                block = stream.read(size)
                write(block)
                return block

            seen = readback.digest(read, hashes.hashers(proof.algorithms(claim)), member.info.size)
        self.tally.hold(member.path, claim, seen)

    def _stream(self, member: Member) -> IO[bytes]:
        stream = self.archive.extractfile(member.info)
        assert stream is not None  # members are files
        return stream


def _read(path: Path, sink: Sink, agree: Callable[[Claims], None] | None = None) -> Verified:
    """Read an archive, hold each member against the proof that it begins with, and return what is wrong.

    agree: called with what the proof says before the rest is read; it raises to end the reading.
    """
    reading = None
    try:
        with tar_members.opened(path, 2 * MAX_PROOF_BYTES) as (archive, stream):
            reading = _Reading(archive, sink)
            members = tar_members.members(archive)
            reading.proof(members)
            stream.left = _allowed(reading.claims)
            if agree:
                agree(reading.claims)
            for member in members:
                reading.take(member)
    except ArchiveError as exc:
        reason = Finding(exc.member or path.name, "an archive of a run", str(exc), kind=exc.kind)
        claims, tally = (reading.claims, reading.tally) if reading else (Claims(), Tally())
        tally.found.append(reason)
        return verify.verified(claims, str(path), tally)
    claims, seen, tally = reading.claims, reading.seen, reading.tally
    tally.found += [*verify.missing(claims, seen), *verify.added(claims, seen)]
    return verify.verified(claims, str(path), tally)


def _allowed(claims: Claims) -> int:
    """Return how many bytes the rest of an archive may unpack to, by its own proof."""
    total = sum(claim.size or 0 for claim in claims.files.values())
    open_ended = [claim for path, claim in claims.growing.items() if path not in claims.files]
    lines = sum((claim.size or 0) + GROWTH_BYTES for claim in open_ended)
    return total + lines + len(claims.files) * OVERHEAD_BYTES + END_BYTES


def _check_limits(claims: Claims, results_dir: Path, max_bytes: int) -> None:
    """Raise ArchiveError for an archive of too many files or bytes, and OSError where a disk has no room for them."""
    needed = sum(claim.size or 0 for claim in claims.files.values())
    if len(claims.files) > MAX_FILES:
        raise ArchiveError(TOO_LARGE, f"its {len(claims.files)} files are over the limit of {MAX_FILES}")
    if needed > max_bytes:
        raise ArchiveError(
            TOO_LARGE, f"its {needed} bytes are over the limit of {max_bytes}; --max-size sets another one"
        )
    if needed > reserve.free_bytes(results_dir):
        raise OSError(errno.ENOSPC, reserve.shortage(results_dir, needed), str(results_dir))
