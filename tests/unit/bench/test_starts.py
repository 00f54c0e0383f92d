# SPDX-License-Identifier: MIT
"""What two controllers were told is judged: overlaps are counted, and a node that nobody got or an epoch that stays is no success."""

from __future__ import annotations

import pytest
from starts import Start, figure

LOST = Start(False, True, 0, 0.0)


def won(epoch, alone=True):
    return Start(True, alone, epoch, 0.0)


@pytest.mark.parametrize(
    ("told", "overlaps", "nobody", "holds"),
    [
        pytest.param([(won(1), LOST), (LOST, won(2))], 0, 0, True, id="one-each-time"),
        pytest.param([(won(1), LOST), (won(2), won(3))], 1, 0, False, id="both"),
        pytest.param([(won(1, alone=False), LOST)], 1, 0, False, id="the-witness-was-there"),
        pytest.param([(won(1), LOST), (LOST, LOST)], 0, 1, False, id="nobody"),
        pytest.param([(won(2), LOST), (LOST, won(2))], 0, 0, False, id="an-epoch-twice"),
    ],
)
def test_f11_what_was_told_is_judged(told, overlaps, nobody, holds):
    line = figure("C3", told, 1.0, seed=1)
    assert (line["value"], line["by_nobody"], line["holds"]) == (overlaps, nobody, holds)
