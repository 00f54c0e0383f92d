# SPDX-License-Identifier: MIT
"""Each kind of soak whose truth is known, once, and a part of the broken gates; bench/soak_gates.py has all."""

from __future__ import annotations

import pytest
import soak_cases
import soak_gates
import soak_mutants
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak import fit, gates

SEED = 5
EVERY = 30
READY = [soak_gates.Ready(case, case.world.evidence()) for case in soak_cases.cases(len(soak_cases.KINDS), SEED)]


@pytest.mark.parametrize("one", READY, ids=[one.case.kind for one in READY])
def test_the_gates_say_what_is_true(one):
    assert soak_gates.wrong(one, gates.judge) == ""


def test_the_copy_of_the_package_judges_as_the_package_does():
    copy = soak_mutants.loaded({})
    assert copy.judge is not gates.judge
    assert soak_gates.wrong_series(copy.slope) == soak_gates.wrong_series(fit.slope) == ""
    assert [soak_gates.wrong(one, copy.judge) for one in READY[::9]] == [""] * len(READY[::9])


def test_there_are_mutants_of_each_kind_in_each_module():
    made = soak_mutants.mutants()
    assert {one.module for one in made} == set(soak_mutants.BROKEN)
    for how in ("turned", "gone", "says always", "times as wide", "times 10", "times 0.1"):
        assert any(how in one.how for one in made), how


def test_broken_gates_are_noticed():
    """G2: a part of the mutants."""
    tried, noticing = soak_mutants.mutants()[::EVERY], soak_gates.Noticing(READY)
    assert [str(mutant) for mutant in tried if not noticing.notices(mutant)] == []
