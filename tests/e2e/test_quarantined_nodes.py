# SPDX-License-Identifier: MIT
"""A node that a run leaves dirty is not given to the next one, until somebody says that it is right again."""

from __future__ import annotations

import json

import pytest
from cellruns import LAB_INVENTORY, on_node, run_command, run_site

pytestmark = pytest.mark.docker

# A network of the run's own label with a stranger's container in it cannot be removed, and the stranger is not touched.
STRANGER = (
    'network=$(docker network ls -q --filter "label=testcell.run=$TESTCELL_RUN_ID" | head -1); '
    'env -i /usr/bin/docker run -d --name stranger --network "$network" --entrypoint sleep testcell/engine-sim:1 600'
)
LOAD = 'exec "$TESTCELL_LOAD" --config "$SCENARIO_PATH/test_config.json" --out "$SCENARIO_RESULT_PATH"\n'


def test_a_dirty_node_is_quarantined_until_it_is_lifted(lab, results, project):
    folder = project(script=f"{STRANGER} >/dev/null\n", node="node1")
    metadata = folder / "scenarios" / "probe" / "metadata.yml"
    metadata.write_text(metadata.read_text().replace("node: local", "node: node1"))
    try:
        first = run_site(lab, results, testcell_project_dir=folder, scenario="probe")
        assert first.summary["exit_code"] == 7, first.screen
        assert "no run gets it for 24 h" in first.screen
        assert "node1 needed emergency cleaning" in first.screen
        cleaned = first.summary["cleaning"]
        assert (cleaned["total"]["emergency_passes"], cleaned["nodes"]["node1"]["errors"] != []) == (1, True)
        assert cleaned["total"]["containers"] >= 1 and "1 emergency pass" in first.file("test_report.md")
        left = json.loads(first.file("result_summary.json"))["verify"]["node1"]["leftovers"]
        assert ("network", first.folder.name) in {(entry["type"], entry["owner"]) for entry in left}
        assert on_node("node1", "docker ps -q --filter name=stranger").strip(), "a stranger's container is not touched"
        second = run_site(lab, results, testcell_project_dir=folder, scenario="probe")
        failure = second.case()["failure"]
        assert (failure["error_kind"], failure["node"]) == ("cleanup_failed", "node1"), second.screen
        assert f"since run {first.folder.name}" in failure["message"]
        health = json.loads(run_command("health", "-i", LAB_INVENTORY, "--format", "json").stdout)
        said = {node["name"]: [p for p in node["problems"] if p["what"] == "quarantine"] for node in health["nodes"]}
        assert [name for name, problems in said.items() if problems] == ["node1"]
    finally:
        on_node("node1", "docker rm -f stranger")
    lifted = run_command("cleanup", "--all", "--lift", "-i", LAB_INVENTORY)
    assert lifted.returncode == 0, lifted.stdout + lifted.stderr
    (folder / "scenarios" / "probe" / "run_test.sh").write_text(f"#!/bin/sh\n{LOAD}")
    third = run_site(lab, results, testcell_project_dir=folder, scenario="probe")
    assert third.summary["verdict"] == "pass", third.screen
