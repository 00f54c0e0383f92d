# SPDX-License-Identifier: MIT
"""Facts for analysis and decisions, written as a line of words: `pass`, `engine_dead@n1`, `ssh_timeout@n2+` ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import facts
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import kinds

NOW = 1_700_000_000.0
HOUR, DAY = 3600.0, 86_400.0
NODES = ("n1", "n2", "n3", "n4")
BARE = ("pass", "flaky", "cancelled", "skipped")
TESTED = ("engine", "test")


def attempt(word: str, at: float, run: str = "") -> facts.Attempt:
    """Return an attempt from a word: verdict or error kind, `@NODE` where it ran (n1), `+` for one of maintenance, `/REVISION`."""
    word, ours = word.removesuffix("+"), word.endswith("+")
    word, _, revision = word.partition("/")
    name, _, node = word.partition("@")
    used = (node or "n1",)
    if name in BARE:
        return facts.Attempt(at, run or f"r{at:.0f}", name, nodes=used, revision=revision, seconds=60.0, by_upkeep=ours)
    kind = kinds.get(name)
    verdict = "fail" if kind.owner in TESTED and kind.group != "input" else "error"
    blamed = used[0] if kind.owner in ("node", "network") else ""
    return facts.Attempt(
        at, run or f"r{at:.0f}", verdict, name, kind.owner, kind.retriable, blamed, used, revision, "", 60.0, ours
    )


def case(words: str, number: int = 1, *, last: float = NOW - HOUR, every: float = DAY, **more: Any) -> facts.Case:
    """Return a case with these attempts, one a day, the last an hour ago; those of maintenance come a minute after the one before."""
    seen: list[facts.Attempt] = []
    texts = words.split()
    at = last - every * sum(not text.endswith("+") for text in texts[1:])
    for text in texts:
        if seen:
            at += 60.0 if text.endswith("+") else every
        seen.append(attempt(text, at))
    if seen:
        shift = last - seen[-1].at
        seen = [facts.Attempt(**{**fields(one), "at": one.at + shift}) for one in seen]
    named: dict[str, Any] = {
        "scenario": "s",
        "name": f"c{number}",
        "labels": {"model": "m"},
        "wanted": True,
        "movable": True,
    }
    return facts.Case(number, counts=counts(seen), recent=tuple(seen), typical_s=60.0, **{**named, **more})


def fields(value: Any) -> dict[str, Any]:
    """Return the fields of a value that has slots."""
    return {name: getattr(value, name) for name in type(value).__dataclass_fields__}


def counts(seen: Sequence[facts.Attempt], fresh: float = NOW - DAY) -> tuple[facts.Count, ...]:
    """Return how often attempts ended in each verdict."""
    found = []
    for verdict in dict.fromkeys(one.verdict for one in seen):
        times = [one.at for one in seen if one.verdict == verdict]
        before = [at for at in times if at < fresh]
        found.append(facts.Count(verdict, len(times), len(times) - len(before), max(times), max(before, default=None)))
    return tuple(found)


def known(
    *cases: facts.Case,
    nodes: Mapping[str, facts.Node] | None = None,
    effort: facts.Effort | None = None,
    now: float = NOW,
) -> facts.Facts:
    """Return facts of these cases on four nodes of which nothing is known."""
    here = {name: facts.Node(name) for name in NODES} | dict(nodes or {})
    return facts.Facts(cases, here, effort or facts.Effort(), now, now - 30 * DAY, now - DAY)
