# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One folder of a node on its way home: staged stream by stream until all is proved, then put in place at once.

What a transfer that failed has proved is kept in `<destination>.partial`, never under the final name, and the next transfer
to the same destination takes it up.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any

from ...module_utils.cellnode import digests
from ..run import atomic, reserve
from . import figures, here, partial
from .errors import ArtifactError, corrupt
from .figures import Figures
from .frames import Entry
from .hashes import installed
from .policy import DAMAGED, FULL, Failure, Policy
from .receiver import Receiver
from .staging import Staging

# Finds damage and no intent, so nobody gets it without asking.
NOT_BY_ITSELF = "xxh3_128"


@dataclass(frozen=True)
class Wanted:
    """What is brought where. base: `base_rel`, a folder below the case's on the node, or `base`, any folder there.

    place: path on the node -> path below destination.
    """

    destination: Path
    base: Mapping[str, str]
    patterns: tuple[str, ...]
    max_files: int
    max_bytes: int
    place: Callable[[str], str] = str


@dataclass(frozen=True)
class Fetched:
    """What came home below folder. partial: some of it only, and folder is not the destination.

    refused: {path, kind, why} each; missing: patterns without a match. changed: something came that was not there before.
    """

    folder: Path
    files: tuple[Entry, ...]
    algorithm: str
    refused: tuple[dict[str, Any], ...] = ()
    missing: tuple[str, ...] = ()
    partial: bool = False
    changed: bool = True

    @cached_property
    def listed(self) -> list[dict[str, Any]]:
        """Return the files as a manifest lists them, sorted by path."""
        return [here.listed(entry, self.algorithm) for entry in sorted(self.files)]

    @cached_property
    def lines(self) -> list[str]:
        """Return the files as `listed`, each as JSON in one line."""
        return [here.line(entry, self.algorithm) for entry in sorted(self.files)]


def speeds() -> dict[str, float]:
    """Return algorithm -> MB/s on this machine, of those that may prove a transfer by themselves."""
    names = tuple(name for name in digests.NAMES if name != NOT_BY_ITSELF)
    return digests.speeds(names, installed)


def arguments(
    wanted: Wanted,
    policy: Policy,
    speeds: Mapping[str, float],
    have: Iterable[Entry] = (),
    partial: Mapping[str, Any] | None = None,
    at_most: int | None = None,
    into: Path | None = None,
) -> dict[str, Any]:
    """Return the arguments of the op `send`; cellnode/send.py says what they mean."""
    return {
        **wanted.base,
        "patterns": list(wanted.patterns),
        "max_files": wanted.max_files,
        "max_bytes": wanted.max_bytes,
        "algorithms": dict(speeds) if policy.integrity == FULL else {},
        "have": [list(entry) for entry in have],
        "partial": partial,
        "compress": policy.compress,
        "at_most": at_most,
        "into": str(into) if into else None,
        "prove": policy.integrity,
    }


class Transfer:
    """Files on their way to a destination. done: all that the node has to give is here. fault: what broke the last stream.

    speeds: see `speeds`. listed: what a manifest says of files that are at the destination already (see here.listed).
    prepare: makes of what has come what is needed next, while the disk is still at work.
    Everything raises ArtifactError; OSError is what this machine refuses.
    """

    def __init__(
        self,
        wanted: Wanted,
        policy: Policy,
        speeds: Mapping[str, float],
        listed: Any = None,
        prepare: Callable[[Fetched], object] = attrgetter("listed"),
    ) -> None:
        self.wanted, self.policy, self._prepare = wanted, policy, prepare
        self.figures = Figures()
        self.done = False
        self.fault: Failure | None = None
        self._speeds = dict(speeds) if policy.integrity == FULL else {}
        self._receiver: Receiver | None = None
        self._arrived: dict[str, Entry] = {}
        self._refused: tuple[dict[str, Any], ...] = ()
        self._missing: tuple[str, ...] = ()
        destination = wanted.destination
        folder = destination.parent / f".{destination.name}.staging"
        used, kept = partial.take_up(destination, folder, self._speeds)
        self._only(used)
        self._staging = Staging(folder, kept.values())
        self.figures.resumed = len(kept)
        used, self._in_place = here.proved(destination, listed, self._speeds)
        self._only(used)

    @property
    def staging_folder(self) -> Path:
        """Return where files wait until all of them are there."""
        return self._staging.folder

    def begin(self, carrier: str, at_most: int | None) -> dict[str, Any]:
        """Return the arguments of the next stream, which is taken in from here on. at_most: bytes of contents in it."""
        have = tuple({**self._in_place, **self._staging.proved}.values())
        placed = carrier == figures.COPY
        self._receiver = Receiver(self._staging, self.policy.integrity, self._check_room, have, placed)
        self.figures.carriers.append(carrier)
        into = self._staging.folder if placed else None
        return arguments(self.wanted, self.policy, self._speeds, have, self._staging.partial, at_most, into)

    def space(self) -> memoryview:
        """Return where the next bytes of the stream go."""
        assert self._receiver
        return self._receiver.space()

    def filled(self, count: int) -> bool:
        """Take bytes that were put into the space, and return whether the stream has ended."""
        assert self._receiver
        return self._receiver.filled(count)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take an event of the op `send`. A fault is kept: other transfers share the way, and the rest is passed over."""
        assert self._receiver
        if self.fault:
            return
        try:
            self._receiver.feed(bytes_of(event))
        except ArtifactError as exc:
            self.fault = exc

    def end(self) -> None:
        """Settle a stream that is over; raise its fault, or transfer_failed where it was cut."""
        assert self._receiver
        if self.fault:
            raise self.fault
        arrived = self._receiver.result()
        stats = arrived.stats
        self._only(stats.algorithm)
        if arrived.more and not stats.raw:
            raise corrupt("the node has more to send, and sent nothing")
        self.figures.sent += stats.received
        self.figures.raw += stats.raw
        self.figures.seconds += stats.seconds
        self.figures.algorithm = stats.algorithm
        self._arrived = {entry.path: entry for entry in arrived.files}
        self._refused, self._missing = arrived.refused, arrived.missing
        self.done = not arrived.more
        if self.done:
            self._staging.settle()
        self._receiver = None

    def break_off(self, failure: Failure) -> None:
        """Hold what the broken stream has proved. Of one that was damaged that is nothing: any part of it may be wrong."""
        self.fault = None
        if self._receiver is None:
            return
        self._receiver.close()
        self.figures.sent += self._receiver.received
        self._only(self._receiver.algorithm)
        self._receiver = None
        if isinstance(failure, ArtifactError) and failure.kind == DAMAGED:
            self._staging.drop_partial()
            self._staging.forget_others(self._arrived)
        self.figures.resumed = len(self._staging.proved) + (self._staging.partial is not None)

    def put_in_place(self) -> Fetched:
        """Put the files of a transfer that is done below its destination, and return them."""
        self._staging.forget_others(self._arrived)
        self._staging.drop_partial()
        there = tuple(entry for path, entry in self._arrived.items() if path not in self._staging.proved)
        changed = bool(self._staging.proved) or not self.wanted.destination.exists()
        files = (*there, *self._moved())
        proofs = self.figures.algorithm, self._refused, self._missing
        fetched = Fetched(self.wanted.destination, files, *proofs, changed=changed)
        if changed:
            self._prepare(fetched)
            self._staging.publish(self.wanted.destination)
        partial.remove(self.wanted.destination)
        self.figures.files, self.figures.bytes = len(files), sum(entry.size for entry in files)
        return fetched

    def keep(self) -> Fetched:
        """Keep what a transfer that failed has proved, apart from its destination, and return it."""
        algorithm = next(iter(self._speeds)) if len(self._speeds) == 1 else ""
        entries = tuple(self._staging.proved.values())
        folder = partial.folder_of(self.wanted.destination)
        if not algorithm or not entries:
            return Fetched(folder, (), algorithm, partial=True)
        found = Fetched(folder, entries, algorithm, partial=True)
        with suppress(OSError):  # the first error is the one to tell
            partial.keep(self.wanted.destination, self._staging, algorithm)
            return found
        return Fetched(folder, (), algorithm, partial=True)

    def close(self) -> None:
        """Remove what is left in the staging folder."""
        self._staging.discard()

    def _only(self, algorithm: str) -> None:
        """Have all streams from here on proved by one algorithm, where it is known already."""
        if algorithm in self._speeds:
            self._speeds = {algorithm: self._speeds[algorithm]}

    def _check_room(self, size: int) -> None:
        """Raise disk_full when size bytes have no room at the destination beside what the run needs to finish."""
        destination = self.wanted.destination
        if size and size + reserve.TO_FINISH_BYTES > reserve.free_bytes(destination):
            said = reserve.shortage(destination, size + reserve.TO_FINISH_BYTES)
            raise ArtifactError("disk_full", f"nothing more is taken from the node: {said}", [])

    def _moved(self) -> tuple[Entry, ...]:
        """Give files their places below the destination, and return their entries with these."""
        with atomic.naming(self.wanted.destination):
            for path in list(self._staging.proved):
                self._staging.move(path, self.wanted.place(path))
        return tuple(self._staging.proved.values())


def bytes_of(event: Mapping[str, Any]) -> bytes:
    """Return the bytes in an event of the op `send`; corrupt where they cannot be read."""
    try:
        return base64.b64decode(event["stream"], validate=True)
    except (KeyError, TypeError, ValueError) as exc:
        raise corrupt(f"a piece of the stream cannot be read ({type(exc).__name__})") from None
