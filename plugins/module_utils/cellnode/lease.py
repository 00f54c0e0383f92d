# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease: this node's record that one run owns it, with an epoch that fences off everybody who lost it.

Expiry counts the kernel's time since boot together with the name of the boot, so no clock change moves it. The file is
never deleted: a released lease keeps its epoch, and the next one is higher. A lock is held only while the file changes.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from . import procs, programs
from .beneath import FOLDER_FLAGS
from .context import Context, ensure_root, os_error_kind
from .durable import read_bytes, replace_bytes, replace_json, take_lock
from .errors import CellError
from .memory import refuse_quarantined
from .params import integer, number
from .request import choice, flag

FILE, LOCK, CORRUPT = "lease.json", "lease.lock", "lease.json.corrupt"
DEFAULT_TTL_S = 60.0
LOCK_LIMIT_S = 10.0
FILE_LIMIT = 64 << 10


@dataclass(frozen=True)
class Now:
    """The present: seconds since boot, the boot's name, seconds since 1970 (for people only)."""

    boottime: float
    boot_id: str
    unix: float


@dataclass(frozen=True)
class Lease:
    """Who owns the node. expires_boottime: seconds since boot boot_id; released: given back by its owner.

    carries: the lowest epoch whose work goes on under this lease: a run keeps it when another controller takes it on.
    """

    epoch: int
    run: str
    owner: str
    ttl_s: float
    boot_id: str
    expires_boottime: float
    renewed_unix: float
    released: bool = False
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

    def renewed(self, now: Now, ttl_s: float | None = None) -> Lease:
        """Return the lease with its expiry moved on."""
        ttl = self.ttl_s if ttl_s is None else ttl_s
        moved = replace(self, boot_id=now.boot_id, expires_boottime=now.boottime + ttl, renewed_unix=now.unix)
        return replace(moved, ttl_s=ttl, released=False)


@dataclass(frozen=True)
class Corrupt:
    """A lease file that cannot be read; written: its time stamp, from which its owner is given one more ttl."""

    why: str
    written: float

    def held_for(self, ttl_s: float, now: Now) -> float:
        """Return how many seconds the unknown owner still has; a time stamp in the future counts from now."""
        return max(0.0, ttl_s - max(0.0, now.unix - self.written))


def present(ctx: Context) -> Now:
    """Return the node's present."""
    return Now(ctx.clock.boottime(), procs.boot_id(), ctx.clock.unix())


def parse(raw: bytes) -> Lease:
    """Return the lease of a file's bytes; raise ValueError that says what is wrong."""
    data = json.loads(raw.decode("utf-8"))
    kinds = {"int": int, "str": str, "float": (int, float), "bool": bool}
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")
    data.setdefault("carries", data.get("epoch"))  # as it is in a file of an earlier version
    for field in fields(Lease):
        value, kind = data.get(field.name), str(field.type)
        if not isinstance(value, kinds[kind]) or isinstance(value, bool) != (kind == "bool"):  # type: ignore[arg-type]
            raise ValueError(f"{field.name} is {value!r}")
    return Lease(**{field.name: data[field.name] for field in fields(Lease)})


def load(root_fd: int) -> Lease | Corrupt | None:
    """Return the lease of an open node root; None when there never was one."""
    try:
        raw = read_bytes(root_fd, FILE, FILE_LIMIT)
        return None if raw is None else parse(raw)
    except (ValueError, OSError) as exc:
        written = os.stat(FILE, dir_fd=root_fd, follow_symlinks=False).st_mtime
        return Corrupt(str(exc), written)


def decide(record: Lease | Corrupt | None, run: str, owner: str, ttl_s: float, now: Now) -> Lease:
    """Return the lease that run gets; raise lock_held when somebody else still owns the node.

    The same run and owner keep their epoch while the lease lasts; every other way in gives a higher one.
    """
    first = Lease(1, run, owner, ttl_s, now.boot_id, now.boottime + ttl_s, now.unix, carries=1)
    if record is None:
        return first
    if isinstance(record, Corrupt):
        left = record.held_for(ttl_s, now)
        if left > 0:
            raise _corrupt(record, left)
        return _anew(first, int(now.unix))  # above any counted epoch, the lost one included
    if record.standing(now) != "held":
        return _anew(first, record.epoch + 1)
    if (record.run, record.owner) != (run, owner):
        raise held_by(record, now)
    return record.renewed(now, ttl_s)


def _anew(first: Lease, epoch: int) -> Lease:
    """Return a lease of an epoch that carries no earlier work."""
    return replace(first, epoch=epoch, carries=epoch)


def held_by(record: Lease, now: Now) -> CellError:
    """Return the error that names the holder of the node."""
    left, state = record.expires_in(now), record.standing(now)
    until = f"for another {left:.0f} s" if state == "held" else f"and that lease is {state}"
    message = f"node is leased to run {record.run!r} of {record.owner!r} (epoch {record.epoch}) {until}"
    holder = {"owner": record.owner, "run": record.run, "epoch": record.epoch, "expires_in_s": left}
    return CellError("lock_held", message, holder=holder)


def _corrupt(record: Corrupt, left: float) -> CellError:
    """Return the error for a lease file that cannot be read."""
    message = f"the node's {FILE} cannot be read ({record.why}); it counts as held for another {left:.0f} s"
    holder = {"owner": "", "run": "", "epoch": None, "expires_in_s": round(left, 3)}
    return CellError("lock_held", message, holder=holder)


@contextmanager
def opened(root: Path) -> Iterator[int]:
    """Give a descriptor of the node root."""
    fd = os.open(root, FOLDER_FLAGS)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def changing(root: Path) -> Iterator[int]:
    """Give a descriptor of the node root while nobody else changes the lease."""
    with opened(ensure_root(root)) as root_fd:
        lock_fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=root_fd)
        try:
            take_lock(lock_fd, LOCK_LIMIT_S, "another process has been changing the lease")
            yield root_fd
        finally:
            os.close(lock_fd)


def _save(root_fd: int, lease: Lease) -> None:
    """Write the lease, whole or not at all."""
    try:
        replace_json(root_fd, FILE, asdict(lease))
    except OSError as exc:
        raise CellError(os_error_kind(exc), f"cannot write the node's {FILE}: {exc.strerror}", errno=exc.errno) from exc


def check_fence(ctx: Context) -> None:
    """Renew the lease of the request's run and epoch; raise lock_held when it is not theirs (any more).

    A lease that ran out without anybody taking the node is still theirs: the epoch proves that nobody came between.
    """
    if ctx.run is None or ctx.run.epoch is None:
        return
    with changing(ctx.root) as root_fd:
        record, now = load(root_fd), present(ctx)
        lease = _owned(record, ctx.run.id, ctx.run.epoch, now)
        if not ctx.check:
            _save(root_fd, lease.renewed(now))


def _owned(record: Lease | Corrupt | None, run: str, epoch: int | None, now: Now) -> Lease:
    """Return the record when it is this run's and epoch's; raise lock_held otherwise."""
    if isinstance(record, Corrupt):
        raise _corrupt(record, record.held_for(DEFAULT_TTL_S, now))
    if record is None:
        raise CellError("lock_held", f"run {run!r} holds no lease on this node; acquire one first", holder=None)
    if record.run != run or (epoch is not None and record.epoch != epoch):
        raise held_by(record, now)
    if record.released:
        message = f"run {run!r} has released this node (epoch {record.epoch}); acquire a new lease first"
        raise CellError("lock_held", message, holder=None)
    return record


def _described(record: Lease | Corrupt | None, now: Now) -> dict[str, Any]:
    """Return a record as the JSON values of an answer."""
    if record is None:
        return {"held": False, "state": "free", "epoch": 0, "run": "", "owner": "", "ttl_s": 0.0, "expires_in_s": 0.0}
    if isinstance(record, Corrupt):
        left = record.held_for(DEFAULT_TTL_S, now)
        shown = {"epoch": None, "run": "", "owner": "", "ttl_s": DEFAULT_TTL_S, "expires_in_s": round(left, 3)}
        return {"held": left > 0, "state": "corrupt", "why": record.why, **shown}
    state = record.standing(now)
    shown = {"epoch": record.epoch, "run": record.run, "owner": record.owner, "ttl_s": record.ttl_s}
    return {"held": state == "held", "state": state, **shown, "expires_in_s": record.expires_in(now)}


def show(ctx: Context, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node's lease as it stands."""
    if not ctx.root.is_dir():
        return {**_described(None, present(ctx)), "previous": None}
    with opened(ctx.root) as root_fd:
        return {**_described(load(root_fd), present(ctx)), "previous": None}


def acquire(ctx: Context, args: Mapping[str, Any]) -> dict[str, Any]:
    """Take the node for the request's run; previous describes the lease that was taken over, if any.

    A quarantined node is refused by the quarantine's own kind, but not to a run that has it, nor where args.repair is set.
    """
    ttl = number(args, "ttl_s", DEFAULT_TTL_S, 0.1, 86400.0)
    run = ctx.needed_run
    if ctx.check:
        return show(ctx, args)
    with changing(ctx.root) as root_fd:
        record, now = load(root_fd), present(ctx)
        lease = decide(record, run.id, ctx.owner, ttl, now)
        if not flag(args, "repair", False) and not (isinstance(record, Lease) and record.epoch == lease.epoch):
            refuse_quarantined(root_fd, now.unix)
        if isinstance(record, Corrupt):
            _keep_corrupt(root_fd)
        _save(root_fd, lease)
    programs.tidy(ctx.root, Path(sys.argv[0]), now.unix)
    taken = isinstance(record, Corrupt) or (record is not None and record.epoch != lease.epoch)
    return {**_described(lease, now), "previous": _described(record, now) if taken else None}


def succeed(ctx: Context, args: Mapping[str, Any]) -> dict[str, Any]:
    """Take on the request's run from a controller that the caller knows to be dead; what runs under its epoch goes on.

    args.epoch: that of the dead controller. Raise lock_held unless the node is still that run's and epoch's since then.
    """
    ttl, epoch = number(args, "ttl_s", DEFAULT_TTL_S, 0.1, 86400.0), integer(args, "epoch", 0, 1, 1 << 53)
    run = ctx.needed_run
    if ctx.check:
        return show(ctx, args)
    with changing(ctx.root) as root_fd:
        record, now = load(root_fd), present(ctx)
        if isinstance(record, Lease) and (record.epoch, record.run, record.owner) == (epoch + 1, run.id, ctx.owner):
            lease = record.renewed(now, ttl)  # the answer to the same request was lost
        else:
            known = _owned(record, run.id, epoch, now)
            if known.boot_id != now.boot_id:
                raise held_by(known, now)
            lease = replace(known.renewed(now, ttl), epoch=epoch + 1, owner=ctx.owner)
        _save(root_fd, lease)
    return {**_described(lease, now), "previous": None}


def _keep_corrupt(root_fd: int) -> None:
    """Keep a copy of the unreadable lease file as evidence."""
    try:
        replace_bytes(root_fd, CORRUPT, read_bytes(root_fd, FILE, FILE_LIMIT) or b"")
    except OSError:  # a link or device in its place has no bytes worth keeping; the rename of the new lease replaces it
        return


def renew(ctx: Context, args: Mapping[str, Any]) -> dict[str, Any]:
    """Move the expiry of the request's lease on."""
    run = ctx.needed_run
    ttl = None if args.get("ttl_s") is None else number(args, "ttl_s", DEFAULT_TTL_S, 0.1, 86400.0)
    with changing(ctx.root) as root_fd:
        record, now = load(root_fd), present(ctx)
        lease = _owned(record, run.id, run.epoch, now).renewed(now, ttl)
        if not ctx.check:
            _save(root_fd, lease)
    return {**_described(lease, now), "previous": None}


def release(ctx: Context, args: Mapping[str, Any]) -> dict[str, Any]:
    """Give the node back; a second release of the same run changes nothing."""
    run = ctx.needed_run
    with changing(ctx.root) as root_fd:
        record, now = load(root_fd), present(ctx)
        if record is None or (isinstance(record, Lease) and record.released):
            return {**_described(record, now), "previous": None}
        lease = replace(_owned(record, run.id, run.epoch, now), released=True)
        if not ctx.check:
            _save(root_fd, lease)
    return {**_described(lease, now), "previous": None}


def claim(root: Path, run: str, epoch: int, now: Now, *, carried: bool = False) -> tuple[str, float]:
    """Return how the lease stands for a run that works under it, and its ttl: ours, lapsed or other.

    carried: work that was begun under an earlier epoch may be ours as well.
    """
    try:
        with opened(root) as root_fd:
            record = load(root_fd)
    except OSError:
        return "lapsed", 0.0
    if not isinstance(record, Lease):
        return "lapsed", 0.0
    lowest = record.carries if carried else record.epoch
    if record.run != run or not lowest <= epoch <= record.epoch:
        return "other", 0.0
    return ("ours" if record.standing(now) == "held" else "lapsed"), record.ttl_s


ACTIONS: dict[str, Callable[[Context, Mapping[str, Any]], dict[str, Any]]] = {
    "acquire": acquire,
    "renew": renew,
    "release": release,
    "show": show,
    "succeed": succeed,
}


def op_lease(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Do one lease action and return {held, state, epoch, run, owner, ttl_s, expires_in_s, previous}."""
    return ACTIONS[choice(args, "action", tuple(ACTIONS), "")](ctx, args)


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"lease": op_lease}
