# SPDX-License-Identifier: MIT
"""The crash sweep's own logic: in which step a kill came, and which step it wants next."""

from __future__ import annotations

import pytest
from crash_sweep import FAULTS, Tally, step_of


def entry(step, phase, scenario="first"):
    return {"step": step, "phase": phase, "scenario": scenario}


OPEN = entry("open", "event")
VERIFIED = entry("verify", "end")


@pytest.mark.parametrize(
    ("journal", "nodes", "step"),
    [
        pytest.param([], 1, "opening", id="nothing-yet"),
        pytest.param([{"step": "resume", "phase": "begin"}], 1, "opening", id="goes-on"),
        pytest.param([OPEN, entry("lease", "begin")], 1, "lease", id="begun"),
        pytest.param([OPEN, entry("prep", "end")], 1, "prep", id="just-ended"),
        pytest.param([OPEN, VERIFIED], 2, "verify", id="one-of-two-nodes"),
        pytest.param([OPEN, VERIFIED, VERIFIED], 2, "report", id="all-nodes"),
        pytest.param([OPEN, VERIFIED, VERIFIED, OPEN, VERIFIED], 2, "verify", id="the-same-case-begun-again"),
        pytest.param([OPEN, VERIFIED, entry("verify", "end", "second")], 2, "verify", id="another-case"),
    ],
)
def test_the_step_of_a_kill_follows_from_the_journal(journal, nodes, step):
    assert step_of(journal, nodes) == step


def test_every_step_is_wanted_until_it_was_hit():
    tally = Tally()
    for _ in range(len(FAULTS)):
        tally.count(tally.kills, tally.wanted(0))
    assert tally.kills == dict.fromkeys(FAULTS, 1)
    tally.kills["upload"] = 0
    assert tally.wanted(0) == "upload"
    assert tally.wanted(len(FAULTS)) == ""
