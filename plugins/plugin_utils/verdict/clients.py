# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The seam between benchmark clients and the verdict: a registry of readers, each giving the normal form.

A client is an adapter, never a dependency: whatever ran on the node left files, a reader turns them into `Measured`,
and the verdict knows nothing else. To add a client, write a function with the signature of Reader that

* finds its own files below the folder it is given (the collected artifacts of one attempt), following no link,
* converts them to the summary and the request records of docs/reference/metrics.md, with null for what that client
  does not measure, and stamps both with run_id, case and attempt as its files prove them,
* puts every fault of the files into `problems` (file, line, key) instead of raising,

and enter it in CLIENTS. A client that measures nothing (`script`) has no benchmark: its result paths are all there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from . import validity
from .normal import Judgement, Limits, Measured
from .reading import outputs_of, read_testcell


class ClientError(ValueError):
    """A client that nobody registered."""


class Reader(Protocol):
    """Read what a client left."""

    def __call__(self, folder: Path, result_paths: Sequence[str]) -> Measured:
        """Return the normal form of the files below folder; result_paths are relative to it."""


@dataclass(frozen=True)
class Client:
    """One kind of benchmark client. benchmark: it leaves a benchmark, so that one without is no result."""

    name: str
    read: Reader
    benchmark: bool = True


def read_script(folder: Path, result_paths: Sequence[str]) -> Measured:
    """Return what a test without a benchmark left: its result paths and their sizes."""
    return Measured("script", outputs=outputs_of(folder, result_paths))


CLIENTS: Mapping[str, Client] = {
    "testcell": Client("testcell", read_testcell),
    "script": Client("script", read_script, benchmark=False),
}


def get(name: str) -> Client:
    """Return the client of this name; raise ClientError with the known names for any other."""
    if name not in CLIENTS:
        raise ClientError(f"unknown benchmark client {name!r}; known: {', '.join(CLIENTS)}")
    return CLIENTS[name]


def judge(
    measured: Measured,
    spec: Limits,
    *,
    run_id: str,
    case: str,
    attempt: int,
    script_exit: int | None,
    wanted: int | None = None,
    not_before: float | None = None,
) -> Judgement:
    """Decide about what a client left, by its benchmark or, where that client has none, by script and result paths."""
    if not get(measured.client).benchmark:
        return validity.judge_outputs(measured, script_exit)
    return validity.judge(
        measured.benchmark,
        measured.requests,
        spec,
        run_id=run_id,
        case=case,
        attempt=attempt,
        wanted=wanted,
        not_before=not_before,
        problems=measured.problems,
        lines=measured.lines,
    )
