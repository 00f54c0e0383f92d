# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The series of a soak by their names, and when the processes of services began anew."""

from __future__ import annotations

from collections.abc import Sequence

from .model import GPU, REPORT, SERVICE, Series
from .trust import fault_of, known

# A start is told in whole seconds by some engines.
SAME_START_S = 1.0
NODE = "node"
STARTED, RUNNING, RESTARTS = "started", "running", "restarts"
LIFE = (STARTED, RUNNING, RESTARTS)


class Shelf:
    """Finds series by node, subject and metric."""

    def __init__(self, series: Sequence[Series]) -> None:
        self._by_name = {(one.node, one.subject, one.metric): one for one in series}

    def get(self, node: str, subject: str, metric: str) -> Series | None:
        """Return a series, None where there is none or nothing in it was ever read."""
        found = self._by_name.get((node, subject, metric))
        return found if found and any(value is not None for value in found.values) else None

    def of(self, node: str, subject: str) -> list[Series]:
        """Return all series of a subject."""
        return [one for (at, of, _), one in self._by_name.items() if (at, of) == (node, subject)]

    def gpus(self, node: str) -> list[str]:
        """Return the subjects that are GPUs of a node, in order."""
        return sorted({of for at, of, _ in self._by_name if at == node and of.startswith(GPU)})

    def reasons(self, node: str, service: str) -> dict[str, Series]:
        """Return the counters of failures by reason that a service reports."""
        found = self.of(node, REPORT + service)
        return {one.metric.removeprefix("reason:"): one for one in found if one.metric.startswith("reason:")}

    def times(self, node: str) -> set[float]:
        """Return when anything of a node was sampled: of itself, its services and GPUs."""
        found: set[float] = set()
        for (at, of, _), one in self._by_name.items():
            if at == node and (of == NODE or of.startswith((SERVICE, GPU))):
                found.update(t for t, value in zip(one.times, one.values, strict=False) if value is not None)
        return found

    def restarts(self, node: str, service: str) -> list[float]:
        """Return when a service was first seen with another start than before."""
        one = self.get(node, SERVICE + service, STARTED)
        if one is None or fault_of(one):
            return []
        pairs = known(one, 0.0, float("inf")).pairs()
        return [
            at for (_, before), (at, now) in zip(pairs, pairs[1:], strict=False) if abs(now - before) > SAME_START_S
        ]
