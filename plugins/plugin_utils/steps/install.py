# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What prep installs on request: what the node lacks, and what became of the installation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..node.packages import COMPOSE, ENGINE
from ..problems import escape
from .cell import Cell
from .lease import ttl_s

LIMIT_S = 900
LONGEST_REASON = 500
NOTHING: Mapping[str, Any] = {"parts": [], "engine_vendor": "", "root": False, "limit_s": LIMIT_S}
_PASSWORD = re.compile(r"(?<=://)[^/\s@]+@")  # of a mirror


def find_missing(cell: Cell) -> dict[str, Any]:
    """Return what the node lacks for its part of the case, as in NOTHING; empty when it lacks nothing or has no services.

    Where something is missing, the lease is made long enough for installing it.
    """
    if not cell.case.services_on(cell.node):
        return {}
    facts = cell.client.call("facts", paths=[], deep=True)
    parts = lacks(facts)
    if not parts:
        return {}
    cell.event(f"lacks {' and '.join(parts)}; installing")
    cell.client.call("lease", action="renew", ttl_s=ttl_s(cell, LIMIT_S))
    vendor = "Docker" if str(facts["engine"].get("platform", "")).startswith("Docker") else ""
    return {"parts": parts, "engine_vendor": vendor, "root": facts["uid"] == 0}


def lacks(facts: Mapping[str, Any]) -> list[str]:
    """Return which of engine and Compose are not on the node. An engine that is there and does not answer is not absent.

    Beside such an engine Compose does not count either: it would be installed for a case that cannot run.
    """
    engine = facts["engine"]
    absent = not engine.get("installed", True) and engine.get("error_kind") == "docker_daemon_down"
    if not engine["ok"] and not absent:
        return []
    return [*([] if engine["ok"] else [ENGINE]), *([] if facts["compose"] else [COMPOSE])]


def note(
    cell: Cell, packages: Sequence[str], result: Mapping[str, Any], lists: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Keep what became of the installation for prep and the report, and give the lease its own length back.

    result: that of the last task, which failed, could not reach the node, or installed the packages. lists: that of
    bringing the package lists up to date, which may have failed without harm.
    """
    outcome = {"packages": [], "changed": False, **kept(cell), "error": _reason(result)}
    if not outcome["error"]:
        outcome.update(packages=[str(name) for name in packages], changed=bool(result.get("changed")))
    elif lists and lists.get("msg"):
        outcome["error"] += f"; before that, the package lists: {_reason({**lists, 'failed': True})}"
    cell.board.post(f"install.{cell.node}", outcome)
    message = f"{told(outcome)}; whatever was installed stays there"
    cell.event(message, level="warning")
    cell.board.post(f"warning.install.{cell.node}", {"message": f"{cell.node}: {message}"})
    cell.client.call("lease", action="renew", ttl_s=ttl_s(cell))
    return outcome


def kept(cell: Cell) -> dict[str, Any]:
    """Return what is kept of an installation on the node: packages, changed and error; empty when nothing was tried."""
    return cell.board.read(f"install.{cell.node}") or {}


def told(outcome: Mapping[str, Any]) -> str:
    """Return in words what became of the installation."""
    names, parts = ", ".join(outcome["packages"]), []
    if names:
        parts.append(
            f"installed {names} with what it depends on" if outcome["changed"] else f"{names} is installed already"
        )
    if outcome["error"]:
        parts.append(f"installing what is missing failed: {outcome['error']}")
    return "; ".join(parts)


def _reason(result: Mapping[str, Any]) -> str:
    """Return why a task failed in one line, "" when it did not.

    Some managers have their reasons in a list of their own; what a missing sudo says is only in the module's errors.
    """
    if not (result.get("failed") or result.get("unreachable")):
        return ""
    parts = [result.get("msg"), *(result.get("failures") or ()), result.get("module_stderr")]
    parts += ["the package manager may go on there"] if result.get("unreachable") else []
    text = "; ".join(" ".join(str(part).split()).rstrip(":") for part in parts if part)
    return escape(_PASSWORD.sub("(not shown)@", text))[:LONGEST_REASON] or "no reason was given"
