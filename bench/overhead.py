# SPDX-License-Identifier: MIT
"""What control costs: a whole scenario on three nodes beside an empty playbook and ordinary tasks: JSON lines.

Three services that sleep, one a node, and a test that does nothing. Each variant connects anew and is called as often,
in turn. Of each the empty playbook is taken off and the services' own start: what Compose takes to make equal containers
and the engines to start them. `--full` takes more rounds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import rig
from rig import IMAGE, NODES, ROOT, Project, Ran, Scenario, Service, at_most, line

OVERHEAD_S, STEP_S = 1.5, 0.10
FASTER = {"ordinary": 10.0, "mitogen": 4.0}
FURTHER_STEPS = 10
PARTS = ("making", "start", "ending")
MITOGEN = "mitogen==0.3.54"
MITOGEN_FOLDER = ROOT / ".cache" / "bench-mitogen"
ORDINARY = ROOT / "bench" / "peers" / "tasks" / "ordinary.yml"
ROOT_THERE = "/var/tmp/testcell-bench"

# Removes what ordinary tasks that failed have left.
TIDY = f"""
docker ps -aq --filter label=bench.run | xargs -r docker rm -f
docker network ls -q --filter label=bench.run | xargs -r docker network rm
rm -rf {ROOT_THERE}
"""

# Makes a container by Compose, starts it and removes it with its network by calls of the engine alone, and prints what
# each took.
ENGINE = """
import http.client, json, os, socket, subprocess, sys, tempfile, time

class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/var/run/docker.sock")

def call(method, path):
    connection = Connection("localhost", timeout=60)
    connection.request(method, path)
    answer = connection.getresponse()
    data = answer.read()
    assert answer.status < 300, data
    return json.loads(data or b"null")

def timed(work, *words):
    began = time.monotonic()
    work(*words)
    return time.monotonic() - began

plugin = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
    file.write(os.environ["COMPOSE"])
    file.flush()
    compose = [*(["docker", "compose"] if plugin else ["docker-compose"]), "-p", "testcell-bench", "-f", file.name]
    up = [*compose, "up", "--no-start", "--no-deps", "--no-build", sys.argv[1]]
    made = timed(lambda: subprocess.run(up, check=True, capture_output=True))
query = "?all=1&filters=%7B%22label%22%3A%5B%22com.docker.compose.project%3Dtestcell-bench%22%5D%7D"
place = "/containers/" + call("GET", "/containers/json" + query)[0]["Id"]
started = timed(call, "POST", place + "/start")
ended = timed(call, "POST", place + "/stop") + timed(call, "DELETE", place)
ended += timed(call, "DELETE", "/networks/testcell-bench_default")
print(json.dumps([made, started, ended]))
"""


class Sleeper(Service):
    """A service that does nothing and is ready as soon as it runs."""

    def compose(self, _interval_s: float) -> dict[str, object]:
        """Return the service for a compose file."""
        return {"image": IMAGE, "entrypoint": ["sleep", "600"], "init": True}

    def metadata(self, _interval_s: float) -> dict[str, object]:
        """Return the service for a scenario's metadata."""
        return {"name": self.name, "node": self.node}


SERVICES = tuple(Sleeper(f"sleeper-{place}", node=node) for place, node in enumerate(NODES))
SCENARIO = Scenario("sleepers", SERVICES)


def engines_s() -> dict[str, float]:
    """Return what Compose takes to make the three containers and the engines to start and end them, all nodes at once."""

    def on(service: Sleeper) -> list[float]:
        words = ("env", f"COMPOSE={SCENARIO.compose()}", "python3", "-I", "-c", ENGINE, service.name)
        found: list[float] = json.loads(rig.on_node(service.node, *words))
        return found

    with ThreadPoolExecutor(len(SERVICES)) as pool:
        found = list(pool.map(on, SERVICES))
    return {part: max(seconds) for part, seconds in zip(PARTS, zip(*found, strict=True), strict=True)}


Task = dict[str, object]


def playbook(path: Path, *plays: tuple[str, list[Task]], **variables: object) -> Path:
    """Write a playbook of plays, each with its hosts, and return its path."""
    path.write_text(
        json.dumps(
            [
                {"name": f"Play {place}", "hosts": hosts, "gather_facts": False, "vars": variables, "tasks": tasks}
                for place, (hosts, tasks) in enumerate(plays)
            ],
            indent=1,
        )
    )
    return path


def ordinary(project: Project) -> Path:
    """Return the playbook that does by ordinary tasks what a run does."""
    given = {
        "bench_root": ROOT_THERE,
        "bench_run": "testcell-bench-tasks",
        "bench_scenario": str(project.write(SCENARIO)),
        "bench_home": str(project.folder / "home"),
        "bench_image": IMAGE,
        "bench_test_node": NODES[0],
        "bench_service": "{{ bench_services[inventory_hostname] }}",
        "bench_services": {one.node: one.name for one in SERVICES},
    }
    tasks: list[Task] = [{"name": "Do what a run does", "ansible.builtin.import_tasks": str(ORDINARY)}]
    return playbook(project.folder / "ordinary.yml", ("all", tasks), **given)


def mitogen() -> dict[str, str]:
    """Return the environment in which Ansible works by Mitogen, which is installed once, apart from all else."""
    if not (MITOGEN_FOLDER / "ansible_mitogen").is_dir():
        words = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(MITOGEN_FOLDER), MITOGEN]
        subprocess.run(words, check=True, capture_output=True)
    strategies = MITOGEN_FOLDER / "ansible_mitogen" / "plugins" / "strategy"
    return {
        "PYTHONPATH": str(MITOGEN_FOLDER),
        "ANSIBLE_STRATEGY": "mitogen_linear",
        "ANSIBLE_STRATEGY_PLUGINS": str(strategies),
    }


def measured(project: Project, rounds: int) -> dict[str, float]:
    """Return the median seconds of each variant, and of what the engines take, each called once a round."""
    tasks, empty = ordinary(project), playbook(project.folder / "empty.yml", ("all", []))
    by_mitogen = mitogen()
    variants: dict[str, Callable[[], float]] = {
        "empty": lambda: rig.playbook(empty, project.folder),
        "ours": lambda: project.run(SCENARIO).seconds,
        "mitogen": lambda: rig.playbook(tasks, project.folder, {}, **by_mitogen),
        "ordinary": lambda: rig.playbook(tasks, project.folder),
    }
    seconds: dict[str, list[float]] = {name: [] for name in (*variants, *PARTS)}
    variants["ours"]()  # the first run of a version brings its program to the nodes
    try:
        for _ in range(rounds):
            for name, call in variants.items():
                seconds[name].append(call())
            for name, taken in engines_s().items():
                seconds[name].append(taken)
    finally:
        for node in NODES:
            rig.on_node(node, "sh", "-c", TIDY)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def further_step_s(project: Project) -> float:
    """Return what one further step costs, by a case that asks eleven times whether its services are ready."""

    def step(action: str, **more: object) -> Task:
        return {"name": action, f"enginelab.testcell.{action}": {"run_dir": "{{ run_dir }}", "case_index": 0}, **more}

    asked = {
        "project_dir": str(project.folder),
        "scenario": SCENARIO.name,
        "results_dir": str(project.folder / "results"),
    }
    before = [step(action) for action in ("prep_node", "deploy_services")]
    ready = [step("check_ready") for _ in range(FURTHER_STEPS + 1)]
    after = step("clean_node")
    path = playbook(
        project.folder / "steps.yml",
        ("localhost", [{"name": "Resolve", "enginelab.testcell.resolve_run": asked, "register": "opened"}]),
        ("all", [step("open_case", run_once=True), *before, *ready, after, step("report_case", run_once=True)]),
        ("localhost", [{"name": "Report", "enginelab.testcell.report_run": {"run_dir": "{{ run_dir }}"}}]),
        run_dir="{{ hostvars['localhost'].opened.run_dir }}",
    )
    rig.playbook(path, project.folder)
    entries = Ran(0.0, project.runs[-1]).journal()
    ends = [entry["t"] for entry in entries if (entry["step"], entry["phase"]) == ("ready", "end")]
    assert len(ends) == len(NODES) * (FURTHER_STEPS + 1)
    return float(ends[-1] - max(ends[: len(NODES)])) / FURTHER_STEPS


def figures(project: Project, rounds: int) -> Iterator[dict[str, object]]:
    """Yield all figures."""
    found = measured(project, rounds)
    own = found["making"] + found["start"]
    over = {name: found[name] - found["empty"] - own for name in ("ours", *FASTER)}
    facts = {**{name: round(found[name], 3) for name in ("ours", "empty", *PARTS)}, "rounds": rounds}
    told = {"target": None, "holds": None, **facts}
    unit = "s more than the empty playbook and the services' start"
    held = {**at_most(over["ours"], OVERHEAD_S), **facts}
    yield line("B5-overhead", over["ours"], unit, "empty playbook", found["empty"], **held)
    value, unit = (
        over["ours"] + found["making"],
        "s more than the empty playbook and the start of containers made before",
    )
    yield line("B5-overhead-and-making", value, unit, "empty playbook", found["empty"], **told)
    unit = "s to stop and remove containers and networks"
    yield line("B5-engines-own", found["ending"], unit, "overhead", over["ours"], **told)
    for peer, times in FASTER.items():
        yield from _faster(peer, times, over, found["ending"], rounds)
    step = further_step_s(project)
    held = at_most(step, STEP_S)
    yield line("B5-further-step", step, "s for each", "the target", STEP_S, **held, steps=FURTHER_STEPS)


def _faster(
    peer: str, times: float, over: dict[str, float], ending_s: float, rounds: int
) -> Iterator[dict[str, object]]:
    """Yield how many times faster we are than a peer: in all of the overhead, and without what all engines take to end."""
    ratio = over[peer] / over["ours"]
    facts: dict[str, object] = {
        "target": times,
        "holds": ratio >= times,
        "rounds": rounds,
        "times_faster": round(ratio, 2),
    }
    yield line(f"B5-faster-than-{peer}-tasks", over["ours"], "s", f"{peer} tasks", over[peer], **facts)
    ours, theirs = over["ours"] - ending_s, over[peer] - ending_s
    facts = {"target": None, "holds": None, "rounds": rounds, "times_faster": round(theirs / ours, 2)}
    yield line(f"B5-control-faster-than-{peer}-tasks", ours, "s", f"{peer} tasks", theirs, **facts)


def main() -> int:
    """Print one line a figure; return 1 when a target does not hold."""
    with rig.lab(), rig.project() as project:
        return rig.show(figures(project, 7 if "--full" in sys.argv[1:] else 3))


if __name__ == "__main__":
    raise SystemExit(main())
