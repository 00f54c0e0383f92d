# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a deployment that is over was waiting for: its real critical path, slack, and the time lost to limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import graph


@dataclass(frozen=True)
class Moments:
    """When a service could have started, started and became ready, in seconds from any one zero; None: never.

    needs: the services it waited for.
    """

    needs: tuple[str, ...] = ()
    runnable_s: float | None = None
    started_s: float | None = None
    ready_s: float | None = None


@dataclass(frozen=True)
class Course:
    """How a deployment went. names: its critical path in start order; seconds: from the path's beginning to its end.

    slack_s: by how much each ready service could have been later without the end being later. lost_s: how long each
    started one waited for a slot; of those on the path, lost_on_path_s in all.
    """

    names: tuple[str, ...]
    seconds: float
    slack_s: dict[str, float]
    lost_s: dict[str, float]
    lost_on_path_s: float


def course(moments: Mapping[str, Moments]) -> Course:
    """Return how a deployment went; services that never became ready are on no path and have no slack.

    Needs that are no service or never became ready are passed over. Raise CycleError when services need each other.
    """
    ready = {name: one.ready_s for name, one in moments.items() if one.ready_s is not None}
    needs = {name: [want for want in moments[name].needs if want in ready] for name in ready}
    names = _path(needs, ready)
    lost = {name: waited for name, one in moments.items() if (waited := _waited(one)) is not None}
    return Course(
        names=names,
        seconds=ready[names[-1]] - _begin(moments[names[0]]) if names else 0.0,
        slack_s=_slack(needs, ready),
        lost_s=lost,
        lost_on_path_s=sum(lost.get(name, 0.0) for name in names),
    )


def _path(needs: Mapping[str, list[str]], ready: Mapping[str, float]) -> tuple[str, ...]:
    """Walk back from the service that was ready last, each time to the one need that was ready last."""
    graph.batches(needs)  # a ring has no beginning to walk back to
    names: list[str] = []
    choice = list(ready)
    while choice:
        names.append(max(choice, key=ready.__getitem__))
        choice = needs[names[-1]]
    return tuple(reversed(names))


def _slack(needs: Mapping[str, list[str]], ready: Mapping[str, float]) -> dict[str, float]:
    """Return the slack of each ready service, if all those after it wait and take as long as they did."""
    end = max(ready.values(), default=0.0)
    spare = {name: end - moment for name, moment in ready.items()}
    for name in (name for level in reversed(graph.batches(needs)) for name in level):
        gate = max((ready[want] for want in needs[name]), default=0.0)
        for want in needs[name]:
            spare[want] = min(spare[want], spare[name] + gate - ready[want])
    return spare


def _waited(one: Moments) -> float | None:
    """Return how long a service that could start was held back, None when that is not known."""
    if one.started_s is None or one.runnable_s is None:
        return None
    return max(0.0, one.started_s - one.runnable_s)


def _begin(one: Moments) -> float:
    """Return when the service's part of a path begins: when it could have started, as far as known."""
    known = (moment for moment in (one.runnable_s, one.started_s, one.ready_s) if moment is not None)
    return next(known)
