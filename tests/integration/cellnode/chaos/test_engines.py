# SPDX-License-Identifier: MIT
"""The engine itself is taken down and comes back as it was: a daemon of the test's own, never that of the machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import lifetime, procs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.dial import DEFAULT_SOCKET

pytestmark = pytest.mark.docker

TWO = """
services:
  web:
    image: IMAGE
    network_mode: none
    command: ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"]
  idle:
    image: IMAGE
    network_mode: none
    command: ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"]
"""
CHECKS = {name: {"kind": "command", "argv": ["true"]} for name in ("web", "idle")}
# Started once, or again and again by a shell that minds it, as on nodes without systemd.
ONCE = '"$@" >>"$LOG" 2>&1 &'
MINDED = 'while [ ! -e "$END" ]; do "$@" >>"$LOG" 2>&1; sleep 0.2; done &'
LIMIT_S = 60.0
# A daemon that finds the number of a containerd which is no more waits in vain for it.
TAKEN_FOR_LIVING = "timeout waiting for containerd"


def ip(*words: str) -> None:
    """Change a network interface."""
    subprocess.run(["ip", *words], check=True, timeout=30)


class Daemon:
    """An engine of its own."""

    def __init__(self, folder: Path, way: str, wait) -> None:
        self.folder, self.wait = folder, wait
        self.socket = str(folder / "docker.sock")
        self.url = f"unix://{self.socket}"
        self.env = {**os.environ, "LOG": str(folder / "log"), "END": str(folder / "end"), "TESTCELL_TEST": str(folder)}
        # Without a bridge an engine removes docker0, which is that of the machine's own engine.
        self.bridge = f"tc{os.urandom(4).hex()}"
        ip("link", "add", self.bridge, "type", "bridge")
        ip("address", "add", "192.0.2.1/30", "dev", self.bridge)
        words = ["dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid",
                 "-H", self.url, f"--bridge={self.bridge}", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"]  # fmt: skip
        subprocess.run(["sh", "-c", way, "sh", *words], env=self.env, cwd=folder, check=True, timeout=30)
        wait(self.life, "the engine of the test answers", LIMIT_S)

    def life(self) -> str:
        """Return a word for the process that serves it, "" while it does not answer."""
        asked = subprocess.run(["docker", "-H", self.url, "version"], capture_output=True, check=False, timeout=30)
        return lifetime.life(self.socket) if asked.returncode == 0 else ""

    def docker(self, *words: str) -> str:
        """Return what a docker command prints."""
        done = subprocess.run(
            ["docker", "-H", self.url, *words], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip()

    def remove(self) -> None:
        """End everything that was started with the test's own environment."""
        (self.folder / "end").touch()
        mark = f"TESTCELL_TEST={self.folder}".encode()

        def ours():
            found = []
            for pid in procs.pids():
                try:
                    words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                except OSError:
                    continue
                if mark in words and (proc := procs.identify(pid)):
                    found.append(proc)
            return found

        for proc in ours():
            procs.send(proc, signal.SIGCONT)
            procs.send(proc, signal.SIGTERM)
        deadline = time.monotonic() + LIMIT_S
        while ours() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not procs.kill_all(ours).survivors
        for line in Path("/proc/self/mounts").read_text().splitlines():
            if line.split()[1].startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", line.split()[1]], check=False, timeout=30)
        ip("link", "delete", self.bridge)
        shutil.rmtree(self.folder)


@pytest.fixture
def daemon(request, eventually, image, soakless):
    """An engine of the test's own, with the image and a case of two services that run."""
    cell, compose, folder = soakless
    engine = Daemon(folder, request.param, eventually)
    try:
        saved = subprocess.run(["docker", "save", image], capture_output=True, check=True, timeout=60).stdout
        subprocess.run(["docker", "-H", engine.url, "load"], input=saved, check=True, timeout=60, capture_output=True)
        cell.env["DOCKER_HOST"] = engine.url
        started = cell.up(TWO, compose)
        assert all(one["ok"] for one in started.values()), started
        yield engine
        cell.env["DOCKER_HOST"] = engine.url
        assert cell.call("clean")["errors"] == []
    finally:
        cell.env.clear()
        engine.remove()


@pytest.fixture
def soakless(cell, any_compose, tmp_path_factory):
    """A case without containers, and a folder of short name: a socket's path is."""
    return cell, any_compose, tmp_path_factory.mktemp("e")


def details(pid):
    """Return what makes a daemon what it is."""
    place = Path(f"/proc/{pid}")
    environ = sorted(
        word for word in (place / "environ").read_bytes().split(b"\0") if not word.startswith((b"PWD=", b"OLDPWD="))
    )
    groups = (place / "cgroup").read_text()
    return (place / "cmdline").read_bytes().split(b"\0")[1:], environ, os.readlink(place / "cwd"), groups


@pytest.mark.parametrize(
    ("daemon", "sent"),
    [
        pytest.param(ONCE, "TERM", id="F29-term"),
        pytest.param(ONCE, "KILL", id="F29-kill"),
        pytest.param(MINDED, "KILL", id="F29-minded"),
    ],
    indirect=["daemon"],
)
def test_the_engine_goes_down_and_comes_back_with_the_containers_of_the_run(daemon, make_soak, sent):
    soak = make_soak()
    before = details(lifetime.serving(daemon.socket).pid)
    life, up = daemon.life(), sorted(daemon.docker("ps", "-q").split())
    assert len(up) == 2
    checked = soak.call("check", kinds=[{"kind": "dockerd_restart", "params": {"signal": sent}}])
    assert checked["lacking"] == {"dockerd_restart": ""}
    event = {"id": "e", "kind": "dockerd_restart", "service": "", "duration_s": 1.5, "params": {"signal": sent}}
    soak.begin(event, checks=CHECKS)
    assert not soak.line("e", "control")["applied"]
    effect = soak.line("e", "effect")
    assert (effect["applied"], effect["measured"]["answers"], effect["measured"]["daemon"]) == (True, 0, 0)
    (record,) = soak.records()
    assert record["undo"]["socket"] == daemon.socket != DEFAULT_SOCKET
    phases = ["planned", "control", "record", "injected", "effect", "undone", "verified", "recovered"]
    assert soak.over("e") == phases
    assert soak.line("e", "undone")["b"] - soak.line("e", "injected")["b"] >= 1.5
    assert soak.line("e", "recovered")["rto_s"] < 60
    assert daemon.life() != life
    assert TAKEN_FOR_LIVING not in (daemon.folder / "log").read_text()
    assert sorted(daemon.docker("ps", "-q").split()) == up
    assert details(lifetime.serving(daemon.socket).pid) == before
    assert soak.call("end")["left"] == []
    assert daemon.life()
    projects = daemon.docker("ps", "-q", "--filter", f"label=com.docker.compose.project={soak.cell.project}").split()
    assert sorted(projects) == up


@pytest.mark.parametrize("daemon", [ONCE], indirect=True)
def test_an_engine_that_a_dead_run_has_ended_is_started_by_the_next_contact(daemon, make_soak):
    """F29, F64: its runner and guard are killed while it is down, and nothing can be asked of the engine"""
    soak = make_soak()
    event = {"id": "e", "kind": "dockerd_restart", "service": "", "duration_s": 60, "params": {"signal": "KILL"}}
    soak.begin(event, checks=CHECKS)
    soak.line("e", "effect")
    soak.kill_unit("chaos-guard")
    soak.kill_unit("chaos")
    assert daemon.life() == ""
    other = {**soak.cell.run, "id": soak.cell.run["id"] + "x"}
    epoch = soak.cell.call("lease", action="acquire", ttl_s=60, run=other)["epoch"]
    reaped = soak.cell.call("reap", run={**other, "epoch": epoch})
    assert ([one["id"] for one in reaped["undone"]], reaped["errors"]) == (["e"], [])
    assert daemon.life()
    assert daemon.docker("ps", "-aq") == ""


@pytest.mark.parametrize("daemon", [ONCE], indirect=True)
def test_containers_of_others_that_would_not_come_back_are_named(daemon, make_soak, image):
    """F67: refused before the run"""
    soak = make_soak()
    daemon.docker("run", "-d", "--name", "stranger", "--network=none", image, "sleep", "600")
    kept = daemon.docker("run", "-d", "--name", "kept", "--restart=always", "--network=none", image, "sleep", "600")
    lacking = soak.call("check", kinds=[{"kind": "dockerd_restart"}])["lacking"]["dockerd_restart"]
    assert lacking == "containers of others would not come back with the engine: stranger"
    daemon.docker("rm", "-f", "stranger", kept)
    assert soak.call("check", kinds=[{"kind": "dockerd_restart"}])["lacking"] == {"dockerd_restart": ""}
