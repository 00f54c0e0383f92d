# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reruns in batches: which cases share a run, and the script that runs them all by hand."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from .decisions import RERUNS, Decision

SCRIPT = "auto_retest_incomplete.sh"
# By this line a script of an earlier call is known, and may be written over.
MARK = "# Written by `testcell retest`."

_HEAD = f"""#!/bin/sh
{MARK} Runs what is incomplete, and ends with the code of the first run that did not pass.
# Give -i and further options of `testcell run` as arguments: ./{SCRIPT} -i inventories/nodes.ini
# The variable TESTCELL names another program than the one that wrote this.
set -u
cd {{project}} || exit 5
[ -n "${{{{TESTCELL:-}}}}" ] || TESTCELL={{program}}
worst=0
again() {{{{
  "$TESTCELL" run "$@"
  code=$?
  [ "$worst" -ne 0 ] || worst=$code
  case $code in 129|130|143) exit "$code" ;; esac
}}}}
"""


def first(decisions: Sequence[Decision], size: int) -> list[Decision]:
    """Return the most important reruns that can share a run: at most so many, all with the same nodes to avoid."""
    reruns = [one for one in decisions if one.action in RERUNS]
    return [one for one in reruns if one.avoid == reruns[0].avoid][:size]


def split(decisions: Sequence[Decision], size: int) -> list[list[Decision]]:
    """Return all reruns as batches, the most important first."""
    left = [one for one in decisions if one.action in RERUNS]
    found = []
    while batch := first(left, size):
        found.append(batch)
        taken = {one.case.id for one in batch}
        left = [one for one in left if one.case.id not in taken]
    return found


def arguments(batch: Sequence[Decision]) -> list[str]:
    """Return the arguments of `testcell run` for a batch."""
    scenarios = dict.fromkeys(one.case.scenario for one in batch)
    words = [*scenarios, *(word for one in batch for word in ("--case", one.case.title))]
    return [*words, "--limit", ",".join(["all", *(f"!{node}" for node in batch[0].avoid)])] if batch[0].avoid else words


def script(
    batches: Sequence[Sequence[Decision]], project: str, options: Sequence[str], program: str = "testcell"
) -> str:
    """Return a shell script that runs the batches one after the other.

    options: of `testcell run`, for each of them; program: what runs them, since the shell of a timer has no path to it.
    """
    lines = [_HEAD.format(project=shlex.quote(project), program=shlex.quote(program))]
    for number, batch in enumerate(batches, 1):
        lines.append(f"\n# {number} of {len(batches)}\n")
        lines += [f"# {_line(one)}\n" for one in batch]
        lines.append(f'again {shlex.join([*arguments(batch), *options])} "$@"\n')
    return "".join([*lines, '\nexit "$worst"\n'])


def _line(decision: Decision) -> str:
    """Return why a case is run, in one line without what a shell or a terminal could take for more."""
    text = f"{decision.case.title}: {decision.reason}"
    return "".join(char if char.isprintable() else "?" for char in text)
