# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dependency graph of services: start order, level batches, cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError as _CycleError
from graphlib import TopologicalSorter


class CycleError(ValueError):
    """Services that wait for each other. cycle: the names in order, the first one again at the end."""

    def __init__(self, cycle: Sequence[str]) -> None:
        super().__init__(f"services wait for each other: {' -> '.join(cycle)}")
        self.cycle = tuple(cycle)


def batches(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the services in level batches (Kahn); each service stands once, after all it needs.

    needs: service -> services it needs. Inside a batch the order of needs is kept. Raise CycleError naming one cycle.
    """
    rank = {name: position for position, name in enumerate(needs)}
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except _CycleError as exc:
        raise CycleError(list(reversed(exc.args[1]))) from None
    levels = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=lambda name: rank.get(name, len(rank)))
        levels.append(ready)
        sorter.done(*ready)
    return levels


def startable(needs: Mapping[str, Sequence[str]], started: frozenset[str], ready: frozenset[str]) -> list[str]:
    """Return the services not yet started whose needs are all ready, in the order of needs."""
    return [name for name, wants in needs.items() if name not in started and ready.issuperset(wants)]


def blocked_by(needs: Mapping[str, Sequence[str]], failed: frozenset[str]) -> dict[str, str]:
    """Return, for each service that can never start, the failed service it waits for, directly or through others."""
    blame: dict[str, str] = {}
    for level in batches(needs):
        for name in level:
            for want in needs.get(name, ()):
                if want in failed:
                    blame.setdefault(name, want)
                elif want in blame:
                    blame.setdefault(name, blame[want])
    return {name: culprit for name, culprit in blame.items() if name not in failed}
