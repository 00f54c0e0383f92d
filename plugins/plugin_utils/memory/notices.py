# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person is told besides the cases: scenarios and nodes to look at, and what was in the way of many cases and has gone by."""

from __future__ import annotations

from collections.abc import Sequence

from .decisions import moment
from .facts import Facts
from .sickness import MENDED
from .surroundings import Disturbance, Surroundings

# Clocks of two controllers may differ by this much.
CLOCK_S = 300.0


def notices(facts: Facts, around: Surroundings, unreadable: Sequence[str] = ()) -> list[str]:
    """Return a line for each broken node, and for each disturbance within the newest part of the window, the newest last.

    unreadable: scenarios that cannot be read; one line for each of them comes first. Results that are dated ahead of now
    are told in one line.
    """
    shared = sorted(around.disturbances.values(), key=lambda one: one.at)
    return [
        *(
            f"scenario {name} cannot be read, so its cases are taken as they were; next: testcell validate"
            for name in unreadable
        ),
        *_of_results_ahead(facts),
        *(_of_node(name, at, facts) for name, at in sorted(around.broken.items())),
        *(_of_disturbance(one) for one in shared if one.at >= facts.fresh_from),
    ]


def _of_results_ahead(facts: Facts) -> list[str]:
    """Return what is to be said of results that were written by a clock that was ahead: until then they stay the newest."""
    ahead = [(case.last_at, case.title) for case in facts.cases if (case.last_at or 0.0) > facts.now + CLOCK_S]
    if not ahead:
        return []
    at, title = max(ahead)
    return [
        f"{len(ahead)} case(s) have a result dated ahead of now, {title} one of {moment(at)}: until then it counts as the "
        "newest and hides what comes after it; check the controller's clock, `testcell results show` lists the run"
    ]


def _of_node(name: str, at: float, facts: Facts) -> str:
    node = facts.nodes[name]
    counts = f"{node.failed} case(s) failed there and {node.passed} passed, the last failure at {moment(at)}"
    return f"node {name} is taken for broken: {counts}; look at it, cases are kept from it until {MENDED} pass there or a day has passed"


def _of_disturbance(one: Disturbance) -> str:
    where = f", all on {', '.join(one.nodes)}" if one.nodes else ""
    count = f"{one.passed_again} cases failed alike ({one.kind}) until {moment(one.at)}{where}, and passed again with nothing changed"
    return f"run {one.run.partition('@')[0]}: {count}; they are not called flaky for it, look for what was in their way"
