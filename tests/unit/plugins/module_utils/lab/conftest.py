# SPDX-License-Identifier: MIT
"""A Docker engine in memory: containers, networks and volumes with their labels, and nodes that answer at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.lab import lab
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.docker_cli import Docker
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.errors import LabError
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.model import Wanted

ENGINE_IMAGE = "testcell/engine-llama:1"
NODE_IMAGE = "testcell/node:1"


def image_body(name: str, inputs: str = "i1") -> dict[str, Any]:
    """Return what inspect prints of an image."""
    return {
        "RepoTags": [name],
        "RootFS": {"Layers": [f"sha256:{name}-{inputs}"]},
        "Config": {"Labels": {"testcell.inputs": inputs}},
    }


class FakeDocker(Docker):
    """Knows the calls that a lab makes; any other is an error of the test."""

    def __init__(self) -> None:
        super().__init__()
        self.images = {name: image_body(name) for name in (NODE_IMAGE, ENGINE_IMAGE)}
        self.containers: dict[str, dict[str, Any]] = {}
        self.networks: dict[str, dict[str, Any]] = {"bridge": self._network("172.17.0.0/16", {})}
        self.volumes: dict[str, dict[str, str]] = {}
        self.inner: dict[str, dict[str, dict[str, Any]]] = {}
        self.silent: set[str] = set()
        self.stubborn = False

    def __call__(self, *arguments: str, stdin: Path | None = None) -> str:
        verb = " ".join(arguments[:2]) if arguments[0] in {"network", "volume"} else arguments[0]
        return str(getattr(self, "_" + verb.replace(" ", "_"))(list(arguments), stdin) or "")

    def inspect(self, kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
        known = {"container": self.containers, "network": self.networks, "image": self.images}[kind]
        return [{"Name": name, **known[name]} for name in names if name in known]

    def _ps(self, arguments: list[str], _: object) -> str:
        return self._labelled(arguments, {name: body["Config"]["Labels"] for name, body in self.containers.items()})

    def _network_ls(self, arguments: list[str], _: object) -> str:
        return self._labelled(arguments, {name: body["Labels"] for name, body in self.networks.items()})

    def _volume_ls(self, arguments: list[str], _: object) -> str:
        return self._labelled(arguments, self.volumes)

    def _network_create(self, arguments: list[str], _: object) -> None:
        self.networks[arguments[-1]] = self._network(_option(arguments, "--subnet"), _labels(arguments))

    def _network_disconnect(self, arguments: list[str], _: object) -> None:
        if not self.containers[arguments[-1]]["NetworkSettings"]["Networks"].pop(arguments[-2], None):
            raise LabError("docker network ended with 1: container x is not connected to network y")

    def _network_connect(self, arguments: list[str], _: object) -> None:
        address = {"IPAddress": _option(arguments, "--ip")}
        self.containers[arguments[-1]]["NetworkSettings"]["Networks"][arguments[-2]] = address

    def _network_rm(self, arguments: list[str], _: object) -> None:
        if not self.stubborn:
            del self.networks[arguments[-1]]

    def _volume_create(self, arguments: list[str], _: object) -> None:
        key, _, value = _option(arguments, "--label").partition("=")
        self.volumes[arguments[-1]] = {key: value}

    def _volume_rm(self, arguments: list[str], _: object) -> None:
        for name in arguments[3:]:
            self.volumes.pop(name)

    def _run(self, arguments: Any, _: object) -> Any:
        name, network = _option(arguments, "--name"), _option(arguments, "--network")
        self.containers[name] = {
            "Config": {"Labels": _labels(arguments)},
            "State": {"Running": True, "Paused": False},
            "NetworkSettings": {"Networks": {network: {"IPAddress": _option(arguments, "--ip")}}},
        }
        self.inner[name] = {}

    def _rm(self, arguments: list[str], _: object) -> None:
        for name in arguments[3:]:
            self.containers.pop(name)

    def _start(self, arguments: list[str], _: object) -> None:
        self.containers[arguments[1]]["State"]["Running"] = True

    def _unpause(self, arguments: list[str], _: object) -> None:
        self.containers[arguments[1]]["State"]["Paused"] = False

    def _save(self, arguments: list[str], _: object) -> None:
        Path(arguments[2]).write_text(json.dumps(arguments[3:]))

    def _exec(self, arguments: list[str], stdin: Path | None) -> str:
        if stdin:
            self.inner[arguments[2]].update({name: self.images[name] for name in json.loads(stdin.read_text())})
            return ""
        if "/opt/testcell/ready" in arguments:
            if arguments[1] in self.silent:
                raise LabError("docker exec ended with 1: the node is not ready after 5 s")
            return f"ssh-ed25519 KEY-OF-{arguments[1]}\n"
        return json.dumps([body for name, body in self.inner[arguments[1]].items() if name in arguments])

    @staticmethod
    def _network(subnet: str, labels: dict[str, str]) -> dict[str, Any]:
        return {"Labels": labels, "IPAM": {"Config": [{"Subnet": subnet}]}}

    @staticmethod
    def _labelled(arguments: list[str], objects: dict[str, dict[str, str]]) -> str:
        if "--filter" not in arguments:
            return "\n".join(objects)
        key, _, value = _option(arguments, "--filter").removeprefix("label=").partition("=")
        return "\n".join(name for name, labels in objects.items() if labels.get(key) == value)


def _option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def _labels(arguments: list[str]) -> dict[str, str]:
    pairs = (argument.removeprefix("--label=") for argument in arguments if argument.startswith("--label="))
    return dict(pair.split("=", 1) for pair in pairs)


@pytest.fixture
def docker() -> FakeDocker:
    return FakeDocker()


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    return Wanted(
        name="lab",
        nodes=3,
        image=NODE_IMAGE,
        images=(ENGINE_IMAGE,),
        state_dir=tmp_path / ".lab",
        inventory=tmp_path / "inventories" / "lab" / "hosts",
        timeout_s=5,
    )


@pytest.fixture(autouse=True)
def quiet_machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernel tables without routes and listening sockets in place of this machine's."""
    folder = tmp_path_factory.mktemp("proc")
    for name in ("route", "tcp", "tcp6"):
        (folder / name).write_text("head\n")
    monkeypatch.setattr(lab, "PROC", folder)
