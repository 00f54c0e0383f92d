# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ready step: quick believes that containers run, standard the services' checks, thorough only real tokens."""

from __future__ import annotations

from itertools import product
from typing import Any

from ...module_utils.cellload.complaints import kind_of_text
from ..verdict import kinds
from . import engine_life
from .cell import Cell, StepFailure
from .environment import base_url

PAIR_HEADER = "X-Testcell-Pair"
CANARY_TOKENS = 4
FIRST_PAUSE_S, PAUSE_GROWTH = 0.25, 2.0
PROMPT = "Say one word."
# How an engine refuses work that is ready by its own account.
NO_WORK = frozenset({"http_timeout", "http_reset", "http_5xx"})
# An engine that a question has killed breaks the connection a moment before the container is seen to have ended.
DEATH_SEEN_S = 0.5


def check(cell: Cell) -> dict[str, Any]:
    """Hold the deployed services against the case's strategy; the part that needs the API runs on the test node."""
    _still_running(cell)
    if cell.case.strategy != "thorough" or cell.node != cell.case.test.node or not cell.case.test.service:
        return {"strategy": cell.case.strategy}
    _expected_workers(cell)
    tokens = [_canary(cell, pair) for pair in _pairs(cell)]
    _compare_pairs(cell, tokens)
    cell.event(f"{len(tokens)} canary request(s) answered with tokens")
    return {
        "strategy": cell.case.strategy,
        "canaries": len(tokens),
        "slowest_ms": max(answer["ms"] for answer in tokens),
    }


def _still_running(cell: Cell, wait_s: float = 0.0) -> None:
    mine = [service.name for service in cell.case.services_on(cell.node) if service.serves]
    if not mine:
        return
    for entry in cell.client.call("watch", services=mine, wait_s=wait_s)["died"]:
        ended = StepFailure(
            entry.get("error_kind") or "container_exited",
            f"service {entry['service']} on {cell.node} ended with exit status {entry.get('exit_code')} after it had been ready",
            service=entry["service"],
            evidence=tuple(entry.get("log_tail") or ()),
        )
        raise engine_life.blamed(cell, ended)


def _expected_workers(cell: Cell) -> None:
    """Ask the router how many workers of each role it sees healthy, until the expected counts are there."""
    expected = cell.case.expected_roles
    if not expected:
        return
    answer = cell.client.call(
        "workers", url=f"{base_url(cell)}/workers", expected=expected, timeout_s=cell.case.canary_timeout_s
    )
    if not answer["ok"]:
        seen = ", ".join(f"{role} {answer['counts'].get(role, 0)} of {count}" for role, count in expected.items())
        raise StepFailure(
            "health_timeout",
            f"the router does not see the expected workers after {cell.case.canary_timeout_s} s: {seen}",
        )


def _pairs(cell: Cell) -> list[tuple[str, str] | None]:
    """Return every prefill x decode pair of the case, or [None] where the engine has no such roles."""
    roles = {role: [s.name for s in cell.case.services if s.role == role] for role in ("prefill", "decode")}
    return list(product(roles["prefill"], roles["decode"])) or [None]


def _canary(cell: Cell, pair: tuple[str, str] | None) -> dict[str, Any]:
    """Ask for one real token, through one pair where there are pairs, within the canary's time."""
    answer, asked = _patiently(cell, pair)
    through = f" through {pair[0]} and {pair[1]}" if pair else ""
    if not answer["ok"]:
        _still_running(cell, DEATH_SEEN_S)
        kind, again = _kind(answer), f" (asked {asked} times)" if asked > 1 else ""
        healthy = " although all services are ready" if kind == "engine_dead" else ""
        raise StepFailure(
            kind,
            f"no token came back{through}{again}{healthy}: {answer['error']}",
            evidence=tuple(answer.get("evidence", ())),
        )
    if asked > 1:
        warning = f"a token came back{through} only when asked {asked} times"
        cell.board.post(f"warning.canary.{'.'.join(pair or ('engine',))}", {"message": warning})
        cell.event(warning, level="warning")
    return {"pair": list(pair or ()), "ms": answer["ms"], "tokens": answer["tokens"], "text": answer["text"]}


def _kind(answer: dict[str, Any]) -> str:
    """Return what a bad answer says of an engine whose services are all ready: by its own words, else that it is dead."""
    kind = str(answer["error_kind"])
    return (kind_of_text(answer["error"]) or "engine_dead") if kind in NO_WORK else kind


def _patiently(cell: Cell, pair: tuple[str, str] | None) -> tuple[dict[str, Any], int]:
    """Return the answer to the question for a token and how often it was asked.

    A bad answer that may be better a moment later is asked for again, as often as the case allows and while its time lasts.
    """
    until, pause, asked = cell.clock() + cell.case.canary_timeout_s, FIRST_PAUSE_S, 1
    answer = _ask(cell, pair, cell.case.canary_timeout_s)
    while not answer["ok"] and asked <= cell.case.canary_retries and kinds.get(answer["error_kind"]).retriable:
        left = until - cell.clock() - pause
        if left <= 0:
            break
        cell.sleep(pause)
        answer, pause, asked = _ask(cell, pair, left), pause * PAUSE_GROWTH, asked + 1
    return answer, asked


def _ask(cell: Cell, pair: tuple[str, str] | None, timeout_s: float) -> dict[str, Any]:
    return cell.client.call(
        "canary",
        url=f"{base_url(cell)}{cell.case.test.path}",
        body=question(cell.case.test.path, str(cell.case.config.get("model", "default"))),
        headers={PAIR_HEADER: ",".join(pair)} if pair else {},
        timeout_s=timeout_s,
    )


def question(path: str, model: str) -> dict[str, Any]:
    """Return the body of a greedy request for a few tokens, in the form that the API at path takes."""
    asked = {"messages": [{"role": "user", "content": PROMPT}]} if "chat" in path else {"prompt": PROMPT}
    return {"model": model, **asked, "max_tokens": CANARY_TOKENS, "stream": False, "temperature": 0}


def _compare_pairs(cell: Cell, answers: list[dict[str, Any]]) -> None:
    """Warn when pairs answer one greedy prompt differently: a pair may work on the wrong KV without any error."""
    texts = {answer["text"] for answer in answers}
    if len(texts) > 1:
        told = "; ".join(f"{' and '.join(answer['pair'])}: {answer['text'][:40]!r}" for answer in answers)
        warning = f"the pairs answer the same greedy prompt differently: {told}"
        cell.board.post("warning.pairs", {"message": warning})
        cell.event(warning, level="warning")
