# SPDX-License-Identifier: MIT
"""Which services feel a fault, by what chaos.jsonl says of it."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.felt import felt

PLANNED = {"phase": "planned", "b": 0.0, "service": "a", "recovery_s": 30.0}


def course(*phases):
    """Return the lines of one event: (phase, seconds since boot) each, after its plan."""
    return [{"id": "x.0", **PLANNED}, *({"id": "x.0", "phase": phase, "b": at} for phase, at in phases)]


@pytest.mark.parametrize(
    ("phases", "now", "expected"),
    [
        ((), 10.0, []),
        ((("control", 9.0),), 10.0, []),
        ((("record", 9.0),), 10.0, ["a"]),
        ((("record", 9.0), ("injected", 9.1)), 10_000.0, ["a"]),
        ((("record", 9.0), ("undone", 20.0)), 49.9, ["a"]),
        ((("record", 9.0), ("undone", 20.0)), 50.1, []),
        ((("record", 9.0), ("undone", 20.0), ("recovered", 25.0)), 49.9, ["a"]),
        ((("record", 9.0), ("undone", 20.0), ("recovered", 25.0)), 50.1, []),
        ((("record", 9.0), ("undone", 20.0), ("recovered", 60.0)), 61.0, ["a"]),
        ((("record", 9.0), ("undone", 20.0), ("not_recovered", 140.0)), 143.0, []),
        ((("record", 9.0), ("not_applied", 15.0)), 16.0, ["a"]),
        ((("target_gone", 9.0),), 9.5, []),
    ],
)
def test_a_fault_is_felt_from_its_record_until_its_target_has_had_time_to_recover(phases, now, expected):
    assert felt(course(*phases), now) == expected


def test_a_fault_of_the_node_is_told_as_one_of_all_services():
    lines = [{"id": "d.0", "phase": "planned", "service": "", "b": 0.0}, {"id": "d.0", "phase": "record", "b": 1.0}]
    assert felt([*lines, *course(("record", 1.0))], 2.0) == ["", "a"]


def test_extra_load_is_aimed_at_no_service_and_excuses_no_death():
    lines = [
        {"id": "p.0", "kind": "pressure", "phase": phase, "service": "", "b": 1.0} for phase in ("planned", "record")
    ]
    assert felt(lines, 2.0) == []
    assert felt([*lines, *course(("record", 1.0))], 2.0) == ["a"]
