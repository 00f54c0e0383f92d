# SPDX-License-Identifier: MIT
"""An engine of containers that do what a test says, and tell of it by a stream of events as a real one does."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

SERVICE = "com.docker.compose.service"


def stamp(seconds: float) -> str:
    """Return seconds since 1970 as the engine writes them."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Box:
    """One container."""

    def __init__(self, service: str, number: int, memory: int) -> None:
        self.id, self.name, self.service = f"id-{service}-{number}", f"p-{service}-{number}", service
        self.state, self.health, self.memory = "created", "", memory
        self.code, self.oom = 0, False
        self.started = self.finished = 0.0

    @property
    def labels(self) -> dict[str, str]:
        """Return its labels."""
        return {SERVICE: self.service}


class FakeEngine:
    """Containers by id. A test sets what goes wrong before it happens, and makes happen what an engine reports."""

    def __init__(self) -> None:
        self.boxes: dict[str, Box] = {}
        self.starting: dict[str, Any] = {}  # service -> an error, an exit code, or an event that the start waits for
        self.down: CellError | None = None
        self.said: list[tuple[str, str]] = []
        self.listening = threading.Semaphore(0)
        self.looks = threading.Semaphore(0)
        self.streams: list[socket.socket] = []
        self.deaf = False  # no event is told
        self.root_dir = "/"  # where images and containers lie
        self.path = ""  # no socket: nobody can tell which process this engine is
        self._told: list[dict[str, Any]] = []
        self._lock = threading.RLock()

    # -- what a test does ----------------------------------------------------------------------------------------

    def add(self, *services: str, memory: int = 0) -> None:
        """Make a container for each service; a second one for a service that has one."""
        for service in services:
            number = 1 + sum(box.service == service for box in self.boxes.values())
            box = Box(service, number, memory)
            self.boxes[box.id] = box

    def box(self, service: str) -> Box:
        """Return the first container of a service."""
        return next(box for box in self.boxes.values() if box.service == service)

    def die(self, service: str, code: int = 1, oom: bool = False) -> None:
        """End a service's container by itself."""
        with self._lock:
            box = self.box(service)
            self._end(box, code, oom)

    def turn(self, service: str, action: str, state: str = "", health: str = "") -> None:
        """Change a service's container and tell of it."""
        with self._lock:
            box = self.box(service)
            box.state, box.health = state or box.state, health or box.health
            self._tell(box, action)

    def vanish(self, service: str) -> None:
        """Remove a service's container."""
        with self._lock:
            box = self.box(service)
            del self.boxes[box.id]
            self._tell(box, "destroy")

    def break_streams(self) -> None:
        """End all event streams, as an engine that is restarted does."""
        with self._lock:
            for stream in self.streams:
                stream.close()
            self.streams.clear()

    # -- what the engine answers ---------------------------------------------------------------------------------

    def containers(self, labels: list[str], _timeout: float | None = None) -> list[dict[str, Any]]:
        self._answer()
        wanted = [label.partition("=")[2] for label in labels if label.startswith(SERVICE)]
        if not wanted:
            self.looks.release()
        with self._lock:
            return [_listed(box) for box in self.boxes.values() if not wanted or box.service in wanted]

    def info(self) -> dict[str, Any]:
        """Return where images and containers lie."""
        return {"DockerRootDir": self.root_dir}

    def inspect(self, container: str, _timeout: float | None = None) -> dict[str, Any]:
        self._answer()
        with self._lock:
            return _record(self._found(container))

    def start(self, container: str, _timeout: float | None = None) -> None:
        self._begin("start", container)

    def restart(self, container: str, _timeout: float | None = None) -> None:
        with self._lock:
            box = self._found(container)
            if box.state in ("running", "paused"):
                self._end(box, 137, False)
        self._begin("restart", container)

    def unpause(self, container: str) -> None:
        self.said.append(("unpause", container))

    def log_tail(self, container: str, _tty: bool, _lines: int = 20) -> list[str]:
        return [f"last words of {self._found(container).service}"]

    def events(self, since, _until, _labels, _timeout, kinds, hold) -> Iterator[dict[str, Any]]:
        """Yield what happened since, then what happens, until the stream is broken off from either side."""
        self._answer()
        ours, engines = socket.socketpair()
        hold.take(ours)
        with ours, engines, ours.makefile("rb") as lines:
            with self._lock:
                self.streams.append(engines)
                for event in self._told:
                    if event["timeNano"] / 1e9 >= since:
                        _write(engines, event)
            self.listening.release()
            for line in lines:
                event = json.loads(line)
                if event["Action"].partition(":")[0] in kinds:
                    yield event
            hold.take(None)

    # -- within --------------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        if self.down:
            raise self.down

    def _found(self, container: str) -> Box:
        if container not in self.boxes:
            raise CellError("container_gone", f"No such container: {container}")
        return self.boxes[container]

    def _begin(self, word: str, container: str) -> None:
        self._answer()
        self.said.append((word, container))
        with self._lock:
            box = self._found(container)
        fate = self.starting.pop(box.service, None)
        if isinstance(fate, threading.Event):
            fate.wait(10)
        elif isinstance(fate, Exception):
            raise fate
        with self._lock:
            if box.state != "running":
                box.state, box.started, box.health = "running", time.time(), box.health and "starting"
                self._tell(box, "start")
            if isinstance(fate, int):
                self._end(box, fate, False)

    def _end(self, box: Box, code: int, oom: bool) -> None:
        box.state, box.code, box.oom, box.finished = "exited", code, oom, time.time()
        if oom:
            self._tell(box, "oom")
        self._tell(box, "die", exitCode=str(code))

    def _tell(self, box: Box, action: str, **more: str) -> None:
        if self.deaf:
            return
        attributes = {"name": box.name, **box.labels, **more}
        event = {
            "Action": action,
            "Actor": {"ID": box.id, "Attributes": attributes},
            "timeNano": time.time_ns(),
        }
        self._told.append(event)
        for stream in self.streams:
            _write(stream, event)


def _write(stream: socket.socket, event: dict[str, Any]) -> None:
    """Send an event; a reader that has hung up misses it."""
    try:
        stream.sendall(json.dumps(event).encode() + b"\n")
    except OSError:
        stream.close()


def _listed(box: Box) -> dict[str, Any]:
    status = f"Up ({box.health})" if box.health else "Up"
    return {"Id": box.id, "Names": [f"/{box.name}"], "State": box.state, "Status": status, "Labels": box.labels}


def _record(box: Box) -> dict[str, Any]:
    state: dict[str, Any] = {"Status": box.state, "ExitCode": box.code, "OOMKilled": box.oom}
    state.update(StartedAt=stamp(box.started) if box.started else "0001-01-01T00:00:00Z")
    state.update(FinishedAt=stamp(box.finished) if box.finished else "0001-01-01T00:00:00Z")
    if box.health:
        state["Health"] = {"Status": box.health, "Log": [{"Output": "no token came"}]}
    return {
        "Id": box.id,
        "Name": f"/{box.name}",
        "Config": {"Labels": box.labels, "Image": "img"},
        "HostConfig": {"Memory": box.memory},
        "State": state,
    }
