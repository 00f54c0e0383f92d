# SPDX-License-Identifier: MIT
"""A test that waits inside the kernel, where KILL does not reach it: it is told, its node is held, and the run goes on."""

from __future__ import annotations

import os

import pytest
from cellruns import ROOT, Ended, newest, run_command, run_site, running_site
from unanswered import unanswered

pytestmark = [pytest.mark.docker, pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="FUSE is mounted")]

LOCAL = ROOT / "inventories" / "local"
# No load client: on a busy machine its lateness would make the other case invalid, which is not what is asked here.
WRITES = 'mkdir -p "$SCENARIO_RESULT_PATH"; echo data >"$SCENARIO_RESULT_PATH/data.txt"\n'
# The limit of the test, three times that of the killing, and what the rest of two cases takes on a loaded machine.
WITHIN_S = 150


@pytest.fixture
def stuck(tmp_path):
    """A file system that never answers."""
    try:
        with unanswered(tmp_path / "stuck") as mounted:
            yield mounted
    except OSError as exc:
        pytest.skip(f"FUSE is needed: {exc}")


@pytest.mark.tries(10)
def test_f34_a_test_that_cannot_be_killed_is_a_leak_on_its_node_and_the_run_goes_on(lab, results, project, stuck):
    project(name="one", script=f"stat {stuck.place}/x\n", node="local", timeout=2, grace=1)
    folder = project(name="two", script=WRITES, node="node1")
    metadata = folder / "scenarios" / "two" / "metadata.yml"
    text = metadata.read_text().replace("node: local", "node: node1")
    metadata.write_text(text.replace("benchmark:", "benchmark:\n  client: script"))
    words = {"testcell_project_dir": folder, "scenario": "one,two"}
    try:
        with running_site(lab, results, **words) as process:
            stuck.wait_for_a_victim()
            process.wait(timeout=WITHIN_S)
        held = run_site(LOCAL, results.parent / "held", testcell_project_dir=folder, scenario="one")
    finally:
        stuck.free()
        lifted = run_command("cleanup", "--all", "--lift", "-i", LOCAL)
    assert_a_leak(Ended(process.returncode, (results.parent / "screen.txt").read_text(), newest(results)), stuck.place)
    refused = held.case()["failure"]
    assert (held.summary["exit_code"], refused["error_kind"], refused["node"]) == (5, "process_leak", "local")
    assert lifted.returncode == 0, lifted.stdout + lifted.stderr


def assert_a_leak(run, place):
    """The first case could not be cleaned up, which is told with the process; the second passed on another node."""
    one, two = run.summary["cases"]
    assert (one["verdict"], one["failure"]["error_kind"], two["verdict"]) == ("fail", "test_timeout", "pass"), (
        run.screen
    )
    assert run.summary["exit_code"] == 7 and "not clean: local;" in run.summary["reasons"][0]
    leaks = run.summary["cleaning"]["nodes"]["local"]["errors"]
    assert {entry["error_kind"] for entry in leaks} == {"process_leak"}
    assert f"stat {place}/x: ignores KILL in state D" in [entry["error"] for entry in leaks]
