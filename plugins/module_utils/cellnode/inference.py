# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions to a running engine: one real token within a deadline, and the workers its router sees."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

from .context import Context

STEP_S = 0.25
BODY_LIMIT = 1 << 20


def canary(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Ask for a completion and count its tokens: {ok, tokens, ms, text, error_kind, error}.

    args: url, body (JSON), headers, timeout_s. 200 without a token is engine_dead: the answer must hold real work.
    """
    began = ctx.clock.monotonic()
    answer = _ask(args["url"], float(args["timeout_s"]), args.get("body"), args.get("headers") or {})
    elapsed = round((ctx.clock.monotonic() - began) * 1000, 1)
    if answer["error"]:
        return {"ok": False, "tokens": 0, "ms": elapsed, **answer}
    tokens = count_tokens(answer["body"])
    if tokens < 1:
        return {
            "ok": False,
            "tokens": 0,
            "ms": elapsed,
            "error_kind": "engine_dead",
            "error": f"200 without a token: {_short(answer['body'])}",
        }
    return {"ok": True, "tokens": tokens, "ms": elapsed, "text": text_of(answer["body"])[:200]}


def workers(ctx: Context, args: dict[str, Any]) -> dict[str, Any]:
    """Wait until the router at args.url sees args.expected (role -> count) healthy workers: {ok, counts}."""
    deadline = ctx.clock.monotonic() + float(args["timeout_s"])
    counts: dict[str, int] = {}
    while True:
        answer = _ask(args["url"], 5.0, None, {})
        counts = count_workers(answer["body"]) if not answer["error"] else {}
        if all(counts.get(role, 0) >= wanted for role, wanted in args["expected"].items()):
            return {"ok": True, "counts": counts}
        if ctx.clock.monotonic() > deadline:
            return {"ok": False, "counts": counts, "error": answer["error"]}
        ctx.clock.sleep(STEP_S)


def count_tokens(body: Any) -> int:
    """Return the completion tokens of an OpenAI-style answer: by `usage`, else 1 for any text, else 0."""
    if not isinstance(body, dict) or "error" in body:
        return 0
    usage = body.get("usage")
    if isinstance(usage, dict) and isinstance(usage.get("completion_tokens"), int):
        return int(usage["completion_tokens"])
    return 1 if text_of(body) else 0


def text_of(body: Any) -> str:
    """Return the text of the first choice of an OpenAI-style answer, "" when there is none."""
    choices = body.get("choices") or [{}]
    return str(choices[0].get("text") or (choices[0].get("message") or {}).get("content") or "")


def count_workers(body: Any) -> dict[str, int]:
    """Return role -> number of healthy workers of a router's list: {role: [{healthy: bool, ...}, ...]}."""
    if not isinstance(body, dict):
        return {}
    lists = {role: entries for role, entries in body.items() if isinstance(entries, list)}
    return {
        role: sum(1 for entry in entries if isinstance(entry, dict) and entry.get("healthy"))
        for role, entries in lists.items()
    }


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would send the question to a host that nobody named."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Follow nothing."""


def _ask(url: str, timeout_s: float, body: Any, headers: Mapping[str, str]) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json", **headers})
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_s) as reply:
            return {"error": "", "error_kind": "", "body": json.loads(reply.read(BODY_LIMIT))}
    except urllib.error.HTTPError as exc:
        return {"error": f"HTTP {exc.code}: {_short(exc.read(400))}", "error_kind": status_kind(exc.code), "body": None}
    except (OSError, http.client.HTTPException, ValueError) as exc:
        return {"error": f"{type(exc).__name__}: {exc}", "error_kind": network_kind(exc), "body": None}


def status_kind(status: int) -> str:
    """Return the error kind of an HTTP status that is no success."""
    if status in (429, 503):
        return "overloaded"
    if 300 <= status < 400:
        return "request_blocked"
    return "http_5xx" if status >= 500 else "http_4xx"


def network_kind(exc: BaseException) -> str:
    """Return the error kind of a failed exchange, by the type of its cause."""
    cause = getattr(exc, "reason", exc)
    if isinstance(cause, TimeoutError):
        return "http_timeout"
    if isinstance(cause, ConnectionRefusedError):
        return "http_refused"
    if isinstance(cause, (ConnectionError, http.client.HTTPException)):
        return "http_reset"
    if isinstance(cause, ValueError):
        return "response_invalid"
    return "http_reset"


def _short(body: Any) -> str:
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else json.dumps(body)
    return text[:200]


OPS: dict[str, Callable[[Context, dict[str, Any]], dict[str, Any]]] = {"canary": canary, "workers": workers}
