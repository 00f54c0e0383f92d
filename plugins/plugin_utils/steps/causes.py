# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cause behind a failure that only says that something ended, where it is clear: by a look at the node, then by the logs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..classify import decide, stream
from ..classify import rules as rules_of
from ..classify.decide import Result
from ..classify.facts import Fact, Facts
from ..classify.rules import GENERIC, SPECIFIC, SYMPTOM, Rules
from ..classify.stream import Scan
from ..report.escape import log_line, one_line
from ..run.plan import CasePlan
from ..verdict import kinds, verdicts
from ..verdict.failure import Failure
from ..verdict.verdicts import CaseVerdict
from .script import LOG

# Kinds that say that something ended, or was not ready, and not why.
OF_SERVICES = frozenset(
    {
        "container_exited",
        "service_died",
        "service_flapping",
        "service_unhealthy",
        "health_timeout",
        "engine_dead",
        "engine_start_failed",
    }
)
OF_THE_TEST = frozenset({"test_failed", "bench_failed"})
# Kinds that say how the test ended: what it wrote last tells more.
ENDS_OF_THE_TEST = OF_THE_TEST | {"test_timeout", "bench_no_data"}
LAST_LINES = 5
LAST_BYTES = 16 << 10
# Of words of the engine or of Compose that the node does not know; the rules know more of them.
UNNAMED = "unknown"
# What a service's log may tell of. Its refused or late requests are not among it: services ask each other before all are up.
TOLD_BY_SERVICES = frozenset({"node", "docker", "engine"})
TOLD_BY_THE_TEST = TOLD_BY_SERVICES | {"http", "test"}
PIECE_BYTES = 1 << 20
# Of a longer log the beginning and the end are read.
HALF_BYTES = 4 << 20


def of_gpus(before: Mapping[str, Any], now: Mapping[str, Any] | None) -> tuple[Fact, ...]:
    """Return what a look at a node's GPUs after the failure says. before: its facts; now: {cards, error}, None without a look."""
    if now is None:
        return ()
    error = [] if before.get("gpu_error") else [str(now["error"])]
    cards = {card["uuid"]: card for card in now["cards"]}
    faults = [
        f"GPU {card['index']} ({card['name']}) reports {card['fault']}" for card in cards.values() if card["fault"]
    ]
    gone = [
        f"GPU {card['index']} ({card['name']}, {card['uuid']}) was there before and is not any more"
        for card in before.get("gpus") or ()
        if card["uuid"] not in cards
    ]
    said = [text for text in (*error, *faults, *(gone if not now["error"] else ())) if text]
    return tuple(Fact("gpu_fault", SPECIFIC, text, "gpus") for text in said)


def refine(
    decided: CaseVerdict,
    case: CasePlan,
    case_dir: Path,
    *,
    rules: Callable[[], Rules] = rules_of.own,
    probes: Mapping[str, Sequence[Fact]] = MappingProxyType({}),
) -> CaseVerdict:
    """Return the verdict with the cause as its failure, where that only wraps one and the files of the case tell it.

    A failure whose words nobody has named yet is named by the rules. Where nothing tells why a test ended as it did, its
    last lines stand beside it.

    The verdict never gets better by it: it stays, or becomes that of the cause where this is graver. rules: loads them.
    probes: node -> what was seen there after the failure.
    """
    found = decided.failure
    if found is not None and found.error_kind == UNNAMED:
        return _named(decided, found, rules())
    if found is not None and found.error_kind in OF_SERVICES | OF_THE_TEST:
        for node, service, result in _told(found, case, case_dir, rules(), probes):
            if _is_cause(found, result):
                return _by(decided, found, replace(result, node=node, service=service))
    if found is not None and found.error_kind in ENDS_OF_THE_TEST and not found.evidence:
        return replace(decided, failure=replace(found, evidence=_last_lines(case_dir / LOG)))
    return decided


def _last_lines(path: Path) -> tuple[str, ...]:
    """Return the last lines of a log that say something, as they come to stand on a screen; of one that is not there none."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LAST_BYTES))
            lines = log.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ()
    return tuple(filter(None, map(log_line, lines)))[-LAST_LINES:]


def _named(decided: CaseVerdict, found: Failure, rules: Rules) -> CaseVerdict:
    """Return the verdict with the kind that the failure's own words have by the rules, where they have one."""
    scanner = stream.Scanner(rules)
    scanner.feed("\n".join((found.message, *found.evidence)).encode())
    result = decide.decide(scanner.finish())
    if result.tier not in (SPECIFIC, SYMPTOM, GENERIC) or result.calm:
        return decided
    told = replace(
        found,
        error_kind=result.error_kind,
        owner=result.owner,
        retriable=result.retriable,
        rule=result.rule,
    )
    return _graver(decided, found, told)


def _told(
    found: Failure, case: CasePlan, case_dir: Path, rules: Rules, probes: Mapping[str, Sequence[Fact]]
) -> Iterator[tuple[str, str, Result]]:
    """Yield what each file says that may tell of the cause, and whose it is."""
    if found.error_kind in OF_THE_TEST:
        for node, seen_there in sorted(probes.items()):
            if seen_there:
                yield node, "", decide.decide(stream.Scanner(rules).finish(), probes=seen_there)
        yield found.node, "", decide.decide(_scan(case_dir / LOG, rules))
        return
    for service in case.services:
        if found.service in ("", service.name):
            base = case_dir / "nodes" / service.node / "services" / service.name
            seen = _scan(base.with_name(f"{service.name}.log"), rules)
            yield (
                service.node,
                service.name,
                decide.decide(
                    seen,
                    facts=_facts(base.with_name(f"{service.name}.inspect.json")),
                    probes=probes.get(service.node, ()),
                ),
            )


def _scan(path: Path, rules: Rules) -> Scan:
    """Return what a log shows, by its beginning and its end; a log that is not there shows nothing."""
    scanner = stream.Scanner(rules)
    try:
        with path.open("rb") as log:
            size = log.seek(0, 2)
            for start, end in ((0, min(size, HALF_BYTES)), (max(HALF_BYTES, size - HALF_BYTES), size)):
                log.seek(start)
                for at in range(start, end, PIECE_BYTES):
                    scanner.feed(log.read(min(PIECE_BYTES, end - at)))
    except OSError:
        return Scan((), ())
    return scanner.finish()


def _facts(path: Path) -> Facts | None:
    """Return what the engine said about a container; None where nothing of it came home."""
    try:
        records: Any = json.loads(path.read_bytes())
        return Facts(state=dict(records[0]["State"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _is_cause(found: Failure, result: Result) -> bool:
    """Tell whether a result is clear and says more than the failure, of things that such a file can tell of."""
    told = TOLD_BY_THE_TEST if found.error_kind in OF_THE_TEST else TOLD_BY_SERVICES
    kind = kinds.get(result.error_kind)
    if kind.name in OF_SERVICES | OF_THE_TEST | {"cancelled"} or kind.group not in told:
        return False
    # what a service says of a Docker engine that comes and goes is not said of ours
    return result.tier in (SPECIFIC, SYMPTOM) and not result.calm and not (kind.group == "docker" and kind.retriable)


def _by(decided: CaseVerdict, found: Failure, result: Result) -> CaseVerdict:
    cause = Failure(
        error_kind=result.error_kind,
        message=f"{found.message} ({found.error_kind}); its cause: {one_line(result.evidence[0])}",
        step=found.step,
        node=result.node or found.node,
        service=result.service or found.service,
        owner=result.owner,
        retriable=result.retriable,
        evidence=tuple(dict.fromkeys((*result.evidence, *found.evidence))),
        at=found.at,
        during_fault=found.during_fault,
        rule=result.rule,
    )
    return _graver(decided, found, cause)


def _graver(decided: CaseVerdict, found: Failure, cause: Failure) -> CaseVerdict:
    """Return the verdict with cause in the place of found; it stays, or becomes that of the cause where this is graver."""
    reasons = tuple(cause.message if reason == found.message else reason for reason in decided.reasons)
    if found.error_kind in verdicts.CONCLUSIONS:
        return replace(decided, failure=cause, reasons=reasons)
    verdict = min((decided.verdict, verdicts.of_failure(cause)), key=verdicts.GRAVITY.index)
    control_ok = decided.control_ok and verdict != "error"
    return replace(decided, verdict=verdict, control_ok=control_ok, failure=cause, reasons=reasons)
