# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import lookup
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.model import Scenario

A = Scenario("a", Path("s/001_a"))
B = Scenario("001_a", Path("s/002_b"))


def test_a_name_beats_the_name_of_a_folder():
    assert lookup.find("001_a", [A, B]) is B
    assert lookup.find("002_b", [A, B]) is B
    assert lookup.find("c", [A, B]) is None


def test_everything_that_find_answers_to_is_listed_once():
    assert lookup.callable_names([A, B]) == ["a", "001_a", "002_b"]
    assert lookup.is_one_of(A, ["001_a"]) and not lookup.is_one_of(A, ["b"])
