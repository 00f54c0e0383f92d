# SPDX-License-Identifier: MIT
"""The unit that samples: begun, marked, asked and ended by the node's program, and killed, starved and left alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from itertools import pairwise

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import gpus, lease, procs
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak import asked, sampling
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak.sampling import Sampling

UNIT = "soak-samples"


def soak(cell, action, **args):
    return cell.call("soak", action=action, **args)


def samples(cell):
    """Return the samples so far; each line is whole."""
    path = cell.case_dir / "soak" / "samples.jsonl"
    raw = path.read_bytes() if path.exists() else b""
    assert raw == b"" or raw.endswith(b"\n")
    return [json.loads(line) for line in raw.splitlines()]


def test_samples_are_begun_marked_asked_and_ended(cell, eventually):
    assert soak(cell, "begin", interval_s=0.05) == {"started": True, "existing": False}
    assert soak(cell, "begin", interval_s=0.05) == {"started": True, "existing": True}
    assert soak(cell, "status")["began"] is None
    begun = soak(cell, "mark", duration_s=60)
    assert (begun["boot_id"], begun["duration_s"], begun["run_b"]) == (procs.boot_id(), 60, None)
    assert soak(cell, "mark", duration_s=70) == begun
    eventually(lambda: len(samples(cell)) > 5, "some samples")
    status = soak(cell, "status")
    assert (status["unit"]["state"], status["interval_s"], status["began"]) == ("running", 0.05, begun)
    assert status["lines"] > 5 and 0 <= status["age_s"] < 60
    ended = soak(cell, "end")
    found = samples(cell)
    assert (ended["unit"]["exit_code"], ended["lines"]) == (0, len(found))
    assert ended["bytes"] == (cell.case_dir / "soak" / "samples.jsonl").stat().st_size
    assert {tuple(one)[:4] for one in found} == {("t", "b", "i", "node")}
    assert all(after["b"] > before["b"] for before, after in pairwise(found))


def test_f63_a_controller_that_takes_the_run_on_finds_the_samples_begun(cell):
    cell.run["epoch"] = cell.call("lease", action="acquire", ttl_s=60)["epoch"]
    assert soak(cell, "begin", interval_s=0.05) == {"started": True, "existing": False}
    cell.run["epoch"] = cell.call("lease", action="succeed", epoch=cell.run["epoch"], ttl_s=60)["epoch"]
    assert soak(cell, "begin", interval_s=0.05) == {"started": True, "existing": True}
    assert cell.fail("soak", action="begin", interval_s=0.06)["kind"] == "duplicate_task"
    soak(cell, "end")


def test_f63_a_load_that_began_before_it_is_told_began_then(cell):
    soak(cell, "begin")
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    begun = soak(cell, "mark", duration_s=60, ago_s=20)
    after = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before - 20.01 < begun["b"] < after - 19.99
    assert begun["t"] - begun["b"] == pytest.approx(time.time() - after, abs=1)
    soak(cell, "end")


def test_what_was_never_begun_is_named(cell):
    for action in ("status", "end"):
        assert cell.fail("soak", action=action)["kind"] == "artifact_missing"
    assert cell.fail("soak", action="stop")["message"].endswith("allowed: begin, mark, status, end")


def test_a_check_begins_nothing(cell):
    cell.check = True
    assert soak(cell, "begin") == {"started": False, "existing": False}
    assert soak(cell, "mark")["duration_s"] == 0
    assert not cell.case_dir.exists()


@pytest.mark.parametrize("victim", ["command", "supervisor and command"])
def test_a_kill_leaves_whole_lines(cell, eventually, victim):
    soak(cell, "begin", interval_s=0.05)
    eventually(lambda: len(samples(cell)) > 10, "some samples")
    status = cell.status(UNIT)
    if victim != "command":
        os.kill(status["supervisor_pid"], signal.SIGKILL)
    os.kill(status["pid"], signal.SIGKILL)
    eventually(lambda: not procs.alive(procs.Proc(status["pid"], status["pid_start"])), "its end")
    assert len(samples(cell)) > 10
    assert soak(cell, "end")["unit"]["state"] in ("exited", "lost")


def test_a_full_file_is_halved_while_samples_go_on(cell, eventually):
    soak(cell, "begin", interval_s=0.05, cap_bytes=4096)
    eventually(lambda: soak(cell, "status")["interval_s"] == 0.1, "the interval of a halved file")
    eventually(lambda: len(samples(cell)) > 20, "samples after that")
    assert (cell.case_dir / "soak" / "samples.jsonl").stat().st_size <= 4096
    soak(cell, "end")


def test_f04_a_soak_outlives_its_controller_and_its_lease_ends_after_it(cell, eventually):
    """F04"""
    ttl_s = 2.0
    cell.run["epoch"] = cell.call("lease", action="acquire", ttl_s=ttl_s)["epoch"]
    cell.start("sh", "-c", "while [ ! -e over ]; do sleep 0.05; done", cwd_rel="work")
    soak(cell, "begin", interval_s=0.1, test_unit="test")
    until = Clock().boottime() + 3 * ttl_s  # the supervisor ends the work after two
    root = Context(cell.root, RunRef(cell.run["id"]))

    def held():
        return lease.OPS["lease"](root, {"action": "show"})["held"]

    eventually(lambda: Clock().boottime() > until and held(), "three times the lease's own time")
    assert (cell.status()["state"], cell.status(UNIT)["state"]) == ("running", "running")
    (cell.case_dir / "work" / "over").touch()
    eventually(lambda: not held(), "the end of the lease")
    eventually(lambda: cell.status(UNIT)["state"] == "killed", "the end of the samples")
    assert cell.status(UNIT)["error_kind"] == "controller_died"


@pytest.fixture
def silent(tmp_path):
    """The socket of an engine that takes calls and never answers, as one that is frozen does."""
    path = str(tmp_path / "engine.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(16)
        yield path


@pytest.fixture
def sampler(tmp_path):
    """Return a function that makes the samples of a case in this process."""

    def make(environ=None, clock=None, **args):
        ctx = Context(tmp_path / "node", RunRef("r1", "s"), clock=clock or Clock(), environ=environ or {"PATH": ""})
        ctx.case_dir.mkdir(parents=True, exist_ok=True)
        return ctx, Sampling(ctx, asked.parse({"interval_s": 1.0, **args}))

    return make


def written(ctx):
    return [json.loads(line) for line in (ctx.case_dir / "soak" / "samples.jsonl").read_text().splitlines()]


def test_f29_an_engine_that_does_not_answer_stops_no_sample(sampler, silent, eventually):
    """F29"""
    _, made = sampler({"DOCKER_HOST": f"unix://{silent}", "PATH": ""}, services=["a"])
    lines = [json.loads(made.sample()) for _ in range(3)]
    made._boxes.start()
    eventually(lambda: "did not answer in time" in made._boxes.fault, "the engine's silence", 30)
    lines.append(json.loads(made.sample()))
    made._boxes.close()
    assert [one["services"] for one in lines] == [{}] * 4
    assert all(one["node"]["memory_used_bytes"] for one in lines)
    told = [one.get("missing", {}).get("engine", "") for one in lines]
    assert told[0] == "the engine has not answered yet" and told[1:3] == ["", ""] and "in time" in told[3]


class Passing:
    """A clock that goes on only when somebody waits, by more than was asked where that is said. times: of the waits."""

    def __init__(self, ends_after, late=()):
        self.now, self.left, self.late, self.times = 100.0, ends_after, dict(late), []

    def wait(self, seconds):
        self.now += max(0.0, seconds) + self.late.get(len(self.times), 0.0)
        self.times.append(round(self.now, 6))
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize(
    ("late", "wanted"),
    [
        ({}, [100, 101, 102, 103, 104]),
        ({1: 0.4, 2: 0.2}, [100, 101.4, 102.2, 103, 104]),
        ({1: 3.5}, [100, 104.5, 105, 106, 107]),
    ],
    ids=["on time", "a little late", "long asleep"],
)
def test_what_is_late_makes_nothing_else_late(sampler, late, wanted):
    passing = Passing(len(wanted), late)
    ctx, made = sampler(clock=Clock(monotonic=lambda: passing.now))
    made.run(passing.wait)
    assert passing.times[: len(wanted)] == wanted and len(written(ctx)) == len(wanted)


def test_a_line_that_the_disk_refused_is_told_in_the_next_one(sampler, monkeypatch):
    ctx, made = sampler()
    refused = [True]
    add = made._lines.add

    def once(line):
        if refused:
            raise OSError(28, "No space left on device")
        add(line)

    monkeypatch.setattr(made._lines, "add", once)
    made._looks["gpus"]._fault = "nvidia-smi failed"  # told in the line that is lost, and so once more
    made._write()
    refused.clear()
    made._write()
    made._write()
    first, second = written(ctx)
    assert "No space left on device" in first["missing"]["samples"]
    assert first["missing"]["gpus"] == "nvidia-smi failed"
    assert "missing" not in second


def test_an_odd_kernel_costs_a_line_and_not_the_sampler(sampler, monkeypatch):
    ctx, made = sampler()
    with monkeypatch.context() as patch:
        patch.setattr(sampling.machine, "now", lambda proc: int("odd"))
        made._write()
    made._write()
    (line,) = written(ctx)
    assert "invalid literal" in line["missing"]["samples"]


def test_a_lasting_fault_is_told_again_after_a_halving(sampler):
    ctx, made = sampler(cap_bytes=4096)
    made._looks["gpus"]._fault = "nvidia-smi failed"
    while made._lines.interval_s == 1.0:
        made._write()
    made._write()
    assert written(ctx)[-1]["missing"] == {"gpus": "nvidia-smi failed"}


def test_a_node_without_services_asks_no_engine(sampler):
    _, made = sampler({"DOCKER_HOST": "tcp://nowhere:1", "PATH": ""})
    assert "services" not in json.loads(made.sample())


def test_metrics_reports_disks_and_cards_are_told_when_they_are_new(sampler, eventually, monkeypatch):
    card = {"index": 0, "memory_used_bytes": 5 << 20, "utilization_percent": None}
    monkeypatch.setattr(sampling.gpus, "read", lambda environ, users: gpus.Gpus((card,)))
    reports = [{"service": "sim", "path": "reports/*.json"}]
    metrics = [{"service": "sim", "port": 1, "path": "/m", "names": ["up"]}]
    ctx, made = sampler(reports=reports, metrics=metrics)
    monkeypatch.setattr(sampling.Metrics, "read", lambda self, places: {"up": 1.0})
    (ctx.case_dir / "scenario" / "reports").mkdir(parents=True)
    (ctx.case_dir / "scenario" / "reports" / "e1.json").write_text("{}")
    over, found = threading.Event(), {}

    def wait(seconds):
        if over.wait(0.01):
            return True
        for line in written(ctx):
            found.update(line, node={**found.get("node", {}), **line["node"]})
        if found.keys() >= {"gpus", "metrics"} and "disk_free_bytes" in found["node"]:
            over.set()
        return False

    made.run(wait)
    assert (found["gpus"], found["metrics"]) == ({"0": {"memory_bytes": 5 << 20}}, {"sim": {"up": 1.0}})
    assert (ctx.case_dir / "soak" / "report" / "sim" / "e1.json").read_text() == "{}"


def test_cards_that_cannot_be_listed_are_a_fault(monkeypatch):
    monkeypatch.setattr(sampling.gpus, "read", lambda environ, users: gpus.Gpus(error="nvidia-smi failed"))
    with pytest.raises(CellError, match="nvidia-smi failed"):
        sampling.cards({})
