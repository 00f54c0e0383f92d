# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.custom_order import (
    OrderEntry,
    in_order,
    order_problems,
)
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.model import Scenario

SMOKE = Scenario("smoke", Path("scenarios/1_smoke"))
OFF = Scenario("off", Path("scenarios/2_off"), Path("scenarios/2_off/metadata.yml"), enabled=False)


def test_order_is_that_of_the_entries():
    assert in_order([OrderEntry("off"), OrderEntry("gone"), OrderEntry("smoke")], [SMOKE, OFF]) == [OFF, SMOKE]


def test_disabled_scenario_in_the_order_is_a_warning_with_its_place():  # B39
    (problem,) = order_problems([OrderEntry("off", file="d.yaml", line=4, column=7)], [SMOKE, OFF])
    assert problem.severity == "warning"
    assert problem.render().startswith("d.yaml:4:7: warning: execution.custom_order: scenario 'off' is disabled in")


def test_entry_that_is_disabled_itself_is_fine():
    assert order_problems([OrderEntry("off", enabled=False)], [OFF]) == []


def test_unknown_name_is_named_with_near_ones():  # B39
    (problem,) = order_problems([OrderEntry("smoek", line=1)], [SMOKE])
    assert problem.suggestion == "smoke"
