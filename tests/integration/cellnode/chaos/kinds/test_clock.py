# SPDX-License-Identifier: MIT
"""F60, F62, F65, F67: the clock of a container jumps while the node's does not."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import clock, op
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.fault import Gone
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy import override

# Prints the wall clock and how long a sleep of 0.1 s took by the clock that only goes forward.
TICKS = """import time
while True:
    began = time.monotonic()
    time.sleep(0.1)
    print(int(time.time()), time.monotonic() - began, flush=True)
"""


# It has an environment and a mount of its own, which stay.
SERVICE = """services:
  a:
    image: testcell/engine-sim:1
    entrypoint: [tini, --, sleep, "600"]
    environment: {OWN: "1"}
    volumes: ["./own:/own"]
"""


@pytest.fixture(scope="session")
def faketime(tmp_path_factory) -> Path:
    """A folder with a libfaketime that works: that of the distribution may be one that does not."""
    folder = tmp_path_factory.mktemp("faketime")
    argv = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", str(folder)]
    done = subprocess.run([*argv, "libfaketime==3.0.1"], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"libfaketime cannot be fetched: {done.stderr[-200:]}")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith("/libfaketime.so.1"))
        (folder / "libfaketime.so.1").write_bytes(wheel.read(name))
    return folder


@pytest.fixture
def working(faketime, monkeypatch):
    """A node with that library only."""
    monkeypatch.setattr(clock, "PLACES", (str(faketime),))


@pytest.fixture
def prepared(container, working, tmp_path, event, docker_cli):
    """A container that was started as the preload says, and runs."""
    folder = tmp_path / "clock"
    folder.mkdir()
    wanted = clock.preload(clock.library({}), str(folder))
    options = [word for name, value in wanted["environment"].items() for word in ("-e", f"{name}={value}")]
    options += [word for volume in wanted["volumes"] for word in ("-v", volume)]
    made = container(*options, command=("python3", "-c", TICKS))
    assert event("clock_jump").place.ctx.clock.until(lambda: docker_cli("logs", "--tail", "1", made), 20)
    return made


def ticks(docker_cli, container):
    """Return the last line that the container has printed, as (wall clock, seconds of a sleep of 0.1 s)."""
    wall, slept = docker_cli("logs", "--tail", "1", container).split()
    return int(wall), float(slept)


@pytest.mark.parametrize("jump_s", [3600.5, -3600, 86400 * 30])
def test_the_clock_jumps_and_comes_back(prepared, event, docker_cli, jump_s):
    """F60, F62: new programs have the other time, and the running one too; it sleeps and measures as before."""
    jump = event("clock_jump", prepared, jump_s=jump_s)
    measured = jump.felt().measured
    assert abs(measured["offset_s"] - jump_s) < 5 or abs(measured["offset_s"] / jump_s - 1) < 0.01
    now = jump.place.ctx.clock
    assert now.until(lambda: abs(ticks(docker_cli, prepared)[0] - now.unix() - jump_s) < 30, 20)
    assert 0.1 <= ticks(docker_cli, prepared)[1] < 30
    jump.ended()
    assert not jump.effect().applied
    assert now.until(lambda: abs(ticks(docker_cli, prepared)[0] - now.unix()) < 30, 20)


def test_a_half_done_injection_is_undone(prepared, event, monkeypatch):
    """F63: killed with the file in place."""
    jump = event("clock_jump", prepared, jump_s=60)
    jump.prepare()
    original = clock.durable.replace_bytes
    monkeypatch.setattr(clock.durable, "replace_bytes", lambda *a, **k: original(*a, **k) or sys.exit())
    with pytest.raises(SystemExit):
        jump.inject()
    assert len(jump.left()) == 1
    jump.ended()


def test_an_injection_that_was_killed_while_it_wrote_is_undone(prepared, event):
    """F63: killed before the file was in its place."""
    jump = event("clock_jump", prepared, jump_s=60)
    path = Path(jump.prepare()["path"])
    (path.parent / clock.durable.half(path.name)).write_text("+60")
    assert len(jump.left()) == 1
    jump.ended()
    assert list(path.parent.iterdir()) == []


def test_an_undo_after_the_container_is_gone(prepared, event, docker_cli):
    """F65: its folder stays on the node, so the file is removed from there."""
    jump = event("clock_jump", prepared, jump_s=60)
    jump.felt()
    docker_cli("rm", "-f", prepared)
    jump.ended()
    with pytest.raises(Gone):
        jump.effect()


def test_a_service_that_was_not_prepared_is_refused(container, event, working):
    with pytest.raises(CellError, match="was not started with libfaketime") as caught:
        event("clock_jump", container(), jump_s=60).prepare()
    assert caught.value.kind == "chaos_unsupported"


def test_a_node_without_the_library_is_told_which(event, tmp_path, monkeypatch):
    """F67."""
    monkeypatch.setattr(clock, "PLACES", (str(tmp_path),))
    assert event("clock_jump", jump_s=60).lacking() == (
        f"no libfaketime here can move a clock: there is none in {tmp_path}; install the package libfaketime"
    )


def test_a_library_that_does_not_work_is_found_out(event, tmp_path, monkeypatch):
    """F67: tried rather than looked for."""
    monkeypatch.setattr(clock, "PLACES", (str(tmp_path),))
    (tmp_path / "libfaketime.so.1").write_text("no library")
    assert event("clock_jump", jump_s=60).lacking().endswith("it does not move the clock of a program")


def test_a_library_that_breaks_programs_is_found_out(event, tmp_path, monkeypatch):
    """F67: one under which a program cannot sleep."""
    (tmp_path / "libfaketime.so.1").write_text("")
    monkeypatch.setattr(clock, "PLACES", (str(tmp_path),))
    monkeypatch.setattr(clock, "TRIAL", "raise OSError(22, 'Invalid argument')")
    assert "a program under it fails: OSError: [Errno 22] Invalid argument" in event("clock_jump", jump_s=60).lacking()


BAD = [
    ({}, "params.jump_s is None; allowed: a number from "),
    ({"jump_s": 2}, "params.jump_s is 2; allowed: at least 5 s ahead or behind"),
]


@pytest.mark.parametrize(("params", "message"), BAD)
def test_a_bad_parameter_is_named(event, params, message):
    assert event("clock_jump", **params).lacking().startswith(message)


def test_a_container_that_compose_has_made_can_jump(event, cell, compose, working, docker_cli):
    """The override of a run carries what is needed beside what the service has itself."""
    folder = cell.case_dir / "clock" / "a"
    folder.mkdir(parents=True)
    data = cell.write(SERVICE)
    (cell.case_dir / "scenario" / "own").mkdir()
    marks = override.labels(cell.run["id"], cell.run["scenario"], cell.run["case"], 1)
    more = {"a": clock.preload(clock.library({}), str(folder))}
    made = cell.compose(SERVICE, compose, override=override.build(override.objects_of([data]), marks, more))
    cell.call("start", services=["a"])
    container = made["containers"][0]["id"]
    assert docker_cli("exec", container, "sh", "-c", "echo $OWN; ls -d /own").split() == ["1", "/own"]
    jump = event("clock_jump", container, jump_s=3600)
    jump.felt()
    jump.ended()
    assert not jump.effect().applied


@pytest.mark.parametrize(
    ("kind", "params"), [("clock_jump", {"jump_s": 60}), ("kill", {}), ("clock_jump", {"jump_s": 1})]
)
def test_a_node_names_the_library_where_its_clocks_shall_jump_and_can(event, working, faketime, kind, params):
    answer = op.check(event(kind).place.ctx, {"kinds": [{"kind": kind, "params": params}]})
    can = kind == "clock_jump" and not answer["lacking"][kind]
    assert can == (params == {"jump_s": 60})
    assert answer["library"] == (f"{faketime}/libfaketime.so.1" if can else "")
