# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep what the containers leave: exit states, logs, records and events, before anything is stopped or removed."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from . import beneath, durable, gpus, known, sampler, system
from .context import Context, os_error_kind
from .engine import Engine, engine_of
from .errors import CellError
from .objects import SERVICE, unix_time
from .params import integer, number, text
from .redact import redacted
from .request import choice, flag
from .scrub import MARK, Part, Scrubber, after_gap, before_gap
from .stream import HeadTail, left_out

MODES = ("basic", "standard", "comprehensive")
DEFAULT_LOG_CAP = 32 << 20
# A line that is longer is broken.
LONGEST_LINE = 1 << 20
Json = dict[str, Any]


@dataclass
class Collection:
    """The evidence of one case on this node. missing: what could not be kept, and why.

    scrubber: takes secrets out of texts. raw: logs are kept as they are. hidden: how many secrets were found, by file.
    base: the folder of the case that they are kept below.
    """

    ctx: Context
    engine: Engine
    missing: list[dict[str, str]] = field(default_factory=list)
    scrubber: Scrubber = field(default_factory=Scrubber)
    raw: bool = False
    hidden: dict[str, int] = field(default_factory=dict)
    base: str = "evidence"

    @contextlib.contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """Note a failure as missing evidence and go on: one lost piece must not cost the others."""
        try:
            yield
        except CellError as exc:
            self.missing.append({"what": what, "why": f"{exc.kind}: {exc.message}"})
        except OSError as exc:
            self.missing.append({"what": what, "why": f"{os_error_kind(exc)}: {exc}"})
        except ValueError as exc:
            self.missing.append({"what": what, "why": f"docker_api_mismatch: {exc}"})

    @contextlib.contextmanager
    def folder(self, name: str) -> Iterator[int]:
        """Give a descriptor of a folder below the base, made when absent."""
        fd = beneath.case_folder(self.ctx, f"{self.base}/{name}".rstrip("/"), create=True)
        try:
            yield fd
        finally:
            os.close(fd)

    def keep(self, folder: str, name: str, data: bytes) -> None:
        """Write one file of evidence, whole or not at all."""
        with self.trying(f"{folder}/{name}".lstrip("/")), self.folder(folder) as fd:
            durable.replace_bytes(fd, name, data, 0o644)

    def keep_text(self, folder: str, name: str, content: bytes) -> None:
        """Write the text of a log, without its secrets."""
        part = Part(content, len(content), 0) if self.raw else self.scrubber.whole(content)
        self.keep(folder, name, part.clean)
        self.count(f"{folder}/{name}", part.hidden)

    def keep_record(self, folder: str, name: str, records: list[Any], lines: bool = False) -> None:
        """Write JSON values without their secrets, in a line each or as one document: text in them may hold some, too."""
        clean = [self.scrubber.value(redacted(record)) for record in records]
        data = b"".join(map(_line if lines else _json, clean))
        self.keep(folder, name, data)
        self.count(f"{folder}/{name}", data.count(MARK))

    def count(self, path: str, hidden: int) -> None:
        """Remember how many secrets were taken out of a file."""
        if hidden:
            self.hidden[path] = self.hidden.get(path, 0) + hidden


def evidence(ctx: Context, args: Json) -> Json:
    """Write the evidence below evidence/ and return {containers: [...], missing: [...], hidden: {file: secrets}, gpus}.

    basic: exit states, and logs of what ended badly; standard: all logs, records, events; comprehensive: the machine.
    args: mode, log_cap_bytes, raw (logs are kept with their secrets), age_s (seconds since the case began), look (the
    case failed, and gpus says how the cards are now: {cards, error}, else None), streams (a folder of the case where what
    all services wrote is kept, too, as stdout.log and stderr.log).
    """
    mode = choice(args, "mode", MODES, "standard")
    cap = integer(args, "log_cap_bytes", DEFAULT_LOG_CAP, 1024, 1 << 30)
    age_s = number(args, "age_s", 0.0, 0.0, 1e9)
    streams = "/".join(beneath.base_parts(text(args, "streams", "")))
    seen = gpus.read(ctx.environ, users=False) if flag(args, "look", False) else None
    cards = {"cards": list(seen.cards), "error": seen.error} if seen else None
    kept = Collection(ctx, engine_of(ctx), raw=flag(args, "raw", False))
    records = _records(kept)
    states = [state_of(record) for record in records]
    if ctx.check:
        return {"containers": states, "missing": kept.missing, "hidden": {}, "gpus": cards}
    kept.scrubber = Scrubber((*ctx.secrets, *(value for record in records for value in known.of_record(record))))
    kept.keep_record("", "state.json", [{"containers": states}])
    for record, state, name in zip(records, states, file_names(states)):
        if mode != "basic" or ended_badly(state):
            _keep_container(kept, record, name, cap)
    if mode != "basic":
        _keep_events(kept, records)
    if streams:
        _keep_streams(replace(kept, base=streams), records, cap)
    if mode == "comprehensive":
        _keep_system(kept, ctx.clock.unix() - age_s)
    if kept.hidden:
        kept.keep("", "hidden.json", _json(kept.hidden))
    return {"containers": states, "missing": kept.missing, "hidden": kept.hidden, "gpus": cards}


def _records(kept: Collection) -> list[Json]:
    """Return the engine's records of every container of the run, ended ones too, by name."""
    found: list[Json] = []
    with kept.trying("containers"):
        listed = kept.engine.containers([f"testcell.run={kept.ctx.needed_run.id}"])
        for entry in listed:
            with kept.trying(f"container {entry.get('Id')}"):
                found.append(kept.engine.inspect(str(entry["Id"])))
    return sorted(found, key=lambda record: str(record.get("Name")))


def state_of(record: Json) -> Json:
    """Return how a container stands, from its inspect record."""
    state, config = record.get("State") or {}, record.get("Config") or {}
    return {
        "service": (config.get("Labels") or {}).get(SERVICE, ""),
        "container": str(record.get("Name") or "").lstrip("/"),
        "id": record.get("Id", ""),
        "image": config.get("Image", ""),
        "image_id": record.get("Image", ""),
        "state": state.get("Status", ""),
        "exit_code": None if state.get("Running") or state.get("Status") == "created" else state.get("ExitCode"),
        "oom": bool(state.get("OOMKilled")),
        "health": str((state.get("Health") or {}).get("Status") or ""),
        "restart_count": int(record.get("RestartCount") or 0),
        "error": str(state.get("Error") or ""),
        "started_unix": unix_time(str(state.get("StartedAt") or "")),
        "finished_unix": None if state.get("Running") else unix_time(str(state.get("FinishedAt") or "")),
    }


def ended_badly(state: Json) -> bool:
    """Return whether a container's end or health is bad news."""
    return bool(state["exit_code"] or state["oom"] or state["error"] or state["health"] == "unhealthy")


def file_names(states: list[Json]) -> list[str]:
    """Return a file name for each container: its service, with a number from the second of a service on."""
    seen: dict[str, int] = {}
    names: list[str] = []
    for state in states:
        base = "".join(
            letter if letter.isalnum() or letter in "-_." else "_" for letter in state["service"] or state["container"]
        )
        seen[base] = seen.get(base, 0) + 1
        names.append(base if seen[base] == 1 else f"{base}.{seen[base]}")
    return names


def _keep_container(kept: Collection, record: Json, name: str, cap: int) -> None:
    """Keep one container's record without its secrets, and its log with head and tail."""
    kept.keep_record("services", f"{name}.inspect.json", [record])
    log = HeadTail(cap)
    with kept.trying(f"services/{name}.log (the rest)"):
        for chunk in kept.engine.logs(str(record["Id"]), bool((record.get("Config") or {}).get("Tty"))):
            log.feed(chunk)
    _keep_log(kept, "services", f"{name}.log", log)


def _keep_streams(kept: Collection, records: list[Json], cap: int) -> None:
    """Keep what the services wrote by stream, one after the other, each line behind the name of its service."""
    for stream, other in (("stdout", "stderr"), ("stderr", "stdout")):
        without: Json = {other: "0"}
        log = HeadTail(cap)
        for record in records:
            name = state_of(record)["service"].encode()
            with kept.trying(f"{stream}.log of {name.decode()}"):
                tty = bool((record.get("Config") or {}).get("Tty"))
                for line in _lines(kept.engine.logs(str(record["Id"]), tty, **without)):
                    log.feed(name + b" | " + line)
        _keep_log(kept, "", f"{stream}.log", log)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of a stream, each with its end; a last one that has none gets it."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line + b"\n" for line in whole)
        if len(rest) > LONGEST_LINE:
            yield rest + b"\n"
            rest = b""
    if rest:
        yield rest + b"\n"


def _keep_log(kept: Collection, folder: str, name: str, log: HeadTail) -> None:
    """Keep a log. Where its middle is left out, the lines that are broken by that go too: they may hold half a secret."""
    if not log.dropped or kept.raw:
        kept.keep_text(folder, name, b"".join(log.parts()))
        return
    head, tail = log.head, log.tail
    end, begin = before_gap(head), after_gap(tail)
    first, last = kept.scrubber.whole(head[:end]), kept.scrubber.whole(tail[begin:])
    marker = left_out(log.total - end - (len(tail) - begin))
    kept.keep(folder, name, first.clean + marker + last.clean)
    kept.count(f"{folder}/{name}", first.hidden + last.hidden)


def _keep_events(kept: Collection, records: list[Json]) -> None:
    """Keep the engine's events of the containers since the first was made; probes inside containers are left out."""
    times = [unix_time(str(record.get("Created") or "")) for record in records]
    since = min((time for time in times if time is not None), default=None)
    if since is None:
        return
    events: list[Json] = []
    with kept.trying("services/events.jsonl"):
        label = [f"testcell.run={kept.ctx.needed_run.id}"]
        for event in kept.engine.events(since - 1, kept.ctx.clock.unix(), label, 30.0):
            if not str(event.get("Action", "")).startswith("exec_"):
                events.append(event)
    if events:
        kept.keep_record("services", "events.jsonl", events, lines=True)
    else:
        why = "the engine holds no event of these containers any more: it keeps its last 256 only"
        kept.missing.append({"what": "services/events.jsonl", "why": why})


def _keep_system(kept: Collection, began_unix: float) -> None:
    """Keep what the machine says, and how busy it was since the case began (seconds since 1970)."""
    with kept.trying("system/samples.csv"):
        kept.keep("system", "samples.csv", sampler.take(kept.ctx))
    for name, content in system.pieces(system.Machine(kept.ctx.environ, kept.engine, began_unix, kept.ctx.clock)):
        if isinstance(content, str):
            kept.missing.append({"what": f"system/{name}", "why": content})
        elif name.endswith(".json"):
            kept.keep_record("system", name, [json.loads(content)])
        else:
            kept.keep_text("system", name, content)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def _line(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True).encode() + b"\n"


OPS: dict[str, Callable[[Context, Json], Json]] = {"evidence": evidence}
