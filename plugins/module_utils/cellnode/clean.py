# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove what a run left on the node: by its label, its process mark and its folder, and prove it by listing.

What will not go is tried once more by force (see emergency.py).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from . import cgroup, emergency, lease, procs, remove
from .cleaning import Report
from .containers import RUNNING, end_processes, in_parallel
from .context import Context
from .engine import Engine, engine_of
from .errors import CellError
from .objects import Container, containers, holders_of, of_run
from .request import flag

Json = dict[str, Any]
PROVE_S = 10.0
IMAGES_TRIED = 4
KINDS = ("networks", "volumes")


def clean(ctx: Context, args: Json) -> Json:
    """Remove everything of the request's run; doing it again removes nothing.

    Returns {removed: {...}, errors: [...], emergency, cause: [...], seconds}. Where something would not go, a second, harder
    pass follows (emergency), and cause holds the errors of the first one. errors is what remains.

    args.dead: the run is cleaned by somebody else. It may be started again at any moment, and must not be until this is over.
    """
    engine = engine_of(ctx)
    if ctx.check:
        return _planned(ctx, engine)
    if not flag(args, "dead", False):
        return clean_run(ctx, engine).as_dict()
    with lease.reaping(ctx.root):
        lease.check_fence(ctx)
        return clean_run(ctx, engine).as_dict()


def clean_run(ctx: Context, engine: Engine) -> Report:
    """Remove everything of one run. Its folder goes last: as long as it is there, the run is known to be ours."""
    report, began = Report(), ctx.clock.monotonic()
    images: list[str] = []
    _end_processes(ctx, report)
    _undo_faults(ctx, engine)
    try:
        images = _remove_objects(ctx, engine, report)
    except CellError as exc:
        report.error(exc.kind, "engine objects", exc.message)
    report.errors += _undo_faults(ctx, engine)
    if not report.errors:
        _remove_folder(ctx, engine, images, report)
    if report.errors:
        _clean_hard(ctx, engine.with_timeout(emergency.CALL_S), images, report)
    report.seconds = ctx.clock.monotonic() - began
    return report


def _clean_hard(ctx: Context, engine: Engine, images: list[str], report: Report) -> None:
    """Try again by force; what remains then is in the report's errors."""
    report.begin_emergency()
    report.errors += _undo_faults(ctx, engine)
    deadline = ctx.clock.monotonic() + emergency.LIMIT_S
    emergency.end_processes(ctx, report)
    try:
        found = emergency.remove_containers(ctx, engine, lambda: _containers(ctx, engine), deadline, report)
        for kind in KINDS:
            emergency.remove_named(ctx, engine, kind, partial(_named, ctx, engine, kind), deadline, report)
    except CellError as exc:
        report.error(exc.kind, "engine objects", exc.message)
    if not report.errors:
        emergency.loosen(_folder(ctx), ctx.environ)
        _remove_folder(ctx, engine, [*images, *found], report)


def _undo_faults(ctx: Context, engine: Engine) -> list[Json]:
    """Undo the faults of the run that are still there and return what would not go.

    A fault may keep the engine away, so this comes first; some go with their container, so it comes again after that.
    """
    if not os.path.lexists(ctx.root / "chaos" / ctx.needed_run.id):
        return []
    contact = importlib.import_module(".chaos.contact", __package__)  # which most runs do not need
    errors: list[Json] = contact.undo(ctx, engine, [ctx.needed_run.id]).errors()
    return errors


def _end_processes(ctx: Context, report: Report) -> None:
    """Kill the run's processes, frozen ones too, and remove their control groups."""
    run_id = ctx.needed_run.id
    for group in cgroup.groups_left(ctx.root, run_id):
        cgroup.thaw(group.path)
    report.removed["processes"], errors = end_processes(ctx)
    report.errors += errors
    ctx.clock.until(lambda: _remove_groups(ctx), 2.0)
    for group in cgroup.groups_left(ctx.root, run_id):
        report.error("process_leak", str(group.path), "the control group cannot be removed")


def _remove_groups(ctx: Context) -> bool:
    """Remove the run's empty control groups and return whether none is left."""
    for group in cgroup.groups_left(ctx.root, ctx.needed_run.id):
        cgroup.remove(group)
    return not cgroup.groups_left(ctx.root, ctx.needed_run.id)


def _remove_objects(ctx: Context, engine: Engine, report: Report) -> list[str]:
    """Remove the run's containers, networks and volumes and return the images that the containers were made of.

    A network takes the engine longest. It can go while stopped containers do; one that runs would hold it.
    """
    found = _containers(ctx, engine)
    with ThreadPoolExecutor(1) as beside:
        held = any(one.state in RUNNING for one in found)
        early = None if held else beside.submit(_remove_named, ctx, engine, "networks", report)
        _remove_containers(ctx, engine, found, report)
        if early is None:
            _remove_named(ctx, engine, "networks", report)
        else:
            early.result()
    _remove_named(ctx, engine, "volumes", report)
    return sorted({one.image_id for one in found})


def _containers(ctx: Context, engine: Engine) -> list[Container]:
    """Return the run's containers: those with its label, and those that hold its folder."""
    return [*containers(engine, of_run(ctx.needed_run)), *holders_of(engine, str(ctx.run_dir))]


def _remove_containers(ctx: Context, engine: Engine, found: list[Container], report: Report) -> None:
    """Remove the run's containers with their anonymous volumes."""
    failed = in_parallel(found, lambda one: engine.remove("containers", one.id))
    left = {one.name for one in ctx.clock.drained(lambda: _containers(ctx, engine), PROVE_S if found else 0.0)}
    for name in sorted(left):
        report.errors.append(
            failed.get(name) or {"error_kind": "docker_leftover", "what": name, "error": "still there"}
        )
    report.removed["containers"] += len({one.name for one in found} - left)


def _named(ctx: Context, engine: Engine, kind: str) -> dict[str, str]:
    """Return id -> name of the run's networks or volumes."""
    records = (engine.networks if kind == "networks" else engine.volumes)(of_run(ctx.needed_run))
    return {str(record.get("Id") or record["Name"]): str(record["Name"]) for record in records}


def _remove_named(ctx: Context, engine: Engine, kind: str, report: Report) -> None:
    """Remove the run's networks or volumes; one that is busy is tried again for a moment."""
    found = left = _named(ctx, engine, kind)
    failed: dict[str, CellError] = {}

    def gone() -> bool:
        nonlocal left
        failed.clear()
        for object_id, name in left.items():
            try:
                engine.remove(kind, object_id)
            except CellError as exc:
                failed[name] = exc
        left = _named(ctx, engine, kind)
        return not left

    if found and not ctx.clock.until(gone, 3.0, 0.1):
        for name in sorted(left.values()):
            error = failed.get(name) or CellError("docker_leftover", "still there")
            report.error(error.kind, f"{kind[:-1]} {name}", error.message)
    report.removed[kind] += len(set(found) - set(left))


def _folder(ctx: Context) -> Path:
    """Return what a cleaning removes: the case folder, without a scenario the run folder."""
    return ctx.case_dir if ctx.needed_run.scenario else ctx.run_dir


def _remove_folder(ctx: Context, engine: Engine, images: list[str], report: Report) -> None:
    """Remove the case folder (without a scenario: the run folder) and the folders above it that are empty now."""
    folder = _folder(ctx)
    removal = remove.tree(folder, ctx.environ)
    files, size, errors = removal.files, removal.size, removal.errors
    if errors and os.geteuid() != 0:
        there = remove.measure(folder)
        errors = _remove_as_root(ctx, engine, images, folder)
        left = remove.measure(folder)
        files, size = files + there[0] - left[0], size + there[1] - left[1]
    report.removed["files"] += files
    report.removed["bytes"] += size
    for message in errors:
        report.error("cleanup_failed", str(folder), message)
    while folder != ctx.runs_dir and not errors:  # which another run may be about to make its own folder in
        with suppress(OSError):
            os.rmdir(folder)
        folder = folder.parent


def _remove_as_root(ctx: Context, engine: Engine, images: list[str], folder: Path) -> tuple[str, ...]:
    """Remove a folder by a container of the run's images, else of any image of the node, and return complaints."""
    others = [str(image["Id"]) for image in engine.images()]
    complaints: list[str] = []
    for image in [*images, *others][:IMAGES_TRIED]:
        complaint = remove.by_engine(engine, image, folder, ctx.needed_run.labels)
        if not complaint:
            return remove.tree(folder, ctx.environ).errors
        complaints.append(complaint)
    return (*remove.tree(folder, ctx.environ).errors, *complaints)


def _planned(ctx: Context, engine: Engine) -> Json:
    """Return what a clean would remove."""
    folder = _folder(ctx)
    would: Json = {kind: sorted(_named(ctx, engine, kind).values()) for kind in KINDS}
    would["containers"] = [one.name for one in _containers(ctx, engine)]
    would["processes"] = [found.as_dict() for found in procs.ours(ctx.root, ctx.needed_run.id)]
    would["folders"] = [str(folder)] if os.path.lexists(folder) else []
    return {**Report().as_dict(), "would_remove": would}


OPS: dict[str, Callable[[Context, Json], Json]] = {"clean": clean}
