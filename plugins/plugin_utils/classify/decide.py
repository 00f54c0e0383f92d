# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says what went wrong: from facts, then from probes, then from text; the earliest specific cause wins.

classify("ssh: connect to host node1 port 22: Connection refused").error_kind     # ssh_refused
classify(facts=Facts(state=inspected["State"]), text=log)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..verdict import kinds
from . import facts as facts_of
from . import normal
from .facts import Fact, Facts
from .rules import Rules, level, own
from .stream import MOST_LINES, Hit, Scan, Scanner, best

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Result:
    """What went wrong. rule: the rule or fact that says so, "" for unknown; during_fault: the fault that was active.

    tier: how much the rule or fact says; calm: the logger itself calls the line no error.
    """

    error_kind: str
    retriable: bool
    owner: str
    node: str = ""
    service: str = ""
    evidence: tuple[str, ...] = ()
    rule: str = ""
    hint: str = ""
    during_fault: str = ""
    tier: str = ""
    calm: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        found = {**asdict(self), "evidence": list(self.evidence)}
        return {key: value for key, value in found.items() if key not in ("tier", "calm")}


def classify(
    text: str | bytes = "",
    *,
    facts: Facts | None = None,
    probes: Sequence[Fact] = (),
    rules: Rules | None = None,
    during_fault: str = "",
) -> Result:
    """Return what went wrong by all that is known. probes: what was found out after the failure, by looking."""
    return decide(scan(text, rules or own()), facts=facts, probes=probes, during_fault=during_fault)


def scan(text: str | bytes, rules: Rules) -> Scan:
    """Return what a text shows."""
    scanner = Scanner(rules)
    scanner.feed(text.encode("utf-8", "replace") if isinstance(text, str) else text)
    return scanner.finish()


def decide(seen: Scan, *, facts: Facts | None = None, probes: Sequence[Fact] = (), during_fault: str = "") -> Result:
    """Return what went wrong by a text that has been read, and by what else is known."""
    known = (*(facts_of.read(facts) if facts else ()), *probes)
    hit = best(seen.hits)
    fact = min(known, key=lambda one: level(one.tier), default=None)
    if fact and (hit is None or level(fact.tier) <= hit.level):
        return _of_fact(fact, hit, during_fault)
    if hit is None:
        return _result(UNKNOWN, evidence=seen.telling, during_fault=during_fault)
    return _result(
        hit.kind,
        retriable=hit.retriable,
        node=hit.node,
        service=hit.service,
        evidence=_evidence(hit, seen.hits),
        rule=hit.rule.id,
        tier=hit.rule.tier,
        calm=hit.calm,
        hint=hit.rule.hint,
        during_fault=during_fault,
    )


def _of_fact(fact: Fact, hit: Hit | None, during_fault: str) -> Result:
    """Return the result of a fact, with the line that says the same where there is one."""
    same = hit if hit is not None and hit.kind == fact.kind else None
    evidence = (fact.text, *((normal.shown(same.text),) if same else ()))
    hint = same.rule.hint if same else ""
    return _result(
        fact.kind, evidence=evidence, rule=f"fact-{fact.name}", tier=fact.tier, hint=hint, during_fault=during_fault
    )


def _evidence(chosen: Hit, hits: Iterable[Hit]) -> tuple[str, ...]:
    """Return the line that decided, and the next lines that say the same."""
    others = (hit for hit in hits if hit.kind == chosen.kind and hit.line > chosen.line)
    lines = dict.fromkeys(normal.shown(hit.text) for hit in (chosen, *others))
    return tuple(lines)[:MOST_LINES]


def _result(kind: str, *, retriable: bool | None = None, **more: Any) -> Result:
    entry = kinds.get(kind)
    return Result(entry.name, entry.retriable if retriable is None else retriable, entry.owner, **more)
