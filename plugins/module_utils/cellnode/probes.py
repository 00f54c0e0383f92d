# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One question to a service, each with its own time limit: does it answer over HTTP, TCP, a command, its log?"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .engine import Engine
from .errors import CellError
from .objects import last_words, unix_time, without_secrets
from .params import integer, number, refuse, text, texts
from .request import choice

KINDS = ("http", "tcp", "command", "container", "running", "log", "completed")
PROXY_SETTLE_S = 0.1
LOG_LIMIT = 64 << 20


@dataclass(frozen=True)
class Check:
    """How a service proves that it is ready. timeout_s: limit of one probe. expect_status: empty stands for any 2xx.

    interval_s: the longest pause between two probes; the pace of the node is shorter by itself. port: of a `container` that
    has no health check it must take connections, where one is given.
    """

    service: str
    kind: str = "container"
    port: int = 0
    path: str = "/"
    expect_status: frozenset[int] = frozenset()
    argv: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    timeout_s: float = 1.0
    interval_s: float = 60.0


@dataclass(frozen=True)
class Answer:
    """What a probe found out; detail says why not."""

    ok: bool
    detail: str = ""


@dataclass
class Memory:
    """What the probes of one container keep: its record, how far its log was read, the command that runs in it."""

    record: dict[str, Any] = field(default_factory=dict)
    log_since: str = ""
    exec_id: str = ""


def parse_check(args: Mapping[str, Any]) -> Check:
    """Return a check of the request; raise when a needed key is absent."""
    kind = choice(args, "kind", KINDS, "container")
    default_timeout = 5.0 if kind in ("command", "container", "log") else 1.0
    check = Check(
        service=text(args, "service"),
        kind=kind,
        port=integer(args, "port", 0, 0, 65535),
        path=text(args, "path", "/"),
        expect_status=_statuses(args.get("expect_status")),
        argv=texts(args, "argv"),
        pattern=_pattern(args.get("pattern")),
        timeout_s=number(args, "timeout_s", default_timeout, 0.01, 60.0),
        interval_s=number(args, "interval_s", Check.interval_s, 0.02, 60.0),
    )
    needed = {"http": check.port, "tcp": check.port, "command": check.argv, "log": check.pattern}
    if not needed.get(kind, True):
        lacks = f"the {kind} check of service {check.service!r} lacks its port, argv or pattern"
        raise CellError("config_invalid", lacks)
    return check


def _statuses(value: object) -> frozenset[int]:
    values = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(status, int) and 100 <= status <= 599 for status in values):
        raise refuse("expect_status", value, "HTTP statuses from 100 to 599")
    return frozenset(values)


def _pattern(value: object) -> re.Pattern[str] | None:
    if not value:
        return None
    try:
        return re.compile(str(value))
    except re.error as exc:
        raise CellError("config_invalid", f"log pattern {value!r} is not a regular expression: {exc}") from exc


def targets(record: dict[str, Any], port: int) -> list[tuple[str, int]]:
    """Return where a port of an inspected container is reached from this node, the best way first.

    port: a published host port, or a port inside the container. Host networking: the node itself.
    """
    if _on_host(record):
        return [("127.0.0.1", port)]
    published, inner = _published(record, port)
    addresses = [str(network["IPAddress"]) for network in _networks(record) if network.get("IPAddress")]
    return list(dict.fromkeys(published + [(address, inner) for address in addresses]))


def direct_targets(
    record: dict[str, Any], port: int, ours: Callable[[str], bool] | None = None
) -> list[tuple[str, int]]:
    """Return where a port of an inspected container is reached with no proxy between; a refusal there is final.

    ours: whether an address is one of this node's; only then the container's network ends here, and its addresses
    are not those of a stranger.
    """
    if _on_host(record):
        return [("127.0.0.1", port)]
    _, inner = _published(record, port)
    near = [network for network in _networks(record) if (ours or is_ours)(str(network.get("Gateway") or ""))]
    return [(str(network["IPAddress"]), inner) for network in near if network.get("IPAddress")]


def is_ours(address: str) -> bool:
    """Return whether an IPv4 address belongs to this node."""
    if not address:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _on_host(record: dict[str, Any]) -> bool:
    return str((record.get("HostConfig") or {}).get("NetworkMode")) == "host"


def _networks(record: dict[str, Any]) -> list[dict[str, Any]]:
    return list(((record.get("NetworkSettings") or {}).get("Networks") or {}).values())


def _published(record: dict[str, Any], port: int) -> tuple[list[tuple[str, int]], int]:
    """Return where the engine publishes a host port or inner port, and the inner port."""
    bindings = [
        (int(inside.split("/")[0]), _host(binding.get("HostIp") or ""), int(binding["HostPort"]))
        for inside, published in ((record.get("NetworkSettings") or {}).get("Ports") or {}).items()
        for binding in published or ()
        if inside.endswith("/tcp") and binding.get("HostPort")
    ]
    by_host = [(inside, host, public) for inside, host, public in bindings if public == port]
    by_inside = [(inside, host, public) for inside, host, public in bindings if inside == port]
    inner = by_host[0][0] if by_host else port
    return [(host, public) for _, host, public in by_host or by_inside], inner


def _host(address: str) -> str:
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)


def ask_http(places: list[tuple[str, int]], check: Check) -> Answer:
    """Return whether a GET of the check's path answers with an expected status; the body is not read."""
    answer = Answer(False, "the container has no address yet")
    for host, port in places:
        connection = http.client.HTTPConnection(host, port, timeout=check.timeout_s)
        try:
            connection.request("GET", check.path, headers={"User-Agent": "testcell", "Connection": "close"})
            status = connection.getresponse().status
            ok = status in check.expect_status if check.expect_status else 200 <= status < 300
            return Answer(ok, f"HTTP {status} from {host}:{port}{check.path}")
        except (OSError, http.client.HTTPException) as exc:
            answer = Answer(False, f"{host}:{port}{check.path}: {_words(exc)}")
        finally:
            connection.close()
    return answer


def ask_port(record: dict[str, Any], check: Check) -> Answer:
    """Return whether the check's port of an inspected container takes connections."""
    return ask_tcp(targets(record, check.port), check, direct_targets(record, check.port))


def ask_tcp(places: list[tuple[str, int]], check: Check, direct: Sequence[tuple[str, int]] = ()) -> Answer:
    """Return whether a port takes connections.

    The engine's port proxy takes any connection and then closes it, so at the places that it may serve the connection
    must last a moment. direct: places without a proxy, which decide where there are any.
    """
    answer = Answer(False, "the container has no address yet")
    for host, port in direct or places:
        try:
            with socket.create_connection((host, port), check.timeout_s) as connection:
                if direct or _lasts(connection):
                    return Answer(True, f"{host}:{port} takes connections")
                answer = Answer(False, f"{host}:{port} closed the connection at once")
        except OSError as exc:
            answer = Answer(False, f"{host}:{port}: {_words(exc)}")
    return answer


def _lasts(connection: socket.socket) -> bool:
    """Return whether a connection is still open a moment later, or brings something."""
    connection.settimeout(PROXY_SETTLE_S)
    try:
        return connection.recv(1, socket.MSG_PEEK) != b""
    except (socket.timeout, TimeoutError):
        return True


def _words(exc: Exception) -> str:
    return str(exc) or type(exc).__name__


def ask_command(engine: Engine, container: str, argv: list[str], timeout_s: float, memory: Memory) -> Answer:
    """Return whether a command in the container ends with 0 in time; one that does not is killed."""
    memory.exec_id = engine.exec_create(container, argv)
    code, output = engine.exec_run(memory.exec_id, timeout_s)
    if code is None:
        kill_command(engine, container, memory)
        return Answer(False, f"the command did not end within {timeout_s:g} s")
    memory.exec_id = ""
    said = last_words(memory.record, output)
    return Answer(code == 0, said if code == 0 else f"exit code {code}: {said}".rstrip(": "))


def kill_command(engine: Engine, container: str, memory: Memory) -> None:
    """Kill a probe's command that still runs, if its process is visible here and really is of that container."""
    exec_id, memory.exec_id = memory.exec_id, ""
    if not exec_id:
        return
    record = engine.exec_record(exec_id)
    pid = int(record.get("Pid") or 0)
    if not record.get("Running") or pid <= 1:
        return
    with contextlib.suppress(OSError):
        if container in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"):
            os.kill(pid, signal.SIGKILL)


def ask_log(engine: Engine, container: str, tty: bool, pattern: re.Pattern[str], memory: Memory) -> Answer:
    """Return whether a log line matches; only what is new since the container's start, and then since the last look, is read."""
    memory.log_since = memory.log_since or _life(memory.record)
    rest, read = b"", 0
    for chunk in engine.logs(container, tty, since=memory.log_since, timestamps="1"):
        read += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            stamp, _, content = line.decode("utf-8", "replace").partition(" ")
            if pattern.search(content):
                return Answer(True, without_secrets(memory.record, content)[:200])
            memory.log_since = _since(stamp) or memory.log_since
        if read > LOG_LIMIT:
            break
    return Answer(False, f"no line matches {pattern.pattern!r} yet")


def _life(record: dict[str, Any]) -> str:
    """Return from when on lines are of the container's present life, in the form of `since`.

    A first line may be a moment older than the start that the engine notes, and a last one a moment younger than the end; so
    the middle between both parts them.
    """
    state = record.get("State") or {}
    ended, started = (unix_time(str(state.get(name))) for name in ("FinishedAt", "StartedAt"))
    return f"{(ended + started) / 2:.9f}" if ended and started and ended < started else "0"


def _since(stamp: str) -> str:
    """Return an engine log stamp in the form of the `since` parameter: seconds.nanoseconds."""
    seconds = unix_time(stamp)
    if seconds is None:
        return ""
    fraction = stamp.partition(".")[2].rstrip("Z") if "." in stamp else "0"
    return f"{int(seconds)}.{fraction:0<9}"


def health_command(record: dict[str, Any]) -> tuple[list[str], float]:
    """Return (argv, time limit in s) of a container's own health check; an empty argv when it has none."""
    config = record.get("Config") or {}
    check = config.get("Healthcheck") or {}
    test = list(check.get("Test") or [])
    limit = min(float(check.get("Timeout") or 0) / 1e9 or 30.0, 30.0)
    if test[:1] == ["CMD"]:
        return test[1:], limit
    if test[:1] == ["CMD-SHELL"]:
        return [*(config.get("Shell") or ["/bin/sh", "-c"]), *test[1:]], limit
    return [], limit
