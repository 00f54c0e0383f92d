# SPDX-License-Identifier: MIT
"""Two controllers at the same moment: one gets the node, whether it is free or its lease is just running out."""

from __future__ import annotations

import pytest
import starts


@pytest.mark.parametrize(
    ("rounds", "one"),
    [pytest.param(200, starts.start, id="F11-starts"), pytest.param(30, starts.take_over, id="F12-take-overs")],
)
def test_two_controllers_never_overlap(rounds, one):
    line = starts.figure("C3", *starts.race(rounds, 1, one), seed=1)
    assert line["holds"], line
    assert line["rounds"] == rounds == sum(line["held_by"].values())
