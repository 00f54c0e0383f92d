# SPDX-License-Identifier: MIT
"""The node program against a real engine: a tiny image, a case of its own for each test, and decoys that must stay."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import compose_cli
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy import override
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package

DECOY = "testcell-test.decoy"
APPLETS = (
    "sh",
    "cat",
    "echo",
    "env",
    "head",
    "httpd",
    "kill",
    "ls",
    "mkdir",
    "nc",
    "rm",
    "sleep",
    "tail",
    "touch",
    "true",
)


def docker(*words: str, check: bool = True) -> str:
    """Return what a docker command prints."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


def _answers() -> bool:
    if shutil.which("docker") is None:
        return False
    done = subprocess.run(
        ["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, timeout=20, check=False
    )
    return done.returncode == 0


def _busybox(folder: Path) -> Path:
    """Return a static busybox: this machine's own, or the one of the Debian package."""
    for found in filter(None, [shutil.which("busybox", path="/bin:/usr/bin")]):
        linked = subprocess.run(["ldd", found], capture_output=True, text=True, check=False)
        if "not a dynamic executable" in linked.stdout + linked.stderr:
            return Path(found)
    subprocess.run(["apt-get", "download", "busybox-static"], cwd=folder, check=True, capture_output=True, timeout=120)
    archive = next(folder.glob("busybox-static_*.deb"))
    subprocess.run(["dpkg", "-x", str(archive), str(folder / "deb")], check=True, capture_output=True)
    return next(path for path in folder.glob("deb/**/bin/busybox") if path.is_file())


@pytest.fixture(scope="session")
def image(tmp_path_factory) -> Iterator[str]:
    """An image with nothing but busybox, under a name of this session's own."""
    if not _answers():
        pytest.skip("no Docker engine answers")
    folder = tmp_path_factory.mktemp("image")
    (folder / "bin").mkdir()
    shutil.copy(_busybox(folder), folder / "bin" / "busybox")
    for name in APPLETS:
        (folder / "bin" / name).symlink_to("busybox")
    (folder / "tmp").mkdir()
    with tarfile.open(folder / "root.tar", "w") as archive:
        for name in ("bin", "tmp"):
            archive.add(folder / name, name)
    name = f"testcell-test/busybox-{uuid.uuid4().hex[:8]}:1"
    docker("import", "-c", "ENV PATH=/bin", "-c", 'CMD ["/bin/sh"]', str(folder / "root.tar"), name)
    yield name
    docker("rmi", "-f", name)


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Path:
    """The node program as one zip file."""
    path = tmp_path_factory.mktemp("program") / "cellnode.pyz"
    path.write_bytes(package.build("cellnode").content)
    return path


class Refused(Exception):
    """An answer of the node program that is an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['kind']}: {error['message']}")
        self.kind: str = error["kind"]
        self.message: str = error["message"]
        self.detail: dict[str, Any] = error["detail"]


@dataclass
class Cell:
    """One case on this machine as a node."""

    program: Path
    root: Path
    image: str
    run: dict[str, Any]
    env: dict[str, str] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)

    @property
    def case_dir(self) -> Path:
        """The case's folder."""
        return self.root / "runs" / self.run["id"] / self.run["scenario"] / f"a{self.run['attempt']}"

    @property
    def project(self) -> str:
        """The Compose project."""
        return override.project_name(self.run["id"], self.run["scenario"])

    def call(self, op: str, check: bool = False, run: dict[str, Any] | None = None, **args: Any) -> dict[str, Any]:
        """Return the result of one operation, or raise Refused."""
        request = {
            "op": op,
            "root": str(self.root),
            "run": run or self.run,
            "owner": "tests",
            "check": check,
            "secrets": self.secrets,
            "args": args,
        }
        argv = [sys.executable, "-I", "-S", "-E", str(self.program)]
        done = subprocess.run(
            argv,
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=120,
            env={**os.environ, **self.env},
            check=False,
        )
        lines = [line for line in done.stdout.decode().splitlines() if line.startswith("@cell ")]
        assert lines, done.stderr.decode()
        answer = json.loads(lines[-1].removeprefix("@cell "))
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def write(self, text: str) -> dict[str, Any]:
        """Put a Compose file into the case and return its data, if it is YAML; IMAGE stands for the test image."""
        folder = self.case_dir / "scenario"
        folder.mkdir(parents=True, exist_ok=True)
        text = text.replace("IMAGE", self.image)
        (folder / "docker-compose.yml").write_text(text)
        try:
            data = yaml.safe_load(text)
        except yaml.YAMLError:
            return {}
        return data if isinstance(data, dict) else {}

    def compose(self, text: str, argv: list[str], **more: Any) -> dict[str, Any]:
        """Write a Compose file and make its containers with the override that the product uses."""
        data = self.write(text)
        marks = override.labels(self.run["id"], self.run["scenario"], self.run["case"], 1)
        args: dict[str, Any] = {
            "project": self.project,
            "dir_rel": "scenario",
            "files": ["docker-compose.yml"],
            "services": sorted(data.get("services") or {}),
            "override": override.build(override.objects_of([data]), marks),
            "argv": argv,
            "pull": "missing",
            "timeout_s": 100,
        }
        return self.call("compose", **{**args, **more})

    def up(self, text: str, argv: list[str], *services: str) -> dict[str, Any]:
        """Make the containers and start some services, all by default; return the start's answer."""
        made = self.compose(text, argv)
        return self.call("start", services=list(services) or sorted({one["service"] for one in made["containers"]}))[
            "started"
        ]

    def state(self, wait_s: float = 20, **check: Any) -> dict[str, Any]:
        """Return a service's state once it is not starting any more, or as it is after wait_s."""
        return self.call("ready", checks=[check], wait_s=wait_s)["states"][check["service"]]

    def left(self) -> dict[str, str]:
        """Return what the engine still has of this run."""
        label = f"label=testcell.run={self.run['id']}"
        return {
            "containers": docker("ps", "-aq", "--filter", label),
            "networks": docker("network", "ls", "-q", "--filter", label),
            "volumes": docker("volume", "ls", "-q", "--filter", label),
        }


NOTHING = {"containers": "", "networks": "", "volumes": ""}


@pytest.fixture
def cell(image: str, program: Path, tmp_path: Path) -> Iterator[Cell]:
    """A case of its own; whatever the test leaves is removed by its label."""
    run = {"id": "t" + uuid.uuid4().hex[:12], "scenario": "001_it", "case": "", "attempt": 1, "epoch": None}
    made = Cell(program, tmp_path / "root", image, run)
    yield made
    made.env.clear()
    report = made.call("clean", run={**run, "scenario": ""})
    assert report["errors"] == []
    assert made.left() == NOTHING


@dataclass
class Decoys:
    """Objects of a stranger."""

    mark: str
    image: str

    @property
    def label(self) -> str:
        """The label of a stranger's objects."""
        return f"{DECOY}={self.mark}"

    def container(self, name: str, *words: str) -> str:
        """Start a stranger's container and return its id."""
        return docker(
            "run", "-d", "--label", f"{DECOY}={self.mark}", "--name", name, *words, self.image, "sleep", "600"
        )

    def network(self, name: str, *words: str) -> str:
        """Make a stranger's network."""
        return docker("network", "create", "--label", f"{DECOY}={self.mark}", *words, name)

    def volume(self, name: str, *words: str) -> str:
        """Make a stranger's volume."""
        return docker("volume", "create", "--label", f"{DECOY}={self.mark}", *words, name)

    def there(self) -> dict[str, list[str]]:
        """Return the stranger's objects."""
        label = f"label={DECOY}={self.mark}"
        return {
            "containers": sorted(docker("ps", "-q", "--filter", label).split()),
            "networks": sorted(docker("network", "ls", "-q", "--filter", label).split()),
            "volumes": sorted(docker("volume", "ls", "-q", "--filter", label).split()),
        }

    def remove(self) -> None:
        """Remove the stranger's objects."""
        label = f"label={DECOY}={self.mark}"
        for listed, removed in (
            (("ps", "-aq"), ("rm", "-fv")),
            (("network", "ls", "-q"), ("network", "rm")),
            (("volume", "ls", "-q"), ("volume", "rm")),
        ):
            for found in docker(*listed, "--filter", label).split():
                docker(*removed, found, check=False)


@pytest.fixture
def decoys(image: str) -> Iterator[Decoys]:
    """A stranger on the same engine."""
    stranger = Decoys(uuid.uuid4().hex, image)
    yield stranger
    stranger.remove()
    assert stranger.there() == {"containers": [], "networks": [], "volumes": []}


@pytest.fixture(scope="session")
def composes() -> tuple[compose_cli.Compose, ...]:
    """Every Compose that answers here."""
    return compose_cli.detect(os.environ)


@pytest.fixture(params=["plugin", "v1"])
def compose(request: pytest.FixtureRequest, image: str, composes: tuple[compose_cli.Compose, ...]) -> list[str]:
    """The argv of each kind of Compose that answers here."""
    for found in composes:
        if found.kind == request.param:
            return list(found.argv)
    pytest.skip(f"Compose of kind {request.param} does not answer here")


@pytest.fixture
def any_compose(image: str, composes: tuple[compose_cli.Compose, ...]) -> list[str]:
    """The argv of one Compose that answers here."""
    if not composes:
        pytest.skip("no Compose answers here")
    return list(composes[0].argv)


@pytest.fixture
def docker_cli():
    """The function that runs a docker command and returns what it prints."""
    return docker


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def refused() -> type[Refused]:
    """The exception that an error answer is raised as."""
    return Refused


@pytest.fixture
def nothing() -> dict[str, str]:
    """What is left of a run that was cleaned."""
    return dict(NOTHING)
