# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The receiving end of a stream of files: what comes is staged once it is proved, and refused where it is anything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...module_utils.cellnode import digests, frames
from ...module_utils.cellnode.beside import Beside
from ...module_utils.cellnode.context import os_error_kind
from ..node.own_stream import hand_over
from .errors import ArtifactError, corrupt
from .frames import Entry, Reader, decoded, entry, failure, patterns, refusals, rows, unpacked, whole
from .hashes import installed
from .staging import Large, NameTaken, Staging, split

MAX_FILES = 1_000_000
LONGEST_S = 1e9

# A stream that has reached its limit ends within a file, with these.
CLOSING = (frames.REFUSED, frames.MISSING, frames.END)


@dataclass(frozen=True)
class Stats:
    """What a stream was. received: bytes on the wire; raw: contents in it; seconds: the node's; same: not sent again."""

    algorithm: str
    received: int
    raw: int
    seconds: float
    same: int


@dataclass(frozen=True)
class Arrived:
    """What came. files: those staged or the same as before, in the order of the stream; more: the node has more to send.

    refused: {path, kind, why} each; missing: patterns without a match.
    """

    files: tuple[Entry, ...]
    refused: tuple[dict[str, Any], ...]
    missing: tuple[str, ...]
    more: bool
    stats: Stats


class Receiver:
    """Takes one stream in. prove: full, size or off; have: what the request said that is here already.

    room: called with the bytes that will come, raises where they have no room. placed: the sender has been told to fill
    the staging folder itself. Every method raises ArtifactError, of kind
    artifact_corrupt or artifact_unsafe_path for a stream that is not what a node sends, or as the node says.
    """

    def __init__(
        self,
        staging: Staging,
        prove: str,
        room: Callable[[int], None],
        have: Sequence[Entry],
        placed: bool = False,
    ) -> None:
        self.ended = False
        self._staging, self._prove, self._room = staging, prove, room
        self._have = {one.path: one for one in have}
        self._placed = placed
        self._hashing, self._writing = Beside(), Beside()
        self._reader = Reader(self._frame)
        self._plan: dict[str, Any] | None = None
        self._new: digests.Factory | None = None
        self._manifest: Any = None
        self._files: dict[str, Entry] = {}
        self._counted = self._bytes = self._raw = self._same = 0
        self._refused: list[dict[str, Any]] = []
        self._missing: list[str] = []
        self._told: Any = None
        self._large: Large | None = None
        self._hash: Any = None
        self._last: dict[str, Any] = {}
        self._takes = {
            frames.PLAN: self._take_plan,
            frames.SAME: self._take_same,
            frames.BUNDLE: self._take_bundle,
            frames.BEGIN: self._take_begin,
            frames.DATA: self._take_data,
            frames.FILE_END: self._take_file_end,
            frames.REFUSED: self._take_refused,
            frames.MISSING: self._take_missing,
            frames.END: self._take_end,
        }

    @property
    def received(self) -> int:
        """Return how many bytes of the stream have come."""
        return self._reader.received

    @property
    def algorithm(self) -> str:
        """Return the name of the digest that the node makes, "" before it has said so."""
        return str((self._plan or {}).get("algorithm", ""))

    def feed(self, data: bytes | memoryview) -> None:
        """Take bytes of the stream."""
        if hand_over(memoryview(data), self):
            raise _behind()

    def space(self) -> memoryview:
        """Return where the next bytes may be put; `filled` takes them. It saves the copy of `feed`."""
        return self._reader.space()

    def filled(self, count: int) -> bool:
        """Take count bytes that were put into `space`, and return whether the stream has ended."""
        if self.ended:
            raise _behind()
        try:
            self._reader.filled(count)
        except ArtifactError:
            self._give_up()
            raise
        except OSError as exc:
            self._give_up()
            # the names in what the system says are relative to folders that are open
            said = f"cannot write below {self._staging.folder}: {exc.strerror}"
            raise ArtifactError(os_error_kind(exc), said, []) from exc
        return self.ended

    def result(self) -> Arrived:
        """Return what came, after the stream has ended; transfer_failed when it was cut."""
        if not self.ended:
            self.close()
            raise ArtifactError("transfer_failed", f"the transfer broke off after {self._reader.received} bytes", [])
        stats = Stats(
            algorithm=str((self._plan or {})["algorithm"]),
            received=self._reader.received,
            raw=self._raw,
            seconds=float(self._last["seconds"]),
            same=self._same,
        )
        files = tuple(self._files.values())
        return Arrived(files, tuple(self._refused), tuple(self._missing), bool(self._last["more"]), stats)

    def close(self) -> None:
        """Hold what has come of a file that was cut, and end the threads."""
        large, self._large = self._large, None
        if large is not None:
            with suppress(OSError):  # what was not written is not in its offset
                self._written()
            self._staging.keep(large)
        self._hashing.end()
        self._writing.end()

    def _give_up(self) -> None:
        """Remove what has come of a file that cannot be trusted or go on, and end the threads."""
        self._hashing.end()
        self._writing.end()
        large, self._large = self._large, None
        if large is not None:
            self._staging.abandon(large)

    def _written(self) -> None:
        """Wait until the block before is digested and written."""
        self._hashing.wait()
        self._writing.wait()

    def _frame(self, kind: bytes, flags: int, payload: memoryview) -> None:
        """Take one frame."""
        if kind == frames.ERROR:
            self.close()
            raise failure(payload)
        if (kind == frames.PLAN) != (self._plan is None):
            raise corrupt(f"a frame {kind!r} came where the plan belongs, or a second plan")
        inside = kind in (frames.DATA, frames.FILE_END)
        if inside != (self._large is not None) and kind not in CLOSING:
            raise corrupt(f"a frame {kind!r} came {'outside of' if inside else 'within'} a file")
        if kind in CLOSING:
            self._written()  # the block before may lie where the frame after this one comes
        self._takes[kind](flags, payload)

    def _take_plan(self, flags: int, payload: memoryview) -> None:
        plan = decoded(payload, dict)
        if not whole(plan.get("files"), plan.get("bytes"), plan.get("same")) or plan["files"] > MAX_FILES:
            raise corrupt(f"the plan is {plan!r:.200}; its figures are missing or over {MAX_FILES} files")
        algorithm = plan.get("algorithm")
        if (algorithm != frames.NO_DIGEST) != (self._prove == "full"):
            raise corrupt(f"the node makes digests {algorithm!r}, and the files are to be proved {self._prove!r}")
        if self._prove == "full":
            self._new = digests.factory(str(algorithm), installed)
            if self._new is None:
                raise corrupt(f"the node makes digests {algorithm!r}, which this machine does not have")
            self._manifest, self._told = self._new(), self._new()
        self._plan = plan
        self._tell(payload)
        self._room(plan["bytes"])

    def _take_same(self, flags: int, payload: memoryview) -> None:
        entries = [entry(row) for row in rows(payload)]
        for one in entries:
            if self._have.get(one.path) != one:
                raise corrupt(f"the node takes {one.path!r} for a file that is here, and it is not", one.path)
        self._same += len(entries)
        self._count(entries)

    def _take_bundle(self, flags: int, payload: memoryview) -> None:
        """Stage small files."""
        at = frames.HEAD_LENGTH.size
        if len(payload) < at:
            raise corrupt("a bundle has no head")
        (length,) = frames.HEAD_LENGTH.unpack(payload[:at])
        if length > len(payload) - at:
            raise corrupt(f"a bundle of {len(payload)} bytes has a head of {length}")
        entries = [entry(row) for row in rows(payload[at : at + length])]
        if flags == frames.PLACED:
            return self._take_placed(entries, len(payload) - at - length)
        content = self._contents(payload[at + length :], sum(one.size for one in entries), flags)
        self._count(entries)
        begin = 0
        for one in entries:
            part = content[begin : begin + one.size]
            begin += one.size
            self._prove_small(one, part)
            self._stage(one, part)
        return None

    def _take_placed(self, entries: Sequence[Entry], rest: int) -> None:
        """Take files that the sender has put into the staging folder."""
        if not self._placed or rest:
            raise corrupt("the node says that it has put files in place, and was not asked to")
        self._count(entries)
        for one in entries:
            if (self._new is not None) != bool(one.digest):
                raise corrupt(
                    f"{one.path!r} was to be proved {self._prove!r}, and its digest is {one.digest!r}", one.path
                )
            self._staging.take(one)

    def _contents(self, data: memoryview, size: int, flags: int) -> memoryview:
        """Return the contents of a bundle or block, which are to be size bytes."""
        if size > frames.BLOCK_BYTES:
            raise corrupt(f"a frame has contents of {size} bytes, over the limit of {frames.BLOCK_BYTES}")
        content = memoryview(unpacked(data)) if flags & frames.ZLIB else data
        if len(content) != size:
            raise corrupt(f"a bundle has contents of {len(content)} bytes, and its files {size}")
        self._arrive(size)
        return content

    def _arrive(self, count: int) -> None:
        """Count contents; there is room for as many as the plan says."""
        self._raw += count
        if self._raw > (self._plan or {})["bytes"]:
            raise corrupt(f"more bytes came than the {(self._plan or {})['bytes']} that the node has planned")

    def _prove_small(self, one: Entry, content: memoryview) -> None:
        digest = self._new(content).hexdigest() if self._new else ""
        if digest != one.digest:
            raise _other(one.path, digest, one.digest)

    def _stage(self, one: Entry, content: memoryview) -> None:
        try:
            self._staging.put(one, content)
        except NameTaken:
            self._refuse_name(one.path)

    def _refuse_name(self, path: str) -> None:
        del self._files[path]
        why = "the file system here holds its name for that of another file"
        self._refused.append({"path": path, "kind": "artifact_unsafe_path", "why": why})

    def _take_begin(self, flags: int, payload: memoryview) -> None:
        """Begin a larger file."""
        row = rows(payload)
        one = entry([*row[:5], ""])
        if len(row) != len(frames.FIELDS) or not whole(row[5]):
            raise corrupt(f"a file begins with {row!r:.200}")
        self._check_new(one)
        self._open(one, row[5])

    def _open(self, one: Entry, offset: int) -> None:
        """Make the larger file, or go on with what is there of it."""
        if offset:
            self._large = self._staging.go_on(one, offset)
            self._hash = None
        else:
            self._hash = self._new() if self._new else None
            try:
                self._large = self._staging.begin(one)
            except NameTaken:
                self._large = self._staging.nowhere(one)

    def _take_data(self, flags: int, payload: memoryview) -> None:
        """Digest and write a block of the larger file, while the next one is read."""
        assert self._large is not None
        large = self._large
        content = self._block(payload, flags)
        if not len(content):
            raise corrupt(f"an empty block of {large.entry.path!r} came", large.entry.path)
        self._written()
        if large.offset + len(content) > large.entry.size:
            raise corrupt(f"more bytes of {large.entry.path!r} came than it has", large.entry.path)
        if self._hash:
            self._hashing.start(self._hash.update, content)
        self._writing.start(large.write, content)

    def _block(self, payload: memoryview, flags: int) -> memoryview:
        """Return the contents of a block."""
        content = memoryview(unpacked(payload)) if flags & frames.ZLIB else payload
        if len(content) > frames.BLOCK_BYTES:
            raise corrupt(f"a block has {len(content)} bytes, over the limit of {frames.BLOCK_BYTES}")
        self._arrive(len(content))
        return content

    def _take_file_end(self, flags: int, payload: memoryview) -> None:
        """Prove the larger file."""
        assert self._large is not None
        large, said = self._large, decoded(payload, dict)
        path = large.entry.path
        self._written()
        if "changed" in said:
            self._large = None
            return self._staging.abandon(large)
        if large.offset != large.entry.size:
            raise corrupt(f"{path!r} has {large.entry.size} bytes, and {large.offset} came", path)
        digest = self._digest(large)
        if said.get("digest") != digest:
            raise _other(path, digest, str(said.get("digest")))
        done = large.entry._replace(digest=digest)
        self._count([done])
        self._large = None
        if large.fd < 0:
            self._refuse_name(path)
        else:
            self._staging.end(large, done)
        return None

    def _digest(self, large: Large) -> str:
        """Return the digest of the larger file; what came in several streams is read again from its beginning."""
        if self._new and not self._hash:
            self._hash = self._new()
            for block in large.blocks():
                self._hash.update(block)
        return self._hash.hexdigest() if self._hash else ""

    def _take_refused(self, flags: int, payload: memoryview) -> None:
        self._tell(payload)
        self._refused += refusals(payload)
        _check_number(self._refused)

    def _take_missing(self, flags: int, payload: memoryview) -> None:
        self._tell(payload)
        self._missing += patterns(payload)
        _check_number(self._missing)

    def _take_end(self, flags: int, payload: memoryview) -> None:
        """Prove the whole stream."""
        last = decoded(payload, dict)
        manifest = self._manifest.hexdigest() if self._manifest else ""
        known = {"files": self._counted, "bytes": self._bytes, "manifest": manifest, "raw": self._raw}
        for key, value in known.items():
            if last.get(key) != value:
                raise corrupt(f"the stream has {key} {value!r}, and the node says {last.get(key)!r}")
        seconds = last.get("seconds")
        if type(last.get("more")) is not bool or type(seconds) not in (int, float) or not 0 <= seconds < LONGEST_S:
            raise corrupt("the end lacks its figures")
        self._check_told(last, bytes(payload))
        if self._large is not None and not last["more"]:
            raise corrupt(f"the stream ends within {self._large.entry.path!r}", self._large.entry.path)
        self.close()
        if not last["more"]:
            self._staging.forget_others(self._files)
        self._last, self.ended = last, True

    def _tell(self, payload: memoryview | bytes) -> None:
        """Add to the digest of what is told beside the files."""
        if self._told:
            self._told.update(payload)

    def _check_told(self, last: dict[str, Any], payload: bytes) -> None:
        """Raise where what was told beside the files is not what the node has told."""
        rest = {key: value for key, value in last.items() if key != "check"}
        self._tell(frames.packed(rest))
        check = self._told.hexdigest() if self._told else ""
        if payload != frames.packed({**rest, "check": check}):
            raise corrupt("what the node has told beside its files came as something else")

    def _check_new(self, one: Entry) -> None:
        """Raise where the path of an entry is not safe, or came before."""
        split(one.path)
        if one.path in self._files:
            raise corrupt(f"{one.path!r} came twice", one.path)

    def _count(self, entries: Sequence[Entry]) -> None:
        """Add entries to what the last frame must say."""
        if self._counted + len(entries) > (self._plan or {})["files"]:
            raise corrupt(f"more files came than the {(self._plan or {})['files']} that the node has planned")
        for one in entries:
            self._check_new(one)
            self._files[one.path] = one
            self._bytes += one.size
        self._counted += len(entries)
        if self._manifest:
            self._manifest.update(frames.lines_of(entries))


def _check_number(values: Sequence[Any]) -> None:
    if len(values) > MAX_FILES:
        raise corrupt(f"the node refuses or misses more than {MAX_FILES} paths")


def _behind() -> ArtifactError:
    return corrupt("bytes came behind the end of the stream")


def _other(path: str, here: str, there: str) -> ArtifactError:
    return corrupt(f"{path!r} has digest {here[:12]!r} here and {there[:12]!r} on the node", path)
