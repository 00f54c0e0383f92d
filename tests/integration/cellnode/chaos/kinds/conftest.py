# SPDX-License-Identifier: MIT
"""Faults on real containers of this machine's engine, begun and ended as the chaos runner does it."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import procs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import kinds, rules
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.fault import Aim, Effect, Place
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.engine import connect

ENGINE_SIM = "testcell/engine-sim:1"


@dataclass
class Event:
    """One event of one kind, aimed at a container (or the node), on this machine as a node."""

    kind: str
    place: Place
    aim: Aim
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def fault(self) -> Any:
        """The kind."""
        return kinds.find(self.kind)

    def lacking(self) -> str:
        """Why this node cannot do it."""
        return self.fault.lacking(self.place, self.aim.params)

    def prepare(self) -> dict[str, Any]:
        """Make the record."""
        self.record = self.fault.prepare(self.place, self.aim)
        return self.record

    def inject(self) -> None:
        """Begin."""
        self.fault.inject(self.place, self.aim, self.record)

    def effect(self) -> Effect:
        """Measure."""
        return self.fault.effect(self.place, self.aim, self.record)

    def undo(self) -> None:
        """End."""
        self.fault.undo(self.place, self.record)

    def left(self) -> list[str]:
        """What is still there."""
        return self.fault.left(self.place, self.record)

    def felt(self) -> Effect:
        """Go through control and injection; return the effect, which must be felt."""
        assert self.lacking() == ""
        control = self.effect() if self.record else self.fault.effect(self.place, self.aim, {})
        assert not control.applied, control
        assert control.why
        if not self.record:
            self.prepare()
        self.inject()
        effect = self.effect()
        assert effect.applied, effect
        assert effect.why == ""
        return effect

    def ended(self) -> None:
        """Undo twice; nothing is left."""
        self.undo()
        assert self.left() == []
        self.undo()
        assert self.left() == []


@pytest.fixture(scope="session")
def network() -> Iterator[str]:
    """A network of this session's own, as Compose makes one for a project: with the engine's name service inside."""
    name = f"testcell-chaos-{uuid.uuid4().hex[:8]}"
    subprocess.run(["docker", "network", "create", name], check=True, capture_output=True, timeout=60)
    yield name
    subprocess.run(["docker", "network", "rm", name], check=True, capture_output=True, timeout=60)


@pytest.fixture
def container(docker_cli, network) -> Iterator[Callable[..., str]]:
    """The function that starts a container of the simulated engine's image and returns its full id."""
    if not docker_cli("images", "-q", ENGINE_SIM, check=False):
        pytest.skip(f"the image {ENGINE_SIM} is absent (make images)")
    made: list[str] = []

    def start(*options: str, command: tuple[str, ...] = ("python3", "-m", "http.server", "8000")) -> str:
        name = f"testcell-chaos-{uuid.uuid4().hex[:8]}"
        made.append(name)
        joined = () if "--network" in options else ("--network", network)
        words = ("--name", name, *joined, *options, "--entrypoint", "tini", ENGINE_SIM, "--", *command)
        return docker_cli("run", "-d", *words)

    yield start
    for name in made:
        docker_cli("rm", "-fv", name)


@pytest.fixture
def event(tmp_path: Path, docker_cli) -> Iterator[Callable[..., Event]]:
    """The function that makes an event for a container; all of them are undone afterwards."""
    root = tmp_path / "root"
    root.mkdir(mode=0o700)
    ctx = Context(root, RunRef("t" + uuid.uuid4().hex[:12], "001_it"), environ=dict(os.environ))
    made: list[Event] = []

    def aimed(kind: str, container: str = "", seconds: float = 120, **params: Any) -> Event:
        event_id = f"{kind}.{len(made)}"
        expires = time.clock_gettime(time.CLOCK_BOOTTIME) + seconds
        place = Place(ctx, connect(os.environ), ctx.case_dir / "chaos" / event_id, event_id, expires)
        pid = int(docker_cli("inspect", "-f", "{{.State.Pid}}", container)) if container else 0
        made.append(Event(kind, place, Aim("decode-1" if container else "", container, pid, params)))
        return made[-1]

    yield aimed
    for one in made:
        if one.record:
            one.undo()
            assert one.left() == []
    assert procs.ours(root) == ()


@pytest.fixture
def inject_until(monkeypatch) -> Callable[[Any, int], None]:
    """Return a function that injects a fault whose injection is killed after so many calls for rules, or just after all."""

    def inject(fault: Any, calls: int) -> None:
        done, original = [], rules.call

        def until_killed(door, tool, table, *words):
            done.append(words)
            if len(done) > calls:
                raise KeyboardInterrupt
            return original(door, tool, table, *words)

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(rules, "call", until_killed)
            fault.inject()
            raise KeyboardInterrupt

    return inject
