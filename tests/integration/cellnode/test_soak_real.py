# SPDX-License-Identifier: MIT
"""Samples of real containers: one that leaks, that is restarted, that is removed, and whose engine is frozen meanwhile."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import threading
import time

import pytest

pytestmark = pytest.mark.docker

# Three processes; memory and descriptors grow by a step whenever the file `more` is made.
LEAKS = """
services:
  leaky:
    image: IMAGE
    network_mode: none
    volumes: ["./steps:/steps"]
    command:
      - sh
      - -c
      - |
        a=0123456789abcdef
        for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do a=$$a$$a; done
        sleep 600 & sleep 600 &
        fd=3
        while true; do
          if [ -e /steps/more ]; then
            kept="$$kept$$a"
            eval "exec $$fd</dev/null"; fd=$$((fd + 1))
            rm /steps/more
          fi
          sleep 0.05
        done
  calm:
    image: IMAGE
    network_mode: none
    command: ["sleep", "600"]
"""
STEP_BYTES = 16 << 16
METRICS = """
services:
  told:
    image: IMAGE
    command: ["sh", "-c", "mkdir -p /tmp/w; echo 'up{x=\\"1\\"} 4' > /tmp/w/metrics; httpd -f -p 80 -h /tmp/w"]
"""


def wait_until(check, what, limit_s=40.0):
    deadline = time.monotonic() + limit_s
    while not (answer := check()):
        assert time.monotonic() < deadline, f"not in {limit_s} s: {what}"
        time.sleep(0.02)
    return answer


@pytest.fixture
def soak(cell, any_compose):
    """A case whose services run and are sampled."""

    class Soak:
        folder = cell.case_dir / "soak"

        def begin(self, text, *services, **args):
            (cell.case_dir / "scenario" / "steps").mkdir(parents=True)
            self.made = {one["service"]: one for one in cell.compose(text, any_compose)["containers"]}
            cell.call("start", services=list(self.made))
            cell.call("soak", action="begin", services=list(services), interval_s=0.1, **args)
            wait_until(lambda: self.last().get("services", {}).keys() == set(services), "all services")

        def lines(self):
            path = self.folder / "samples.jsonl"
            return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

        def last(self):
            return (self.lines() or [{}])[-1]

        def of(self, service):
            return self.last()["services"].get(service, {})

        def grow(self):
            """Have the leak grow by one step."""
            more = cell.case_dir / "scenario" / "steps" / "more"
            more.touch()
            wait_until(lambda: not more.exists(), "a step of the leak")

    made = Soak()
    yield made
    cell.env.clear()
    cell.call("soak", action="end")


def test_a_leak_is_seen_growing_and_its_neighbour_stays(soak):
    soak.begin(LEAKS, "leaky", "calm")
    wait_until(lambda: soak.of("leaky").get("processes", 0) >= 3, "its processes")
    first, calm = soak.of("leaky"), soak.of("calm")
    for _ in range(5):
        soak.grow()
    for metric in ("rss_bytes", "anon_bytes", "memory_bytes"):
        wait_until(
            lambda metric=metric: soak.of("leaky")[metric] - first[metric] >= 4 * STEP_BYTES, f"its {metric} growing"
        )
    wait_until(lambda: soak.of("leaky")["fds"] >= first["fds"] + 5, "its descriptors growing")
    after = soak.of("leaky")
    assert after["cpu_s"] >= first["cpu_s"] and after["threads"] >= after["processes"] >= 3
    assert (after["state"], after["restarts"]) == ("running", 0)
    same = soak.of("calm")
    assert {name: same[name] for name in ("fds", "processes", "threads")} == {
        name: calm[name] for name in ("fds", "processes", "threads")
    }
    assert abs(same["rss_bytes"] - calm["rss_bytes"]) < STEP_BYTES
    wait_until(lambda: soak.of("calm").get("sockets") == 0, "a count of its sockets")


def test_f30_a_container_that_is_killed_and_started_again_is_followed(soak, docker_cli):
    """F30"""
    soak.begin(LEAKS, "calm")
    wait_until(lambda: soak.of("calm").get("state") == "running", "its start")
    first = soak.of("calm")
    docker_cli("kill", soak.made["calm"]["id"])
    wait_until(lambda: soak.of("calm")["state"] == "exited", "its end")
    assert "rss_bytes" not in soak.of("calm") and soak.of("calm")["restarts"] == 0
    docker_cli("start", soak.made["calm"]["id"])
    wait_until(lambda: soak.of("calm").get("restarts") == 1 and "rss_bytes" in soak.of("calm"), "its next start")
    assert soak.of("calm")["started"] > first["started"]
    docker_cli("pause", soak.made["calm"]["id"])
    wait_until(lambda: soak.of("calm")["state"] == "paused", "its pause")
    assert soak.of("calm")["rss_bytes"] > 0
    docker_cli("unpause", soak.made["calm"]["id"])


def test_a_container_that_is_removed_is_told_once(soak, docker_cli):
    soak.begin(LEAKS, "calm", "leaky")
    docker_cli("rm", "-f", soak.made["calm"]["id"])
    wait_until(lambda: soak.of("calm")["state"] == "gone", "its end")
    wait_until(lambda: soak.of("leaky").get("state") == "running", "its neighbour")
    seen = len(soak.lines())
    wait_until(lambda: len(soak.lines()) > seen + 5, "more samples")
    told = [line["missing"] for line in soak.lines() if "service:calm" in line.get("missing", {})]
    assert [one["service:calm"] for one in told] == ["it has no container"]


class Between:
    """A socket before the engine's, which carries everything until it is frozen: then it takes calls and says nothing."""

    def __init__(self, path):
        self._frozen = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        while True:
            try:
                caller = self._listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._carry, args=(caller,), daemon=True).start()

    def _carry(self, caller):
        with caller, socket.socket(socket.AF_UNIX) as engine:
            engine.connect("/var/run/docker.sock")
            others = {caller: engine, engine: caller}
            while True:
                ready = select.select([*others], [], [], 0.05)[0]
                if self._frozen.is_set():
                    caller.recv(1, socket.MSG_PEEK | socket.MSG_WAITALL)
                    return
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    others[one].sendall(data)

    def freeze(self):
        self._frozen.set()

    def close(self):
        self._listener.close()


@pytest.fixture
def between(cell, tmp_path):
    made = Between(str(tmp_path / "engine.sock"))
    yield made
    made.close()


def test_f29_a_frozen_engine_hides_no_process_and_no_death(soak, cell, between, tmp_path, docker_cli):
    """F29"""
    cell.env["DOCKER_HOST"] = f"unix://{tmp_path}/engine.sock"
    soak.begin(LEAKS, "leaky", "calm")
    wait_until(lambda: soak.of("leaky").get("processes", 0) >= 3, "its processes")
    first = soak.of("leaky")["rss_bytes"]
    pid = int(docker_cli("inspect", "-f", "{{.State.Pid}}", soak.made["calm"]["id"]))
    between.freeze()
    for _ in range(3):
        soak.grow()
    wait_until(lambda: soak.of("leaky")["rss_bytes"] - first >= 2 * STEP_BYTES, "the leak growing")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: soak.of("calm")["state"] == "exited", "the death")


def test_metrics_and_reports_are_taken_while_services_run(soak, cell):
    metrics = [{"service": "told", "port": 80, "names": ["up"]}]
    reports = [{"service": "told", "path": "reports/*.json"}]
    soak.begin(METRICS, "told", metrics=metrics, reports=reports)
    place = cell.case_dir / "scenario" / "reports"
    place.mkdir()
    (place / "e1.json").write_text('{"height": 1}')
    wait_until(lambda: any(line.get("metrics") == {"told": {"up": 4.0}} for line in soak.lines()), "its metrics")
    copied = soak.folder / "report" / "told" / "e1.json"
    wait_until(copied.exists, "its report")
    (place / "e2.json").write_text('{"height": 2}')
    cell.call("soak", action="end")
    assert (copied.parent / "e2.json").read_text() == '{"height": 2}'
    noted = [json.loads(line) for line in (soak.folder / "reports.jsonl").read_text().splitlines()]
    assert [one["f"] for one in noted] == ["told/e1.json", "told/e2.json"]
