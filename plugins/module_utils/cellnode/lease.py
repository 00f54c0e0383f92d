# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease: this node's record of the runs that hold it, each with an epoch that fences off everybody who lost it.

Expiry counts the kernel's time since boot together with the name of the boot, so no clock change moves it. The file is
never deleted: a released lease keeps its epoch, and the next one is higher. A lock is held only while the file changes.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import procs, programs
from .beneath import FOLDER_FLAGS
from .context import Context, ensure_root, os_error_kind
from .durable import read_bytes, replace_bytes, replace_json, take_lock
from .errors import CellError
from .holders import Corrupt, Holders, Lease, Now, decide, held_by, parse, runs, unreadable, wanted
from .memory import refuse_quarantined
from .params import integer, number
from .request import choice, flag

FILE, LOCK, CORRUPT, REAPING = "lease.json", "lease.lock", "lease.json.corrupt", "reap.lock"
DEFAULT_TTL_S = 60.0
LOCK_LIMIT_S = 10.0
REAPING_LIMIT_S = 120.0
FILE_LIMIT = 64 << 10
NOT_ITS_FAULT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # what keeps a process from opening any file


def present(ctx: Context) -> Now:
    """Return the node's present."""
    return Now(ctx.clock.boottime(), procs.boot_id(), ctx.clock.unix())


def load(root_fd: int) -> Holders | Corrupt | None:
    """Return who holds the node with this open root; None when nobody ever did."""
    try:
        raw = read_bytes(root_fd, FILE, FILE_LIMIT)
        return None if raw is None else parse(raw)
    except (ValueError, OSError) as exc:
        if isinstance(exc, OSError) and exc.errno in NOT_ITS_FAULT:
            raise
        written = os.stat(FILE, dir_fd=root_fd, follow_symlinks=False).st_mtime
        return Corrupt(str(exc), written)


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
    why = "another process has been changing the lease"
    with opened(ensure_root(root)) as root_fd, _locked(root_fd, LOCK, LOCK_LIMIT_S, why):
        yield root_fd


@contextmanager
def reaping(root: Path) -> Iterator[None]:
    """Keep newcomers off the node: what a dead run has left is removed, and that run itself may be started again."""
    why = "another process has been removing what dead runs have left"
    with opened(ensure_root(root)) as root_fd, _locked(root_fd, REAPING, REAPING_LIMIT_S, why):
        yield


@contextmanager
def _locked(root_fd: int, name: str, limit_s: float, why: str) -> Iterator[None]:
    lock_fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=root_fd)
    try:
        take_lock(lock_fd, limit_s, why)
        yield
    finally:
        os.close(lock_fd)


def _save(root_fd: int, holders: Holders) -> None:
    """Write the holders, whole or not at all."""
    try:
        replace_json(root_fd, FILE, holders.as_dict())
    except OSError as exc:
        raise CellError(os_error_kind(exc), f"cannot write the node's {FILE}: {exc.strerror}", errno=exc.errno) from exc


def check_fence(ctx: Context) -> None:
    """Renew the lease of the request's run and epoch; raise lock_held when it is not theirs (any more).

    A lease that ran out without anybody taking the node is still theirs: the epoch proves that nobody came between.
    """
    if ctx.run is None or ctx.run.epoch is None:
        return
    with changing(ctx.root) as root_fd:
        now = present(ctx)
        holders, lease = _owned(load(root_fd), ctx.run.id, ctx.run.epoch, now)
        if not ctx.check:
            _save(root_fd, holders.changed(lease.renewed(now)))


def _owned(record: Holders | Corrupt | None, run: str, epoch: int | None, now: Now) -> tuple[Holders, Lease]:
    """Return the holders and among them this run's and epoch's; raise lock_held where it is not there."""
    if isinstance(record, Corrupt):
        raise unreadable(record, record.held_for(DEFAULT_TTL_S, now))
    if record is None:
        raise CellError("lock_held", f"run {run!r} holds no lease on this node; acquire one first", holder=None)
    lease = record.of(run, epoch)
    if lease is None:
        raise held_by(record.held(now) or record.leases[-1:], now)
    if lease.released:
        message = f"run {run!r} has released this node (epoch {lease.epoch}); acquire a new lease first"
        raise CellError("lock_held", message, holder=None)
    return record, lease


def _told(lease: Lease, holders: Holders, now: Now) -> dict[str, Any]:
    """Return a lease and everybody who holds the node as the JSON values of an answer."""
    state = lease.standing(now)
    shown = {"epoch": lease.epoch, "run": lease.run, "owner": lease.owner, "ttl_s": lease.ttl_s}
    all_of_them = [one.told(now) for one in holders.held(now)]
    more = {"expires_in_s": lease.expires_in(now), "shared": lease.shared, "holders": all_of_them}
    return {"held": state == "held", "state": state, **shown, **more}


def _standing(record: Holders | Corrupt | None, now: Now) -> dict[str, Any]:
    """Return how the node stands as the JSON values of an answer: of several holders the first is told in full."""
    if isinstance(record, Holders):
        return _told(record.first(now), record, now)
    nobody: dict[str, Any] = {"run": "", "owner": "", "shared": False, "holders": []}
    if record is None:
        return {"held": False, "state": "free", "epoch": 0, "ttl_s": 0.0, "expires_in_s": 0.0, **nobody}
    left = record.held_for(DEFAULT_TTL_S, now)
    shown = {"epoch": None, "ttl_s": DEFAULT_TTL_S, "expires_in_s": round(left, 3), **nobody}
    return {"held": left > 0, "state": "corrupt", "why": record.why, **shown}


def show(ctx: Context, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node's lease as it stands."""
    return {**_standing(_read(ctx.root), present(ctx)), "previous": None}


def _read(root: Path) -> Holders | Corrupt | None:
    """Return who holds a node whose root may not be there yet."""
    if not root.is_dir():
        return None
    with opened(root) as root_fd:
        return load(root_fd)


def acquire(ctx: Context, args: Mapping[str, Any]) -> dict[str, Any]:
    """Take the node for the request's run; previous describes the lease that was taken over, if any.

    args.shared: beside others that share it, too. A quarantined node is refused by the quarantine's own kind, but not to
    a run that has it, nor where args.repair is set.
    """
    ttl, run, now = number(args, "ttl_s", DEFAULT_TTL_S, 0.1, 86400.0), ctx.needed_run, present(ctx)
    if ctx.check:
        return show(ctx, args)
    wish = wanted(run.id, ctx.owner, ttl, now, shared=flag(args, "shared", False))
    decide(_read(ensure_root(ctx.root)), wish, now)  # whoever is in the way is named before anybody is waited for
    with reaping(ctx.root), changing(ctx.root) as root_fd:
        record, now = load(root_fd), present(ctx)
        lease, holders = decide(record, wanted(run.id, ctx.owner, ttl, now, shared=wish.shared), now)
        is_kept = isinstance(record, Holders) and record.of(run.id, lease.epoch) is not None
        if not flag(args, "repair", False) and not is_kept:
            refuse_quarantined(root_fd, now.unix)
        if isinstance(record, Corrupt):
            _keep_corrupt(root_fd)
        _save(root_fd, holders)
    programs.tidy(ctx.root, Path(sys.argv[0]), now.unix)
    return {**_told(lease, holders, now), "previous": None if is_kept else _taken_over(record, holders, now)}


def succeed(ctx: Context, args: Mapping[str, Any]) -> dict[str, Any]:
    """Take on the request's run from a controller that the caller knows to be dead; what runs under its epoch goes on.

    args.epoch: that of the dead controller. Raise lock_held unless the node is still that run's and epoch's since then.
    """
    ttl, epoch = number(args, "ttl_s", DEFAULT_TTL_S, 0.1, 86400.0), integer(args, "epoch", 0, 1, 1 << 53)
    if ctx.check:
        return show(ctx, args)
    with changing(ctx.root) as root_fd:
        record, now = load(root_fd), present(ctx)
        holders, lease = _successor(ctx, record, epoch, now)
        lease = lease.renewed(now, ttl)
        _save(root_fd, holders.changed(lease))
    return {**_told(lease, holders.changed(lease), now), "previous": None}


def _successor(ctx: Context, record: Holders | Corrupt | None, epoch: int, now: Now) -> tuple[Holders, Lease]:
    """Return the holders and the lease of the next controller, which may have it already: the answer may have been lost."""
    run = ctx.needed_run
    following = record.carrying(run.id, epoch) if isinstance(record, Holders) else None
    if isinstance(record, Holders) and following and following.epoch > epoch and following.owner == ctx.owner:
        return record, following
    holders, lease = _owned(record, run.id, epoch, now)
    if lease.boot_id != now.boot_id:
        raise held_by([lease], now)
    lease, holders = holders.succeeded(lease, ctx.owner)
    return holders, lease


def _taken_over(record: Holders | Corrupt | None, holders: Holders, now: Now) -> dict[str, Any] | None:
    """Return the last lease that stands in the record and is none any more, None where there is none."""
    if not isinstance(record, Holders):
        return None if record is None else _standing(record, now)
    gone = [lease for lease in record.leases if holders.of(lease.run, lease.epoch) is None]
    return _told(gone[-1], record, now) if gone else None


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
        now = present(ctx)
        holders, lease = _owned(load(root_fd), run.id, run.epoch, now)
        lease = lease.renewed(now, ttl)
        if not ctx.check:
            _save(root_fd, holders.changed(lease))
    return {**_told(lease, holders.changed(lease), now), "previous": None}


def keep(ctx: Context, *, carried: bool = True) -> None:
    """Renew the lease under which the work of the request's epoch goes on, once half of its time is over.

    One that was given back, or that another run has, is left alone. carried: that of a controller which has taken the run on
    since is renewed as well.
    """
    if _to_keep(_read(ctx.root), ctx, carried) is None:
        return
    with changing(ctx.root) as root_fd:
        found = _to_keep(load(root_fd), ctx, carried)
        if found is not None:
            holders, lease = found
            _save(root_fd, holders.changed(lease.renewed(present(ctx))))


def _to_keep(record: Holders | Corrupt | None, ctx: Context, carried: bool) -> tuple[Holders, Lease] | None:
    """Return the holders and the lease that should be renewed now, None where none should."""
    run, now = ctx.needed_run, present(ctx)
    if not isinstance(record, Holders) or run.epoch is None:
        return None
    lease = record.carrying(run.id, run.epoch) if carried else record.of(run.id, run.epoch)
    if lease is None or lease.released or lease.expires_in(now) > lease.ttl_s / 2:
        return None
    return record, lease


def taken(ctx: Context) -> float | None:
    """Return since when the node is the run's in seconds since boot, None where that is not known."""
    record, run = _read(ctx.root), ctx.needed_run
    lease = record.of(run.id, None) if isinstance(record, Holders) else None
    return lease.taken_boottime if lease and lease.boot_id == procs.boot_id() else None


def release(ctx: Context, args: Mapping[str, Any]) -> dict[str, Any]:
    """Give the node back; a second release of the same run changes nothing, whoever has the node by now."""
    run = ctx.needed_run
    with changing(ctx.root) as root_fd:
        record, now = load(root_fd), present(ctx)
        if record is None or (isinstance(record, Holders) and all(lease.released for lease in record.leases)):
            return {**_standing(record, now), "previous": None}
        if isinstance(record, Holders) and record.gave_back(run.id, run.epoch):
            return {**_standing(record, now), "previous": None}
        holders, lease = _owned(record, run.id, run.epoch, now)
        lease = replace(lease, released=True)
        if not ctx.check:
            _save(root_fd, holders.changed(lease))
    return {**_told(lease, holders.changed(lease), now), "previous": None}


def claim(root: Path, run: str, epoch: int, now: Now, *, carried: bool = False) -> tuple[str, float]:
    """Return how the lease stands for a run that works under it, and its ttl: ours, lapsed or other.

    carried: work that was begun under an earlier epoch may be ours as well.
    """
    try:
        with opened(root) as root_fd:
            record = load(root_fd)
    except OSError:
        return "lapsed", 0.0
    if not isinstance(record, Holders):
        return "lapsed", 0.0
    lease = record.carrying(run, epoch) if carried else record.of(run, epoch)
    if lease is None:
        return "other", 0.0
    return ("ours" if lease.standing(now) == "held" else "lapsed"), lease.ttl_s


def holding(root: Path) -> frozenset[str]:
    """Return the runs that hold the node, and those whose time is over but that nobody has taken it from yet."""
    record = _read(root)
    return runs(record.leases) if isinstance(record, Holders) else frozenset()


ACTIONS: dict[str, Callable[[Context, Mapping[str, Any]], dict[str, Any]]] = {
    "acquire": acquire,
    "renew": renew,
    "release": release,
    "show": show,
    "succeed": succeed,
}


def op_lease(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Do one lease action and return {held, state, epoch, run, owner, ttl_s, expires_in_s, shared, holders, previous}."""
    return ACTIONS[choice(args, "action", tuple(ACTIONS), "")](ctx, args)


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"lease": op_lease}
