# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kind `pressure`: more load than the test makes, by a second load client beside it, until the fault ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import procs
from ..beneath import base_parts
from ..params import integer, number, text
from ..probes import targets
from ..procs import Proc
from .fault import Aim, Effect, Gone, Place

CLIENT = "bin/testcell-load"
SETTINGS = "scenario/test_config.json"
TOKEN = "TESTCELL_CHAOS"  # in the environment of what a fault starts: the event, and a nonce
END_S = 10.0
LAST_LINES = 5
Json = dict[str, Any]


class Pressure:
    """Requests of a load client of our own.

    params: requests_per_s (left out: as fast as answers come), concurrency; base_url, or the port of the service aimed at;
    config: the file of the load's other settings below the case folder; model. What is left out is as in the test's settings.
    """

    kind = "pressure"

    def lacking(self, place: Place, params: Mapping[str, Any]) -> str:
        """Return that the load client is not on this node: it is on the one that runs the test."""
        _overrides(params)
        client = place.ctx.case_dir / CLIENT
        return "" if client.is_file() else f"{client} is not there: only the test's node has the load client"

    def prepare(self, place: Place, aim: Aim) -> Json:
        """Return the token that its processes will carry."""
        return {"token": f"{place.id}:{os.urandom(8).hex()}"}

    def inject(self, place: Place, aim: Aim, undo: Json) -> None:
        """Start the client."""
        case, out = place.ctx.case_dir, place.folder / "load"
        out.mkdir(parents=True, exist_ok=True)
        words = [
            str(case / CLIENT),
            "--quiet",
            "--out",
            str(out),
            "--config",
            str(_settings(case, place.folder, aim.params)),
        ]
        for key, value in _overrides(aim.params).items():
            words += ["--set", f"{key}={json.dumps(value)}"]
        lasts = max(1.0, place.expires - place.ctx.clock.boottime())
        words += ["--set", f"duration_s={lasts:.1f}"]
        url = _base_url(place, aim)
        env = {**place.ctx.environ, TOKEN: undo["token"], **({"TESTCELL_BASE_URL": url} if url else {})}
        with (place.folder / "load.log").open("wb") as log:
            subprocess.Popen(
                words, env=env, cwd=case, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def effect(self, place: Place, aim: Aim, undo: Json) -> Effect:
        """Measure how many requests have ended and been answered, be it by a refusal: what reaches nobody presses nothing."""
        records = _records(place.folder / "load" / "requests.jsonl")
        failed = sum(not record.get("ok") for record in records)
        answered = sum(record.get("status") is not None for record in records)
        measured: Json = {"requests": len(records), "answered": answered, "failed": failed}
        if undo:
            measured["clients"] = len(_clients(undo["token"]))
        return Effect(answered > 0, measured, "" if answered else _unfelt(place.folder, records))

    def undo(self, place: Place, undo: Json) -> None:
        """End the client, by force where it does not end by itself."""
        for proc in _clients(undo["token"]):
            procs.send(proc, signal.SIGTERM)
        if not place.ctx.clock.until(lambda: not _clients(undo["token"]), END_S):
            procs.kill_all(lambda: _clients(undo["token"]))

    def left(self, place: Place, undo: Json) -> list[str]:
        """Return the clients that still run."""
        return [f"process {proc.pid} ({procs.cmdline(proc.pid)}) runs" for proc in _clients(undo["token"])]


def _overrides(params: Mapping[str, Any]) -> Json:
    """Return the keys of the load that are the event's own."""
    rate = number(params, "requests_per_s", 0.0, 0.0, 100_000.0)
    model = text(params, "model", "")
    return {
        **({"model": model} if model else {}),
        "request_rate": rate or None,
        "max_concurrency": integer(params, "concurrency", 16, 1, 65_536),
        "num_prompts": None,
        "warmup": 0,
        "adaptive_rate": False,
    }


def _settings(case: Path, folder: Path, params: Mapping[str, Any]) -> Path:
    """Return the file of the load's other settings: an empty one where the test has none."""
    path = case.joinpath(*base_parts(text(params, "config", SETTINGS)))
    if path.is_file():
        return path
    empty = folder / "load.json"
    empty.write_text("{}", encoding="ascii")
    return empty


def _base_url(place: Place, aim: Aim) -> str:
    """Return where the requests go; "" leaves it to the test's settings."""
    given = text(aim.params, "base_url", "")
    port = integer(aim.params, "port", 0, 0, 65_535)
    if given or not (aim.container and port):
        return given
    found = targets(place.engine.inspect(aim.container), port)
    if not found:
        raise Gone(f"container {aim.container[:12]} has no address")
    host, inner = found[0]
    return f"http://[{host}]:{inner}" if ":" in host else f"http://{host}:{inner}"


def _records(path: Path) -> list[Json]:
    """Return the whole lines of the client's record of requests."""
    found = []
    with suppress(FileNotFoundError):
        for line in path.read_bytes().split(b"\n"):
            with suppress(ValueError):
                found.append(json.loads(line))
    return [record for record in found if isinstance(record, dict)]


def _unfelt(folder: Path, records: list[Json]) -> str:
    """Return why no request was answered."""
    if not records:
        return f"no request was sent: {_said(folder)}"
    kinds = sorted({str(record.get("error_kind")) for record in records})
    return f"none of {len(records)} requests was answered ({', '.join(kinds)})"


def _said(folder: Path) -> str:
    """Return the client's last words."""
    try:
        said = (folder / "load.log").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "the client has not begun"
    return " | ".join(said.strip().splitlines()[-LAST_LINES:])[-500:] or "the client has said nothing"


def _clients(token: str) -> list[Proc]:
    """Return the living processes that carry a token."""
    wanted, found = f"{TOKEN}={token}".encode(), []
    for pid in procs.pids():
        with suppress(OSError):
            with open(f"/proc/{pid}/environ", "rb") as stream:
                raw = stream.read(procs.ENVIRON_LIMIT)
            proc = procs.identify(pid) if wanted in raw.split(b"\0") else None
            if proc is not None:
                found.append(proc)
    return found


KINDS = {"pressure": Pressure()}
