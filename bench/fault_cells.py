# SPDX-License-Identifier: MIT
"""Where the fault sweep runs: nodes of its own with real containers, one of them with an engine of its own, too.

A node is the node's program on a root of its own. Each round of faults is another attempt of one case, so that its
containers stay.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import clock
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import upload
from rig import IMAGE, ROOT

CALL_S = 180.0
ENGINE_S = 60.0
PORT = 8000
# That of the distribution may be one that breaks programs (see chaos/clock.py).
FAKETIME, FAKETIME_FOLDER = "libfaketime==3.0.1", ROOT / ".cache" / "bench-libfaketime"
# Where the node's program looks for the library, as this one process and its children see it.
SEES_LIBRARY = 'mount -t overlay overlay -o "lowerdir=$0:/usr/local/lib" /usr/local/lib && exec "$@"'
SLEEPS = ("sh", "-c", "sleep 36000 & exec sleep 36000")
SERVES = ("python3", "-m", "engine_sim", "--port", str(PORT))
MARK = "TESTCELL_BENCH"
Json = dict[str, Any]


@dataclass(frozen=True)
class Service:
    """A container of a node. kinds: of the faults that are aimed at it; program: what it runs; clocked: its clock can jump."""

    name: str
    kinds: tuple[str, ...]
    program: tuple[str, ...] = SLEEPS
    clocked: bool = False


CONTAINERS = ("kill", "restart", "stop", "pause")
NETWORKS = ("network_cut", "network_loss", "network_rate", "network_delay")
RESOURCES = ("disk_fill", "cpu_stress", "memory_stress")
PLAIN = (
    *(Service(f"plain-{number}", (*CONTAINERS, *NETWORKS, *RESOURCES)) for number in range(6)),
    *(
        Service(f"clocked-{number}", ("clock_jump", "clock_jump", "stop", "restart"), clocked=True)
        for number in range(2)
    ),
    Service("engine", ("pressure", "pressure", "kill", "network_loss", "pause"), SERVES),
)
OWN_ENGINE = tuple(Service(f"alone-{number}", (*CONTAINERS, *RESOURCES)) for number in range(3))
CHECKS = {"engine": {"kind": "http", "port": PORT, "path": "/health"}}


class Refused(Exception):
    """An answer of the node's program that is an error."""


@dataclass
class Cell:
    """One node. node_kinds: of the faults that are aimed at the node itself; before: what its program runs in."""

    name: str
    folder: Path
    program: Path
    services: tuple[Service, ...]
    node_kinds: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    containers: dict[str, str] = field(default_factory=dict)
    run: str = field(default_factory=lambda: f"f{uuid.uuid4().hex[:12]}")

    @property
    def root(self) -> Path:
        """Return the node's root."""
        return self.folder / "root"

    def case_dir(self, attempt: int) -> Path:
        """Return the folder of a round."""
        return self.root / "runs" / self.run / "faults" / f"a{attempt}"

    def started(self, attempt: int, op: str, run: str = "", **args: Any) -> subprocess.Popen[bytes]:
        """Start an operation, in a session of its own, and give it its request. run: another one than the node's own."""
        about = {"id": run or self.run, "scenario": "faults", "case": "", "attempt": attempt, "epoch": None}
        request = {"op": op, "root": str(self.root), "run": about, "owner": "bench", "args": args}
        process = subprocess.Popen(
            [*self.before, sys.executable, "-I", "-S", "-E", str(self.program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self.env},
            start_new_session=True,
        )
        assert process.stdin
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(request).encode())
            process.stdin.close()
        return process

    def call(self, attempt: int, op: str, run: str = "", **args: Any) -> Json:
        """Return the result of an operation; raise Refused with its error."""
        process = self.started(attempt, op, run, **args)
        process.stdin = None
        out, _ = process.communicate(timeout=CALL_S)
        lines = [line for line in out.decode().splitlines() if line.startswith("@cell ")]
        answer: Json = json.loads(lines[-1].removeprefix("@cell ")) if lines else {"error": {"message": "no answer"}}
        if "result" not in answer:
            raise Refused(f"{op}: {answer['error']}")
        return dict(answer["result"])

    def docker(self, *words: str) -> str:
        """Return what a docker command prints on this node."""
        env = {**os.environ, **self.env}
        done = subprocess.run(["docker", *words], check=True, capture_output=True, text=True, timeout=ENGINE_S, env=env)
        return done.stdout.strip()

    def furnish(self, attempt: int) -> None:
        """Put the load client where the upload of a case puts it, with the settings of a test."""
        bin_dir, scenario = (self.case_dir(attempt) / name for name in ("bin", "scenario"))
        for folder in (bin_dir, scenario):
            folder.mkdir(parents=True)
        for name, (content, mode) in upload.programs(sys.executable, None).items():
            (bin_dir / name).write_bytes(content)
            (bin_dir / name).chmod(mode)
        (scenario / "test_config.json").write_text(json.dumps({"model": "engine-sim", "max_tokens": 4}))

    def start_containers(self, network: str, library: str) -> None:
        """Start every service's container."""
        marks = {"testcell.run": self.run, "testcell.scenario": "faults", "testcell.case": ""}
        for service in self.services:
            labels = {**marks, "com.docker.compose.service": service.name}
            words = [f"--label={name}={value}" for name, value in labels.items()]
            words += [f"--network={network}", "--memory=512m", f"--volume={self._made(service.name)}:/data"]
            words += self._clocked(service, library) if service.clocked else []
            name = f"testcell-{self.run}-{service.name}"
            argv = ("run", "-d", f"--name={name}", *words, "--entrypoint=tini", IMAGE, "--", *service.program)
            self.containers[service.name] = self.docker(*argv)

    def _made(self, name: str) -> Path:
        path = self.folder / "volumes" / name
        path.mkdir(parents=True)
        return path

    def _clocked(self, service: Service, library: str) -> list[str]:
        wanted = clock.preload(library, str(self._made(f"{service.name}-clock")))
        words = [f"--env={name}={value}" for name, value in wanted["environment"].items()]
        return words + [f"--volume={volume}" for volume in wanted["volumes"]]

    def remove_containers(self) -> None:
        """Remove whatever containers there are of this node's run."""
        found = self.docker("ps", "-aq", "--filter", f"label=testcell.run={self.run}").split()
        if found:
            self.docker("rm", "-fv", *found)


def faketime() -> str:
    """Return a libfaketime that works, fetched once; "" where it cannot be had."""
    found = FAKETIME_FOLDER / "faketime" / "libfaketime.so.1"
    if not found.exists():
        words = ["download", "-q", "--no-deps", "--only-binary", ":all:", "-d", str(FAKETIME_FOLDER), FAKETIME]
        if subprocess.run([sys.executable, "-m", "pip", *words], check=False, capture_output=True).returncode:
            return ""
        with zipfile.ZipFile(next(FAKETIME_FOLDER.glob("*.whl"))) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith("/libfaketime.so.1"))
            found.parent.mkdir()
            found.write_bytes(wheel.read(name))
    seen = ("unshare", "-m", "--propagation", "slave", "sh", "-c", SEES_LIBRARY, str(FAKETIME_FOLDER), "true")
    return str(found) if subprocess.run(seen, check=False, capture_output=True).returncode == 0 else ""


def _sees(library: str) -> tuple[str, ...]:
    if not library:
        return ()
    return ("unshare", "-m", "--propagation", "slave", "sh", "-c", SEES_LIBRARY, str(Path(library).parents[1]))


@contextmanager
def plain(count: int, folder: Path, program: Path) -> Iterator[list[Cell]]:
    """Give nodes whose containers are of this machine's engine."""
    library = faketime()
    services = tuple(one for one in PLAIN if library or not one.clocked)
    cells = [
        Cell(f"plain-{number}", folder / f"n{number}", program, services, RESOURCES, before=_sees(library))
        for number in range(count)
    ]
    network = f"testcell-faults-{uuid.uuid4().hex[:8]}"
    with ExitStack() as stack:
        if cells:
            cells[0].docker("network", "create", network)
            stack.callback(cells[0].docker, "network", "rm", network)
        for cell in cells:
            cell.folder.mkdir()
            stack.callback(cell.remove_containers)
            cell.start_containers(network, library)
        yield cells


@contextmanager
def with_engine(folder: Path, program: Path) -> Iterator[Cell]:
    """Give a node with an engine of its own, which may be taken down."""
    folder.mkdir()
    socket = f"unix://{folder}/s"
    env = {**os.environ, MARK: str(folder)}
    # Without a bridge an engine removes docker0, which is that of the machine's own engine.
    bridge = f"tf{uuid.uuid4().hex[:8]}"
    for change in (["link", "add", bridge, "type", "bridge"], ["address", "add", "192.0.2.5/30", "dev", bridge]):
        subprocess.run(["ip", *change], check=True, timeout=30)
    words = ["dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid",
             "-H", socket, f"--bridge={bridge}", "--iptables=false", "--ip6tables=false"]  # fmt: skip
    # The engine is nobody's child, as on a node.
    start = ["sh", "-c", f'"$@" >>{folder}/log 2>&1 &', "sh", *words]
    cell = Cell("own-engine", folder, program, OWN_ENGINE, ("dockerd_restart",), {"DOCKER_HOST": socket})
    try:
        subprocess.run(start, env=env, cwd=folder, check=True, timeout=ENGINE_S)
        wait_for(lambda: _answers(cell), ENGINE_S)
        saved = subprocess.Popen(["docker", "save", IMAGE], stdout=subprocess.PIPE)
        subprocess.run(["docker", "-H", socket, "load"], stdin=saved.stdout, check=True, capture_output=True)
        saved.wait(ENGINE_S)
        cell.start_containers("none", "")
        yield cell
        cell.remove_containers()
    finally:
        end_marked(str(folder))
        subprocess.run(["ip", "link", "delete", bridge], check=True, timeout=30)


def _answers(cell: Cell) -> bool:
    env = {**os.environ, **cell.env}
    return subprocess.run(["docker", "version"], capture_output=True, check=False, timeout=30, env=env).returncode == 0


def wait_for(check: Callable[[], object], limit_s: float, pause_s: float = 0.1) -> bool:
    """Return whether a check becomes true in time."""
    deadline = time.monotonic() + limit_s
    while not check():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause_s)
    return True


def marked(text: str) -> list[int]:
    """Return the processes that were started with the mark of an engine of ours."""
    wanted, found = f"{MARK}={text}".encode(), []
    for pid in pids():
        with suppress(OSError):
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.append(pid)
    return found


def pids() -> list[int]:
    """Return the processes of this machine."""
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def end_marked(text: str) -> None:
    """End an engine of ours with all its processes, and take down what it has mounted."""
    for number, limit_s in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 20.0)):
        for pid in marked(text):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if wait_for(lambda: not marked(text), limit_s):
            break
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in sorted((point for point in mounts if point.startswith(text)), reverse=True):
        subprocess.run(["umount", "-l", point], check=False, capture_output=True)


@contextmanager
def nodes(count: int, engine: bool) -> Iterator[list[Cell]]:
    """Give so many nodes, and one more with an engine of its own, in a folder that is gone afterwards."""
    folder = Path("/tmp") / f"tf-{uuid.uuid4().hex[:6]}"  # short: the path of a socket is
    folder.mkdir(mode=0o700)
    try:
        program = folder / "cellnode.pyz"
        program.write_bytes(package.build("cellnode").content)
        with ExitStack() as stack:
            found = stack.enter_context(plain(count, folder, program))
            if engine:
                found.append(stack.enter_context(with_engine(folder / "e", program)))
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process with its whole session's first group, as `kill -9` of a controller's command does."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(CALL_S)
    if process.stdout:
        process.stdout.close()


def lines(path: Path) -> Sequence[Mapping[str, Any]]:
    """Return the whole lines of a journal."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1] if line]
