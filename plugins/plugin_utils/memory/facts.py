# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the memory of all tests knows of each case and each node, as values that analysis and decisions take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# What an engine answered; everything else is no answer of an engine.
BELIEVED = frozenset({"pass", "fail", "flaky"})
# Nobody tried, or somebody ended it: there is nothing to learn from these but that an answer is missing.
NOT_TRIED = frozenset({"cancelled", "skipped"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. at: Unix time of its end. node: whom the failure blames; nodes: all that it used.

    run: the key of its run. revision: what was tested, as far as it is known: "" where nothing is. by_upkeep: maintenance
    started it.
    """

    at: float
    run: str
    verdict: str
    kind: str = ""
    owner: str = ""
    retriable: bool = False
    node: str = ""
    nodes: tuple[str, ...] = ()
    revision: str = ""
    step: str = ""
    seconds: float = 0.0
    by_upkeep: bool = False

    @property
    def believed(self) -> bool:
        """Return whether the engine gave an answer that may be believed."""
        return self.verdict in BELIEVED


@dataclass(frozen=True, slots=True)
class Count:
    """How often a case ended in one verdict within the window. fresh: in its newest part; last: Unix time of the newest.

    last_before: of the newest that is older than the newest part, None for none.
    """

    verdict: str
    count: int
    fresh: int
    last: float
    last_before: float | None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A case that is known to be unsteady. Times are Unix times; it ends by itself at until."""

    owner: str
    reason: str
    since: float
    until: float
    lifted_at: float | None = None

    def holds(self, now: float) -> bool:
        """Return whether it is in force."""
        return self.lifted_at is None and self.since <= now < self.until


@dataclass(frozen=True, slots=True)
class Case:
    """One case. wanted: its scenario asks for it; None where no project was ever looked at for its scenario.

    counts: its verdicts within the window. recent: its newest attempts, oldest first, where they are worth a look.
    pinned: nodes that its scenario names, so that it cannot be moved away from them; movable: it may run elsewhere.
    changed_at: Unix time of the last change of its scenario, 0 where that is not known. typical_s: how long an attempt takes.
    here: its scenario is in this project and can be read, so that it can be run.
    """

    id: int
    scenario: str
    name: str
    labels: Mapping[str, str]
    wanted: bool | None = None
    counts: tuple[Count, ...] = ()
    recent: tuple[Attempt, ...] = ()
    quarantine: Quarantine | None = None
    pinned: tuple[str, ...] = ()
    movable: bool = False
    changed_at: float = 0.0
    typical_s: float = 0.0
    here: bool = True

    @property
    def title(self) -> str:
        """Return the name shown to people and taken by `run --case`."""
        return f"{self.scenario}/{self.name}" if self.name else self.scenario

    @property
    def expected(self) -> bool:
        """Return whether a result is expected: the case is wanted, or nobody knows better and it has been run."""
        return bool(self.wanted) or (self.wanted is None and bool(self.counts))

    @property
    def answer(self) -> str:
        """Return the newest believed verdict within the window, "" where there is none."""
        return newest((count.verdict, count.last) for count in self.counts if count.verdict in BELIEVED)

    @property
    def last_verdict(self) -> str:
        """Return the verdict of the newest attempt within the window, "" for a case that was not run."""
        return newest((count.verdict, count.last) for count in self.counts)

    def answer_before(self) -> str:
        """Return the newest believed verdict before the newest part of the window, "" where there is none."""
        known = [(c.verdict, c.last_before) for c in self.counts if c.verdict in BELIEVED]
        return newest((verdict, at) for verdict, at in known if at is not None)

    def fresh_answer(self) -> str:
        """Return the newest believed verdict of the newest part of the window, "" where there is none."""
        return newest((c.verdict, c.last) for c in self.counts if c.verdict in BELIEVED and c.fresh)

    def passes_and_answers(self) -> tuple[int, int]:
        """Return how many believed answers there are, and how many of them are passes, the passes first."""
        answers = sum(count.count for count in self.counts if count.verdict in BELIEVED)
        return sum(count.count for count in self.counts if count.verdict == "pass"), answers

    @property
    def last_at(self) -> float | None:
        """Return the Unix time of the newest attempt within the window."""
        return max((count.last for count in self.counts), default=None)


@dataclass(frozen=True, slots=True)
class Node:
    """One node in the newest part of the window. failed, passed: how many different cases did so on it, without the reruns of
    maintenance, which are chosen by their failures. passed_since: how many passed there after the newest failure, in any run.

    Times are Unix times, 0 for never. last_blamed: of the newest failure that says the node itself is broken. usable: it is in
    the inventory and may be given a case.
    """

    name: str
    failed: int = 0
    passed: int = 0
    last_pass: float = 0.0
    last_failure: float = 0.0
    last_blamed: float = 0.0
    passed_since: int = 0
    usable: bool = True


@dataclass(frozen=True, slots=True)
class Effort:
    """What maintenance has spent. run_s: run key -> seconds of the run itself; reruns_s: -> of reruns for it.

    day_s, day_reruns: of all reruns within the last 24 hours.
    """

    run_s: Mapping[str, float] = field(default_factory=dict)
    reruns_s: Mapping[str, float] = field(default_factory=dict)
    day_s: float = 0.0
    day_reruns: int = 0


@dataclass(frozen=True)
class Facts:
    """All that is known. now: Unix time; window_from, fresh_from: from when on attempts count, and count as new."""

    cases: Sequence[Case]
    nodes: Mapping[str, Node]
    effort: Effort
    now: float
    window_from: float
    fresh_from: float


def newest(moments: Iterable[tuple[str, float]]) -> str:
    """Return the word with the latest moment, "" for none. moments: pairs of a word and a Unix time."""
    found = max(moments, key=lambda pair: pair[1], default=("", 0.0))
    return found[0]
