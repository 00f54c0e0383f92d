# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's objects that carry our labels: which service a container is, how it stands, how it died."""

from __future__ import annotations

import calendar
import importlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from .context import Clock, RunRef
from .differences import below
from .engine import Engine
from .errors import CellError
from .stream import MAX_LINE

RUN = "testcell.run"
SCENARIO = "testcell.scenario"
CASE = "testcell.case"
SERVICE = "com.docker.compose.service"
PROJECT = "com.docker.compose.project"
WORKING_DIR = "com.docker.compose.project.working_dir"
CONTAINERS = "containers"

KILLED = 137
OOM_LAG_S = (0.02, 0.05, 0.1, 0.2)

_HEALTH = re.compile(r"\((healthy|unhealthy|health: starting)\)")
_TIME = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$")


@dataclass(frozen=True)
class Container:
    """One container as the engine's list shows it. health: healthy, unhealthy, starting or "" when it has no check."""

    id: str
    name: str
    service: str
    state: str
    health: str
    image: str
    image_id: str
    created: float
    labels: dict[str, str]
    ports: tuple[tuple[str, int], ...]  # (address, port) as published on the node


@dataclass(frozen=True)
class Death:
    """How a container ended. error_kind: container_oom, container_exited or container_gone."""

    error_kind: str
    detail: str
    exit_code: int | None
    oom: bool
    log_tail: tuple[str, ...]
    finished_unix: float | None
    engine_folder: str = ""  # see engine_folder()

    def as_dict(self) -> dict[str, Any]:
        """Return the end as JSON values."""
        return {
            "error_kind": self.error_kind,
            "detail": self.detail,
            "exit_code": self.exit_code,
            "oom": self.oom,
            "log_tail": list(self.log_tail),
            "finished_unix": self.finished_unix,
        }


def of_run(run: RunRef) -> list[str]:
    """Return the label filter of everything that belongs to a run."""
    return [f"{RUN}={run.id}"]


def of_case(run: RunRef) -> list[str]:
    """Return the label filter of everything that belongs to one case of a run."""
    return [f"{RUN}={run.id}", f"{SCENARIO}={run.scenario}", f"{CASE}={run.case}"]


def parse_container(record: dict[str, Any]) -> Container:
    """Return one entry of the engine's container list."""
    labels = record.get("Labels") or {}
    found = _HEALTH.search(record.get("Status") or "")
    shown = [port for port in record.get("Ports") or () if port.get("PublicPort")]
    return Container(
        id=str(record["Id"]),
        name=str((record.get("Names") or ["/"])[0]).lstrip("/"),
        service=str(labels.get(SERVICE, "")),
        state=str(record.get("State", "")),
        health=found.group(1).replace("health: ", "") if found else "",
        image=str(record.get("Image", "")),
        image_id=str(record.get("ImageID", "")),
        created=float(record.get("Created") or 0),
        labels=dict(labels),
        ports=tuple(sorted({(str(port.get("IP") or ""), int(port["PublicPort"])) for port in shown})),
    )


def parse_record(record: dict[str, Any]) -> Container:
    """Return an inspected container as the engine's list would show it: the list lags behind, the record does not."""
    state, config = record.get("State") or {}, record.get("Config") or {}
    health = str((state.get("Health") or {}).get("Status") or "")
    labels = config.get("Labels") or {}
    bound = ((record.get("NetworkSettings") or {}).get("Ports") or {}).values()
    shown = [binding for bindings in bound for binding in bindings or () if binding.get("HostPort")]
    return Container(
        id=str(record["Id"]),
        name=str(record.get("Name") or "").lstrip("/"),
        service=str(labels.get(SERVICE, "")),
        state=str(state.get("Status") or ""),
        health="" if health == "none" else health,
        image=str(config.get("Image") or ""),
        image_id=str(record.get("Image") or ""),
        created=unix_time(str(record.get("Created") or "")) or 0.0,
        labels=dict(labels),
        ports=tuple(sorted({(str(binding.get("HostIp") or ""), int(binding["HostPort"])) for binding in shown})),
    )


def started_at(record: dict[str, Any]) -> float | None:
    """Return when an inspected container was last started, in seconds since 1970, or None when it never was."""
    return unix_time(str((record.get("State") or {}).get("StartedAt") or ""))


def engine_folder(record: Mapping[str, Any]) -> str:
    """Return the folder of an engine's images and containers, as an inspected container shows it that was started once; else "".

    The engine's info record names it as well, but takes tens of milliseconds, just when a container has died.
    """
    folder = PurePosixPath(str(record.get("ResolvConfPath") or "")).parent.parent
    return str(folder.parent) if folder.name == CONTAINERS else ""


def containers(engine: Engine, labels: list[str], timeout: float | None = None) -> tuple[Container, ...]:
    """Return the containers that carry the labels, sorted by name."""
    found = (parse_container(record) for record in engine.containers(labels, timeout))
    return tuple(sorted(found, key=lambda container: container.name))


def holders_of(engine: Engine, folder: str) -> tuple[Container, ...]:
    """Return the containers without a run's label that have something below a folder bound into them.

    A test script may start containers by itself: they hold the run's own folder.
    """
    found = [
        parse_container(record)
        for record in engine.containers()
        if RUN not in (record.get("Labels") or {}) and any(below(path, folder) for path in binds(record))
    ]
    return tuple(sorted(found, key=lambda container: container.name))


def binds(record: dict[str, Any]) -> list[str]:
    """Return the folders of the node that are bound into a listed container."""
    mounts = record.get("Mounts") or ()
    return sorted({str(mount.get("Source")) for mount in mounts if mount.get("Type") == "bind"})


def by_service(found: tuple[Container, ...]) -> dict[str, list[Container]]:
    """Return the containers of each Compose service; containers without one are left out."""
    services: dict[str, list[Container]] = {}
    for container in found:
        if container.service:
            services.setdefault(container.service, []).append(container)
    return services


def unix_time(stamp: str) -> float | None:
    """Return an engine time stamp as seconds since 1970, or None for the engine's "never" and for other text."""
    match = _TIME.match(stamp or "")
    if not match or match.group(1).startswith("0001-"):
        return None
    seconds = float(calendar.timegm(time.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S")))
    zone = match.group(3)
    if zone != "Z":
        offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        seconds += -offset if zone[0] == "+" else offset
    return seconds + float(match.group(2) or 0)


def death(engine: Engine, container: Container, clock: Clock, lines: int = 20) -> Death:
    """Return how a container that does not run any more ended, with its last log lines."""
    try:
        record = _ended(engine, container.id, clock)
    except CellError as exc:
        if exc.kind != "container_gone":
            raise
        return Death("container_gone", f"container {container.name} does not exist any more", None, False, (), None)
    state = record.get("State") or {}
    finished = unix_time(str(state.get("FinishedAt") or ""))
    end = ended(
        container.name, state.get("ExitCode"), bool(state.get("OOMKilled")), finished, str(state.get("Error") or "")
    )
    return replace(end, log_tail=tuple(log_tail(engine, record, lines)), engine_folder=engine_folder(record))


def ended(name: str, code: int | None, oom: bool, at: float | None, error: str = "") -> Death:
    """Return the end of a container as far as its exit code tells, without its log."""
    kind = "container_oom" if oom else "container_exited"
    return Death(kind, describe_end(name, code, oom, error), code, oom, (), at)


def _ended(engine: Engine, container: str, clock: Clock) -> dict[str, Any]:
    """Return the record of an ended container; a kill is looked at again, since the engine tells of memory later.

    That is for containers with a limit of memory only: without one the engine sees no end of it.
    """
    record = engine.inspect(container)
    for pause in OOM_LAG_S:
        state = record.get("State") or {}
        unlimited = (record.get("HostConfig") or {}).get("Memory") == 0
        if unlimited or state.get("ExitCode") != KILLED or state.get("OOMKilled"):
            break
        clock.sleep(pause)
        record = engine.inspect(container)
    return record


def describe_end(name: str, code: int | None, oom: bool, error: str) -> str:
    """Return the end of a container in words, with a hint for the exit codes that have a known meaning."""
    hints = {125: "engine error", 126: "command cannot be run", 127: "command not found", 137: "killed", 139: "crashed"}
    hints.update({134: "aborted", 143: "ended by TERM"})
    hint = "killed for memory" if oom else hints.get(code or 0, "")
    text = f"container {name} exited with code {code}" + (f" ({hint})" if hint else "")
    return f"{text}: {error}" if error else text


def log_tail(engine: Engine, record: dict[str, Any], lines: int = 20) -> list[str]:
    """Return the last log lines of an inspected container; the reason in brackets when the engine cannot give them.

    Like all that is quoted of a container they go into messages and reports, so its secrets are taken out.
    """
    try:
        found = engine.log_tail(str(record["Id"]), bool((record.get("Config") or {}).get("Tty")), lines)
    except (CellError, ValueError) as exc:
        return [f"[testcell: the log cannot be read: {exc}]"]
    clean = without_secrets(record, "\n".join(found)).split("\n")
    return [line[:MAX_LINE] for line in clean] if found else []


def last_words(record: dict[str, Any], output: str) -> str:
    """Return the last line that a check in an inspected container wrote, without secrets: a traceback ends with its cause."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return without_secrets(record, lines[-1])[-500:] if lines else ""


def without_secrets(record: dict[str, Any], text: str) -> str:
    """Return what an inspected container wrote without secrets, the values of its own environment among them."""
    scrub = importlib.import_module(
        ".scrub", __package__
    )  # only failures quote containers, and its patterns take a while
    return str(scrub.quoted(record, text))
