# SPDX-License-Identifier: MIT

"""`health` from end to end on this machine: the node `local`, a run that goes on there, ports and disks that are wanted."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import package

from testcell import engine, starting

pytestmark = pytest.mark.docker
IMAGE = "testcell/engine-sim:1"
TESTCELL = (sys.executable, "-m", "testcell")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a starter project whose node keeps its files below tmp_path."""
    if not engine.ask().answers:
        pytest.skip("no Docker engine answers here")
    starting.start(tmp_path / "p")
    hosts = tmp_path / "p" / "inventories" / "local"
    hosts.write_text(f"{hosts.read_text().rstrip()} testcell_node_root={tmp_path / 'node'}\n")
    return tmp_path / "p"


def ask(project: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Return exit code and documents of `health`."""
    done = subprocess.run(
        [*TESTCELL, "health", "--format", "json", *words],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    texts = done.stdout.splitlines() if "--watch" in words else [done.stdout]
    return done.returncode, [json.loads(text) for text in texts]


def call(root: Path, op: str, run: dict[str, Any] | None, **args: Any) -> dict[str, Any]:
    """Return the result of an op of the node's program, called past Ansible."""
    program = root.parent / "cellnode.pyz"
    program.write_bytes(package.build("cellnode").content)
    request = {"op": op, "root": str(root), "run": run, "owner": "me@box:1/elsewhere", "args": args}
    done = subprocess.run(
        [sys.executable, str(program)], input=json.dumps(request).encode(), capture_output=True, timeout=60, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout.decode().splitlines()[-1].removeprefix("@cell "))["result"]
    return result


@pytest.fixture
def run(project: Path, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Give a run that holds the node and has a service there that has ended and been restarted."""
    if subprocess.run(["docker", "image", "inspect", IMAGE], capture_output=True, check=False, timeout=30).returncode:
        pytest.skip(f"{IMAGE} is not there; make it with `make images`")
    name = f"t{uuid.uuid4().hex[:10]}"
    labels = {"testcell.run": name, "testcell.scenario": "s", "com.docker.compose.service": "engine"}
    words = [word for key, value in labels.items() for word in ("--label", f"{key}={value}")]
    fails = ["--restart", "on-failure:1", "--entrypoint", "python3", IMAGE, "-c", "raise SystemExit(3)"]
    subprocess.run(["docker", "run", "-d", "--name", name, *words, *fails], check=True, capture_output=True)
    subprocess.run(["docker", "wait", name], check=True, capture_output=True, timeout=60)
    lease = call(tmp_path / "node", "lease", {"id": name}, action="acquire", ttl_s=120)
    yield {"id": name, "epoch": lease["epoch"]}
    subprocess.run(["docker", "rm", "-f", name], check=True, capture_output=True)


def test_a_run_that_goes_on_is_shown_and_its_lease_is_left_alone(
    project: Path, run: dict[str, Any], tmp_path: Path
) -> None:
    lease = tmp_path / "node" / "lease.json"
    before = (lease.read_bytes(), lease.stat().st_mtime_ns)
    code, rounds = ask(project, "--watch", "1", "--rounds", "2")
    assert code == 0 and len(rounds) == 2
    for document in rounds:
        (node,) = document["nodes"]
        (service,) = node["services"]
        assert (node["lease"]["run"], node["lease"]["owner"]) == (run["id"], "me@box:1/elsewhere")
        assert 0 < node["lease"]["expires_in_s"] <= 120
        assert (service["service"], service["state"], service["exit_code"]) == ("engine", "exited", 3)
        assert service["restarts"] == 1 and service["up_s"] is None and service["age_s"] >= 0
        ours = [(p["error_kind"], p["level"]) for p in node["problems"] if run["id"] in p["detail"]]
        assert ours == [("container_exited", "warning")]
    assert (lease.read_bytes(), lease.stat().st_mtime_ns) == before


def test_what_a_run_left_is_named_once_nobody_holds_the_node(
    project: Path, run: dict[str, Any], tmp_path: Path
) -> None:
    call(tmp_path / "node", "lease", run, action="release")
    (tmp_path / "node" / "runs" / run["id"]).mkdir(parents=True)
    code, (document,) = ask(project)
    (node,) = document["nodes"]
    assert code == 0 and (node["state"], node["services"]) == ("warning", [])
    (problem,) = (one for one in node["problems"] if run["id"] in one["detail"])
    assert problem["detail"] == f"run {run['id']} has left 1 container, 1 folder"
    assert problem["next"] == f"testcell cleanup {run['id']}"


def answers(project: Path, *words: str) -> tuple[int, Any]:
    """Return exit code and answer of a command."""
    command = [*TESTCELL, *words, "--format", "json"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
def test_cleanup_leaves_holders_alone_and_nodes_shows_them(project: Path, tmp_path: Path, shared: bool) -> None:
    """A run that never got the node has nothing to clean there, whoever holds it; a dead one goes from beside a neighbour."""
    root, dead = tmp_path / "node", "20200101_000000"
    lease = call(root, "lease", {"id": "living"}, action="acquire", ttl_s=120, shared=shared)
    if shared:
        call(root, "lease", {"id": "neighbour"}, action="acquire", ttl_s=120, shared=True)
    (root / "runs" / "living").mkdir(parents=True)
    code, document = answers(project, "nodes")
    (node,) = document["nodes"]
    held = [(one["run"], one["epoch"]) for one in node["holders"]]
    assert code == 0 and held == [("living", lease["epoch"]), *([("neighbour", 2)] if shared else [])]
    code, (cleaned,) = answers(project, "cleanup", dead)
    assert (code, cleaned["runs"], cleaned["ok"]) == (0, [], True)
    (root / "runs" / dead).mkdir()
    code, (cleaned,) = answers(project, "cleanup", dead)
    assert (code, cleaned["runs"]) == ((0, [dead]) if shared else (6, []))
    assert (root / "runs" / "living").exists() and (root / "runs" / dead).exists() is not shared


def test_a_node_is_held_against_a_scenario_before_anything_is_started(project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for path in (project / "scenarios" / "001_example").iterdir():
            path.write_text(path.read_text().replace("18100", str(port)))
        compose = project / "scenarios" / "001_example" / "docker-compose.yml"
        compose.write_text(
            f"{compose.read_text().rstrip()}\n    networks: [absent]\nnetworks: {{absent: {{external: true}}}}\n"
        )
        code, (document,) = ask(project, "example")
    (node,) = document["nodes"]
    needs = {p["error_kind"]: p for p in node["problems"] if p["level"] == "error"}
    assert code == 5 and set(needs) == {"port_conflict", "compose_invalid"}
    assert f"port {port} is taken by " in needs["port_conflict"]["detail"]
    assert "make it with: docker network create absent" in needs["compose_invalid"]["detail"]
    assert node["ports"][0]["pid"] == os.getpid() and node["scenarios"][0]["ok"] is False
    assert node["lease"]["state"] == "free", "nothing was taken"


def test_a_node_without_room_cannot_work(project: Path) -> None:
    size = shutil.disk_usage(project).total
    code, (document,) = ask(project, "-e", f"testcell_min_free_bytes={size}")
    problems = document["nodes"][0]["problems"]
    # the node's own folder, and the engine's where that lies on another file system; what another has left is a warning
    assert code == 5 and {one["error_kind"] for one in problems if one["level"] == "error"} == {"disk_full"}


def test_a_watch_on_a_terminal_is_redrawn_and_ends_at_control_c_with_the_cursor_back(project: Path) -> None:
    ours, its = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "150", "LINES": "40"}
    process = subprocess.Popen(
        [*TESTCELL, "health", "--watch", "1"], cwd=project, env=environ, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    said = b""
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        try:
            while b"round 2" not in said:
                said += terminal.read(4096)
            process.send_signal(signal.SIGINT)
            said += _rest(terminal)
        finally:
            process.kill()
            code = process.wait(timeout=30)
    assert code == 130
    assert said.count(b"\x1b[?25l") == said.count(b"\x1b[?25h") == 1 and said.rstrip().endswith(b"\x1b[?25h")


def _rest(terminal: Any) -> bytes:
    """Return what is written until the last writer has closed the terminal."""
    found = b""
    while True:
        try:
            part = terminal.read(4096)
        except OSError:  # Linux says EIO at the end of a terminal
            return found
        if not part:
            return found
        found += part


def test_a_watch_ends_when_nobody_reads_it_any_more(project: Path) -> None:
    command = [*TESTCELL, "health", "--watch", "1", "--format", "json"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["round"] == 1
        process.stdout.close()
        assert process.wait(timeout=60) == 0
