# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a node: one run, or several that all share it; who may join them, and how that is written down.

A node with one holder is written as the first format has it: that holder's fields and nothing around them. Several
holders are written as {"version": 2, "epoch", "holders"}. A program that knows only the first format cannot read that,
and what it cannot read it takes for held, for one ttl after the last change.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any

from .errors import CellError

VERSION = 2
Json = dict[str, Any]
KINDS: dict[str, tuple[type, ...]] = {"int": (int,), "str": (str,), "float": (int, float), "bool": (bool,)}
KINDS["float | None"] = (int, float, type(None))


@dataclass(frozen=True)
class Now:
    """The present: seconds since boot, the boot's name, seconds since 1970 (for people only)."""

    boottime: float
    boot_id: str
    unix: float


@dataclass(frozen=True)
class Lease:
    """One holder of the node. expires_boottime, taken_boottime: seconds since boot boot_id, the latter None where unknown.

    released: given back by its owner. shared: others may hold the node at the same time if they allow it, too.
    carries: the lowest epoch whose work goes on under this lease, 0 for its own only: a run keeps what it began when
    another controller takes it on.
    """

    epoch: int
    run: str
    owner: str
    ttl_s: float
    boot_id: str
    expires_boottime: float
    renewed_unix: float
    released: bool = False
    shared: bool = False
    taken_boottime: float | None = None
    carries: int = 0

    def standing(self, now: Now) -> str:
        """Return held, released, rebooted or expired."""
        if self.released:
            return "released"
        if self.boot_id != now.boot_id:
            return "rebooted"
        return "held" if now.boottime < self.expires_boottime else "expired"

    def expires_in(self, now: Now) -> float:
        """Return the seconds until expiry, 0 when it is over."""
        return max(0.0, round(self.expires_boottime - now.boottime, 3)) if self.standing(now) == "held" else 0.0

    def age(self, now: Now) -> float | None:
        """Return for how many seconds the node has been this holder's, None where that is not known."""
        if self.taken_boottime is None or self.boot_id != now.boot_id:
            return None
        return max(0.0, round(now.boottime - self.taken_boottime, 3))

    def renewed(self, now: Now, ttl_s: float | None = None) -> Lease:
        """Return the lease with its expiry moved on."""
        ttl = self.ttl_s if ttl_s is None else ttl_s
        taken = self.taken_boottime if self.boot_id == now.boot_id else None
        moved = replace(self, boot_id=now.boot_id, expires_boottime=now.boottime + ttl, renewed_unix=now.unix)
        return replace(moved, ttl_s=ttl, released=False, taken_boottime=taken)

    def bears(self, other: Lease) -> bool:
        """Decide whether both may hold the node at once: both share it, and they are no two controllers of one run."""
        return self.shared and other.shared and self.run != other.run

    def told(self, now: Now) -> Json:
        """Return the holder as the JSON values of an answer."""
        who = {"run": self.run, "owner": self.owner, "epoch": self.epoch, "shared": self.shared}
        return {**who, "expires_in_s": self.expires_in(now), "age_s": self.age(now)}


@dataclass(frozen=True)
class Holders:
    """Everybody who holds the node or had it last, at least one, by epoch. epoch: the highest that was ever given."""

    epoch: int
    leases: tuple[Lease, ...]

    def held(self, now: Now) -> tuple[Lease, ...]:
        """Return those whose time is not over."""
        return tuple(lease for lease in self.leases if lease.standing(now) == "held")

    def of(self, run: str, epoch: int | None) -> Lease | None:
        """Return the lease of a run, of this epoch where one is given."""
        mine = [lease for lease in self.leases if lease.run == run and epoch in (None, lease.epoch)]
        return mine[-1] if mine else None

    def gave_back(self, run: str, epoch: int | None) -> bool:
        """Return whether the lease of a run's epoch was given and is over, without one of another epoch in its place."""
        return epoch is not None and epoch <= self.epoch and self.of(run, None) is None

    def carrying(self, run: str, epoch: int) -> Lease | None:
        """Return the lease of a run under which the work of an epoch may go on."""
        found = (one for one in self.leases if one.run == run and (one.carries or one.epoch) <= epoch <= one.epoch)
        return next(found, None)

    def first(self, now: Now) -> Lease:
        """Return the one who has held the node for longest, else the last one who had it."""
        return (*self.held(now), self.leases[-1])[0]

    def changed(self, lease: Lease) -> Holders:
        """Return the holders with a lease in the place of its former self; one that is given back leaves the others alone.

        The last one to leave takes the highest epoch along, so that a node which nobody holds is in the first format.
        """
        leases = (lease if one.epoch == lease.epoch else one for one in self.leases)
        left = tuple(one for one in leases if not one.released)
        return replace(self, leases=left or (replace(lease, epoch=self.epoch),))

    def succeeded(self, lease: Lease, owner: str) -> tuple[Lease, Holders]:
        """Return the lease that the next controller of a run has in the place of a dead one's, and the holders then."""
        following = replace(lease, owner=owner, epoch=self.epoch + 1, carries=lease.carries or lease.epoch)
        others = (one for one in self.leases if one.epoch != lease.epoch)
        return following, Holders(following.epoch, (*others, following))

    def as_dict(self) -> Json:
        """Return what the file holds."""
        if len(self.leases) == 1 and self.leases[0].epoch == self.epoch:
            return asdict(self.leases[0])
        return {"version": VERSION, "epoch": self.epoch, "holders": [asdict(lease) for lease in self.leases]}


@dataclass(frozen=True)
class Corrupt:
    """A lease file that cannot be read; written: its time stamp, from which its owner is given one more ttl."""

    why: str
    written: float

    def held_for(self, ttl_s: float, now: Now) -> float:
        """Return how many seconds the unknown owner still has; a time stamp in the future counts from now."""
        return max(0.0, ttl_s - max(0.0, now.unix - self.written))


def parse(raw: bytes) -> Holders:
    """Return the holders of a file's bytes; raise ValueError that says what is wrong."""
    data = json.loads(raw.decode("utf-8"))
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")
    if "holders" not in data:
        lease = _lease(data)
        return Holders(lease.epoch, (lease,))
    epoch, entries = data.get("epoch"), data["holders"]
    if data.get("version") != VERSION or type(epoch) is not int or not isinstance(entries, list) or not entries:
        raise ValueError(f"it is of version {data.get('version')!r}, epoch {epoch!r}; known: {VERSION}")
    leases = tuple(_lease(entry) for entry in entries)
    if sorted({lease.epoch for lease in leases}) != [lease.epoch for lease in leases] or leases[-1].epoch > epoch:
        raise ValueError(f"its epochs are not in order below {epoch}")
    return Holders(epoch, leases)


def _lease(data: Any) -> Lease:
    """Return a lease of plain data; what the first format did not have may be absent."""
    if not isinstance(data, dict):
        raise ValueError("a holder is no JSON object")
    found: Json = {}
    for field in fields(Lease):
        if field.name not in data and field.name != "released" and field.default is not MISSING:
            continue
        value, kind = data.get(field.name), str(field.type)
        if not isinstance(value, KINDS[kind]) or isinstance(value, bool) != (kind == "bool"):
            raise ValueError(f"{field.name} is {value!r}")
        found[field.name] = value
    return Lease(**found)


def wanted(run: str, owner: str, ttl_s: float, now: Now, *, shared: bool = False) -> Lease:
    """Return the lease of a node that nobody has ever had."""
    expires = now.boottime + ttl_s
    return Lease(1, run, owner, ttl_s, now.boot_id, expires, now.unix, shared=shared, taken_boottime=now.boottime)


def decide(record: Holders | Corrupt | None, wish: Lease, now: Now) -> tuple[Lease, Holders]:
    """Return the lease that is given for a wish and everybody who holds the node then; raise lock_held for who is in the way.

    The same run and owner keep their epoch while the lease lasts; every other way in gives a higher one. Whose time is
    over is no holder any more.
    """
    if record is None:
        return wish, Holders(wish.epoch, (wish,))
    if isinstance(record, Corrupt):
        left = record.held_for(wish.ttl_s, now)
        if left > 0:
            raise unreadable(record, left)
        lease = replace(wish, epoch=int(now.unix))  # above any counted epoch, the lost one included
        return lease, Holders(lease.epoch, (lease,))
    held = record.held(now)
    own = next((one for one in held if (one.run, one.owner) == (wish.run, wish.owner)), None)
    others = [one for one in held if one is not own]
    in_the_way = [one for one in others if not one.bears(wish)]
    if in_the_way:
        raise held_by(in_the_way, now)
    kept = replace(own.renewed(now, wish.ttl_s), shared=wish.shared) if own else None
    lease = kept or replace(wish, epoch=record.epoch + 1)
    leases = sorted([*others, lease], key=lambda one: one.epoch)
    return lease, Holders(max(record.epoch, lease.epoch), tuple(leases))


def held_by(leases: Sequence[Lease], now: Now) -> CellError:
    """Return the error that names the holders of the node, or who had it last."""
    message = "node is leased to " + "; and to ".join(_words(lease, now) for lease in leases)
    told = [lease.told(now) for lease in leases]
    return CellError("lock_held", message, holder=told[0], holders=told)


def _words(lease: Lease, now: Now) -> str:
    state = lease.standing(now)
    until = f"for another {lease.expires_in(now):.0f} s" if state == "held" else f"and that lease is {state}"
    return f"run {lease.run!r} of {lease.owner!r} (epoch {lease.epoch}) {until}"


def unreadable(record: Corrupt, left: float) -> CellError:
    """Return the error for a lease file that cannot be read. left: seconds for which it counts as held."""
    message = f"the node's lease.json cannot be read ({record.why}); it counts as held for another {left:.0f} s"
    holder = {"run": "", "owner": "", "epoch": None, "shared": False, "expires_in_s": round(left, 3), "age_s": None}
    return CellError("lock_held", message, holder=holder, holders=[holder])


def runs(leases: Iterable[Lease]) -> frozenset[str]:
    """Return the runs of leases that were not given back."""
    return frozenset(lease.run for lease in leases if not lease.released)
