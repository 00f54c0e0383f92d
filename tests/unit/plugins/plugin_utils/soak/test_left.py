# SPDX-License-Identifier: MIT
"""What a soak has left, read from the files of its nodes and of its load client."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import gates, left
from soakfiles import settings_of, write_load, write_node


@pytest.fixture
def soak(tmp_path):
    """Return a function that reads what lies in tmp_path: a node n1 with a service, and its load, unless told otherwise."""

    def read(*, nodes=("n1",), loads=1, ended="complete", **changed):
        for node in nodes:
            write_node(tmp_path, node)
        paths = [write_load(tmp_path / f"load{n}" / "soak_windows.jsonl") for n in range(loads)]
        services = {"n1": ("a",)}
        asked = left.Asked(settings_of(**changed), (), tmp_path, services, paths, "n1", ended)
        return left.read(asked)

    return read


def judged(found):
    return gates.judge(found.evidence, left.limits(settings_of(), chaos=False))


def test_a_soak_that_went_well_passes(soak):
    found = soak()
    assert found.problems == ()
    assert (found.evidence.lasted_s, found.evidence.planned_s) == (60.0, 60.0)
    assert judged(found).verdict == "pass", judged(found).reasons


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"nodes": ()}, "sampling"),
        ({"loads": 0}, "load"),
        ({"loads": 2}, "load"),
        ({"ended": "the test was killed"}, "cut short"),
    ],
    ids=["G01-no-samples", "G01-no-load", "two-loads", "G07-cut-short"],
)
def test_what_is_missing_is_never_a_pass(soak, how, word):
    said = judged(soak(**how))
    assert said.verdict == "no_data"
    assert any(word in f"{gate.name} {gate.why}" for gate in said.gates if gate.verdict == "no_data"), said.reasons


def test_windows_that_cannot_be_read_are_named(soak, tmp_path):
    write_load(tmp_path / "load0" / "soak_windows.jsonl")
    path = tmp_path / "bad" / "soak_windows.jsonl"
    path.parent.mkdir()
    path.write_text("{}\n")
    write_node(tmp_path)
    found = left.read(left.Asked(settings_of(), (), tmp_path, {"n1": ("a",)}, [path], "n1"))
    assert found.evidence.windows == []
    assert "soak_windows.jsonl" in str(found.problems[0])
    assert judged(found).verdict == "no_data"


def test_only_a_soak_with_faults_can_be_a_negative_control():
    found = [left.limits(settings_of(negative_control=True), chaos=chaos).negative_control for chaos in (True, False)]
    assert found == [True, False]


def test_a_service_is_asked_for_its_reports_on_its_own_node(soak):
    report = {
        "service": "a",
        "path": "r/*.json",
        "progress": "h",
        "checks": {"total": "t", "failed": "f", "reasons": "r"},
    }
    other = {"service": "elsewhere", "path": "r/*.json"}
    (asked,) = soak(reports=(report, other)).evidence.reports
    assert (asked.node, asked.service, asked.times) == ("n1", "a", ())
    assert (asked.progress, asked.network, asked.checks, asked.reasons) == (True, False, True, True)
