# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on the node now: the engine's objects, our processes, and what lies around them (see places.py)."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from typing import Any

from . import cgroup, gpus, mounted, mounts, places, ports, procs
from .context import Context, os_error_kind
from .engine import Engine, engine_of
from .errors import CellError
from .objects import binds, unix_time

Json = dict[str, Any]
KEPT_LABELS = ("testcell.", "com.docker.compose.project", "com.docker.compose.service")


def snapshot(ctx: Context, _args: Json) -> Json:
    """Return the node's state; a list that could not be made is empty and its error is in errors.

    Raise chaos_not_reverted where a fault of this run, or of one that is dead, may still be there: nothing starts on such a node.
    """
    if os.path.lexists(ctx.root / "chaos"):
        importlib.import_module(".chaos.contact", __package__).refuse_open(ctx)
    return take(ctx, engine_of(ctx))


def take(ctx: Context, engine: Engine) -> Json:
    """Return the snapshot over one engine."""
    cards = gpus.read(ctx.environ)
    lists: dict[str, Callable[[], Any]] = {
        "containers": lambda: [_container(record) for record in engine.containers()],
        "networks": lambda: [_network(record) for record in engine.networks()],
        "volumes": lambda: [_volume(record) for record in engine.volumes()],
        "images": lambda: [_image(record) for record in engine.images()],
        "processes": lambda: [found.as_dict() for found in procs.ours(ctx.root)],
        "groups": lambda: _groups(ctx),
        "listening": ports.listening,
        "mounts": lambda: _mounts(ctx),
        "files": lambda: run_folders(ctx),
        "segments": places.segments,
        "names": lambda: places.names(ctx),
        "jobs": places.jobs,
        "links": places.links,
        "namespaces": places.namespaces,
        "disk": lambda: places.disk(ctx),
        "chaos": lambda: _faults(ctx),
    }
    answer: Json = {"errors": [], "gpus": list(cards.cards), "gpu_users": list(cards.users)}
    answer["clock"] = round(ctx.clock.unix() - ctx.clock.boottime(), 3)
    for what, make in lists.items():
        answer[what] = _listed(what, make, answer["errors"])
    if cards.error:
        answer["errors"].append({"what": "gpus", "error_kind": "gpu_missing", "error": cards.error})
    return answer


def _listed(what: str, make: Callable[[], Any], errors: list[Json]) -> Any:
    """Return what is listed, or an empty list with its error noted."""
    try:
        return make()
    except CellError as exc:
        errors.append({"what": what, "error_kind": exc.kind, "error": exc.message})
    except OSError as exc:
        errors.append({"what": what, "error_kind": os_error_kind(exc), "error": str(exc)})
    except (KeyError, ValueError, TypeError, AttributeError) as exc:  # an answer of another shape than the one we know
        errors.append({"what": what, "error_kind": "internal_error", "error": f"{type(exc).__name__}: {exc}"})
    return []


def _labels(record: Json) -> dict[str, str]:
    labels = record.get("Labels") or {}
    return {key: str(value) for key, value in labels.items() if key.startswith(KEPT_LABELS)}


def _container(record: Json) -> Json:
    return {
        "id": record["Id"],
        "name": str((record.get("Names") or ["/"])[0]).lstrip("/"),
        "labels": _labels(record),
        "state": record.get("State", ""),
        "image": record.get("Image", ""),
        "created": float(record.get("Created") or 0),
        "binds": binds(record),
        "ports": sorted({int(port["PublicPort"]) for port in record.get("Ports") or () if port.get("PublicPort")}),
    }


def _network(record: Json) -> Json:
    created = unix_time(str(record.get("Created") or ""))
    return {"id": record["Id"], "name": record["Name"], "labels": _labels(record), "created": created}


def _volume(record: Json) -> Json:
    created = unix_time(str(record.get("CreatedAt") or ""))
    return {"id": record["Name"], "name": record["Name"], "labels": _labels(record), "created": created}


def _image(record: Json) -> Json:
    """Return an image by its first name; one without any by its id."""
    name = next(iter(record.get("RepoTags") or record.get("RepoDigests") or ()), record["Id"])
    return {"id": record["Id"], "name": name, "bytes": int(record.get("Size") or 0)}


def _mounts(ctx: Context) -> list[Json]:
    """Return what is mounted below the node root."""
    found = mounted.below(ctx.root, mounts.current())
    return [{"path": mount.point, "kind": mount.kind, "source": mount.source} for mount in found]


def _groups(ctx: Context) -> list[Json]:
    """Return the control groups of our units."""
    found = cgroup.groups_left(ctx.root) if ctx.root.exists() else []
    return [{"path": str(group.path), "run": group.path.name.split(":")[0]} for group in found]


def _faults(ctx: Context) -> list[Json]:
    """Return the faults that may still be there, see chaos.contact."""
    if not os.path.lexists(ctx.root / "chaos"):
        return []
    found: list[Json] = importlib.import_module(".chaos.contact", __package__).listed(ctx)
    return found


def run_folders(ctx: Context) -> list[Json]:
    """Return {name, created} of each folder in runs/."""
    if not ctx.runs_dir.is_dir():
        return []
    with os.scandir(ctx.runs_dir) as entries:
        found = [{"name": entry.name, "created": entry.stat(follow_symlinks=False).st_mtime} for entry in entries]
    return sorted(found, key=lambda folder: str(folder["name"]))


OPS: dict[str, Callable[[Context, Json], Json]] = {"snapshot": snapshot}
