# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker Engine API over its socket: what the steps need, with a time limit on every call."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote, urlencode

from . import intake
from .context import Context
from .dial import Hold, UnixConnection, as_cell_error, socket_path
from .errors import CellError
from .messages import meaning
from .stream import last_lines, payload, plain

NEWEST_API = (1, 47)
WIDEST_LINE = 20_000  # of a log's last lines: wider than a secret, which must not be cut before it is found
Json = dict[str, Any]


class EngineError(CellError):
    """An answer of the engine other than success; status is the HTTP status."""

    def __init__(self, status: int, message: str, what: str) -> None:
        kind = meaning(message).kind
        if kind == "unknown":
            kind = {404: "container_gone", 409: "docker_leftover"}.get(status, kind)
        super().__init__(kind, message, status=status, call=what)
        self.status = status


class Engine:
    """The engine of this node. Every call opens its own connection, so threads may share one Engine."""

    def __init__(self, path: str, timeout: float = 30.0) -> None:
        self.path = path
        self.timeout = timeout
        self._prefix: str | None = None

    def with_timeout(self, timeout: float) -> Engine:
        """Return the same engine, asked with another limit of time (seconds)."""
        return type(self)(self.path, timeout)

    # -- calls ---------------------------------------------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout: float | None = None,
    ) -> Any:
        """Return the decoded answer of one call (None when it has no body); raise on any status of 400 and above."""
        with self._open(method, self._versioned(path), query, body, timeout) as response:
            return _decoded(_read(response, f"{method} {path}"), f"{method} {path}")

    @contextlib.contextmanager
    def stream(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        timeout: float | None = None,
        hold: Hold | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """Give the response of a call whose body is read bit by bit. hold: lets another thread break it off."""
        with self._open(method, self._versioned(path), query, body, timeout, hold) as response:
            yield response

    @contextlib.contextmanager
    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        body: Any,
        timeout: float | None,
        hold: Hold | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        target = path + ("?" + urlencode(query) if query else "")
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"Host": "localhost", **({"Content-Type": "application/json"} if body is not None else {})}
        connection = UnixConnection(self.path, timeout or self.timeout)
        try:
            with as_cell_error(self.path, f"{method} {path}"):
                connection.connect()
                if hold:
                    hold.take(connection.sock)
                connection.request(method, target, body=data, headers=headers)
                response = connection.getresponse()
            if response.status >= 400:
                raise EngineError(response.status, _message_of(_read(response, path)), f"{method} {path}")
            yield response
        finally:
            if hold:
                hold.take(None)
            connection.close()

    def _versioned(self, path: str) -> str:
        if self._prefix is None:
            with self._open("GET", "/_ping", None, None, min(5.0, self.timeout)) as response:
                response.read()
                self._prefix = api_prefix(response.getheader("Api-Version") or "")
        return self._prefix + path

    # -- engine --------------------------------------------------------------------------------------------------

    def version(self, timeout: float = 5.0) -> Json:
        """Return the engine's version record."""
        return cast(Json, self.call("GET", "/version", timeout=timeout))

    def info(self, timeout: float = 5.0) -> Json:
        """Return the engine's info record."""
        return cast(Json, self.call("GET", "/info", timeout=timeout))

    # -- lists ---------------------------------------------------------------------------------------------------

    def containers(self, labels: list[str] | None = None, timeout: float | None = None) -> list[Json]:
        """Return all containers, running or not, that carry every label (`key` or `key=value`)."""
        query = {"all": "1", **_filters({"label": labels or []})}
        return cast("list[Json]", self.call("GET", "/containers/json", query, timeout=timeout) or [])

    def networks(self, labels: list[str] | None = None) -> list[Json]:
        """Return the networks that carry every label."""
        return cast("list[Json]", self.call("GET", "/networks", _filters({"label": labels or []})) or [])

    def volumes(self, labels: list[str] | None = None) -> list[Json]:
        """Return the volumes that carry every label."""
        answer = self.call("GET", "/volumes", _filters({"label": labels or []}))
        return cast("list[Json]", (answer or {}).get("Volumes") or [])

    def images(self) -> list[Json]:
        """Return the images of the node."""
        return cast("list[Json]", self.call("GET", "/images/json") or [])

    def events(
        self,
        since: float,
        until: float | None,
        labels: list[str],
        timeout: float,
        kinds: list[str] | None = None,
        hold: Hold | None = None,
    ) -> Iterator[Json]:
        """Yield events of the containers with these labels from since to until (seconds since 1970, may lie ahead).

        until None: for ever. timeout: the longest silence.
        """
        wanted = {"label": labels, "type": ["container"], "event": kinds or []}
        end = {} if until is None else {"until": f"{until:.9f}"}
        query = {"since": f"{since:.9f}", **end, **_filters(wanted)}
        stream = self.stream("GET", "/events", query, timeout=timeout, hold=hold)
        with stream as response, as_cell_error(self.path, "/events"):
            # Not line by line of its own: the library takes a stream that is cut off for one that has ended.
            for line in intake.lines(response, lambda: None):
                yield cast(Json, json.loads(line))

    # -- one object ----------------------------------------------------------------------------------------------

    def inspect(self, container: str, timeout: float | None = None) -> Json:
        """Return the inspect record of a container."""
        return cast(Json, self.call("GET", f"/containers/{quote(container, safe='')}/json", timeout=timeout))

    def image(self, name: str) -> Json | None:
        """Return the inspect record of an image, or None when the node does not have it."""
        try:
            return cast(Json, self.call("GET", f"/images/{quote(name, safe='/:@')}/json"))
        except EngineError as exc:
            if exc.status == 404:
                return None
            raise

    def start(self, container: str, timeout: float | None = None) -> None:
        """Start a container; one that runs already is left alone."""
        self.call("POST", f"/containers/{quote(container, safe='')}/start", timeout=timeout)

    def restart(self, container: str, timeout: float | None = None) -> None:
        """Kill a container if it runs, and start it."""
        self.call("POST", f"/containers/{quote(container, safe='')}/restart", {"t": 0}, timeout=timeout)

    def kill(self, container: str) -> None:
        """Kill the first process of a running container."""
        self.call("POST", f"/containers/{quote(container, safe='')}/kill", {"signal": "KILL"})

    def pause(self, container: str) -> None:
        """Freeze a running container."""
        self.call("POST", f"/containers/{quote(container, safe='')}/pause")

    def unpause(self, container: str) -> None:
        """Let a paused container go on."""
        self.call("POST", f"/containers/{quote(container, safe='')}/unpause")

    def stop(self, container: str, grace_s: int) -> None:
        """Stop a container: TERM, grace, KILL; one that is stopped already is left alone."""
        path = f"/containers/{quote(container, safe='')}/stop"
        self.call("POST", path, {"t": grace_s}, timeout=grace_s + self.timeout)

    def remove(self, kind: str, name: str, timeout: float | None = None) -> bool:
        """Remove a container (with its anonymous volumes), network or volume by id; False when it was gone already.

        timeout: in seconds; left out, 60 or the engine's own if that is more.
        """
        query = {"containers": {"force": "1", "v": "1"}, "volumes": {"force": "1"}}.get(kind)
        try:
            limit = timeout or max(self.timeout, 60.0)
            self.call("DELETE", f"/{kind}/{quote(name, safe='')}", query, timeout=limit)
        except EngineError as exc:
            if exc.status == 404:
                return False
            raise
        return True

    # -- logs and exec -------------------------------------------------------------------------------------------

    def logs(self, container: str, tty: bool, timeout: float | None = None, **query: Any) -> Iterator[bytes]:
        """Yield the bytes of a container's log, standard output and error in the order the engine gives them."""
        path = f"/containers/{quote(container, safe='')}/logs"
        options = {"stdout": "1", "stderr": "1", **query}
        with self.stream("GET", path, options, timeout=timeout) as response, as_cell_error(self.path, path):
            yield from plain(response.read1) if tty else payload(response.read1)

    def log_tail(self, container: str, tty: bool, lines: int = 20) -> list[str]:
        """Return the last lines of a container's log, each up to WIDEST_LINE characters."""
        return last_lines(self.logs(container, tty, tail=str(lines)), lines, WIDEST_LINE)

    def exec_create(self, container: str, argv: list[str]) -> str:
        """Prepare a command in a container and return its id; nothing runs yet."""
        body = {"Cmd": argv, "AttachStdout": True, "AttachStderr": True}
        return str(self.call("POST", f"/containers/{quote(container, safe='')}/exec", body=body)["Id"])

    def exec_run(self, exec_id: str, timeout: float) -> tuple[int | None, str]:
        """Run a prepared command; return its exit code, None when the time was over, and its last output."""
        path, body = f"/exec/{exec_id}/start", {"Detach": False}
        try:
            with self.stream("POST", path, None, body, timeout) as response, as_cell_error(self.path, path):
                output = last_lines(payload(response.read1), 5)
        except CellError as exc:
            if exc.kind == "docker_timeout":
                return None, ""
            raise
        return self.exec_record(exec_id).get("ExitCode"), "\n".join(output)

    def exec_record(self, exec_id: str) -> Json:
        """Return the record of an exec: ExitCode, Running, Pid."""
        return cast(Json, self.call("GET", f"/exec/{exec_id}/json"))


class NoEngine(Engine):
    """The engine of a node that has none and needs none: it holds nothing. Whatever else is asked of it fails."""

    def containers(self, labels: list[str] | None = None, timeout: float | None = None) -> list[Json]:
        return []

    def networks(self, labels: list[str] | None = None) -> list[Json]:
        return []

    def volumes(self, labels: list[str] | None = None) -> list[Json]:
        return []

    def images(self) -> list[Json]:
        return []


def engine_of(ctx: Context) -> Engine:
    """Return the node's engine; on a node that only runs the test and has no socket, one that holds nothing.

    Where services run, a missing socket stays an error: what an engine that is down holds is not known.
    """
    path = socket_path(ctx.environ)
    return Engine(path) if ctx.engine_needed or os.path.exists(path) else NoEngine(path)


def connect(environ: Mapping[str, str], timeout: float = 30.0) -> Engine:
    """Return the engine that the environment names."""
    return Engine(socket_path(environ), timeout)


def api_prefix(offered: str) -> str:
    """Return the path prefix for the newest API version that both sides know; empty when the engine names none."""
    numbers = offered.split(".")
    if len(numbers) != 2 or not all(part.isdigit() for part in numbers):
        return ""
    major, minor = min((int(numbers[0]), int(numbers[1])), NEWEST_API)
    return f"/v{major}.{minor}"


def _filters(wanted: Mapping[str, list[str]]) -> dict[str, str]:
    used = {key: values for key, values in wanted.items() if values}
    return {"filters": json.dumps(used)} if used else {}


def _read(response: http.client.HTTPResponse, what: str) -> bytes:
    with as_cell_error("", what):
        return response.read()


def _decoded(data: bytes, what: str) -> Any:
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError as exc:
        raise CellError("docker_api_mismatch", f"{what}: the engine's answer is not JSON: {data[:200]!r}") from exc


def _message_of(data: bytes) -> str:
    text = data.decode("utf-8", "replace").strip()
    try:
        decoded = json.loads(text)
    except ValueError:
        return text[:2000]
    return str(decoded.get("message") or text)[:2000] if isinstance(decoded, dict) else text[:2000]
