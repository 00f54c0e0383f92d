# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which cases the scenarios of a project ask for, where they may run, and when a scenario was last changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import sqlalchemy as sa

from ..deploy.placement import AUTO
from ..scenario import matrix
from ..scenario.model import Scenario
from . import put, texts
from .queries import Wanted, pairs
from .store import Store, database


def of_scenarios(scenarios: Iterable[Scenario]) -> dict[tuple[str, str], Wanted]:
    """Return the cases of the enabled scenarios by scenario and name."""
    return {
        (case.scenario, case.id): _wanted(scenario, case)
        for scenario in scenarios
        if scenario.enabled
        for case in matrix.expand(scenario)
    }


def _wanted(scenario: Scenario, case: matrix.Case) -> Wanted:
    places = [service.node for service in scenario.services]
    named = {*places, scenario.test.node} - {AUTO, "local"}
    return Wanted(
        scenario.name,
        case.id,
        dict(case.labels),
        tuple(sorted(named)),
        AUTO in places,
        float(scenario.estimated_duration_s or 0),
    )


def digest_of(folder: Path) -> str:
    """Return a digest of all files of a scenario, by name and content; links are taken by where they lead."""
    whole = hashlib.sha256()
    for above, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = Path(above) / name
            whole.update(f"{path.relative_to(folder)}\0".encode(errors="backslashreplace"))
            whole.update(os.readlink(path).encode() if path.is_symlink() else _content(path))
    return whole.hexdigest()


def touched_at(folder: Path) -> float:
    """Return when something in a scenario was changed last on this machine (Unix time), whatever times its files were given.

    A run between that and the first look at it has had the files as they are.
    """
    return max(os.lstat(Path(above) / name).st_ctime for above, _, files in os.walk(folder) for name in (".", *files))


def _content(path: Path) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def note(store: Store, scenarios: Sequence[Scenario], broken: Sequence[str] = ()) -> dict[tuple[str, str], Wanted]:
    """Write down which cases are wanted and which scenarios have changed, where that is news; return what is wanted.

    broken: scenarios that cannot be read; their cases stay as they were.
    """
    wanted = of_scenarios(scenarios)
    digests = {scenario.name: digest_of(scenario.directory) for scenario in scenarios}
    with store.read() as connection:
        known = _known(connection)
        before = pairs(connection, "SELECT scenario, digest FROM scenario_changes")
    keep = {*broken, *({scenario for scenario, _ in known} - {s.name for s in scenarios} if broken else ())}
    ours = {*before, *digests} - keep  # of a scenario that this project never had nobody knows whether it is wanted
    now_wanted = {key: key in wanted for key in {*known, *wanted} if key in wanted or key[0] in ours}
    news = {key: asked for key, asked in now_wanted.items() if known.get(key) != asked}
    changed = {name: digest for name, digest in digests.items() if before.get(name) != digest}
    if news or changed:
        # A scenario that is seen for the first time has not been changed since any attempt.
        moments = {s.name: touched_at(s.directory) if s.name in before else 0.0 for s in scenarios if s.name in changed}
        store.transact(lambda connection: _write(connection, news, changed, moments, wanted, store.clock()))
    return wanted


def _known(connection: sa.Connection) -> dict[tuple[str, str], bool | None]:
    """Return the cases there are, with whether they are wanted, None where nobody has said so yet."""
    text = "SELECT c.scenario, c.name, e.wanted FROM cases c LEFT JOIN expected e ON e.case_id = c.id"
    rows = connection.execute(sa.text(text))
    return {(scenario, name): None if asked is None else bool(asked) for scenario, name, asked in rows}


def _write(
    connection: sa.Connection,
    news: dict[tuple[str, str], bool],
    changed: dict[str, str],
    moments: dict[str, float],
    wanted: dict[tuple[str, str], Wanted],
    now: float,
) -> None:
    plain = database(connection)
    for (scenario, name), asked in sorted(news.items()):
        labels = wanted[(scenario, name)].labels if asked else {}
        row = {"scenario": scenario, "name": name, "labels": json.dumps(labels, sort_keys=True, ensure_ascii=False)}
        number = put.put_case(plain, row, labels) if asked else _number(connection, scenario, name)
        plain.run(texts.upsert("expected"), {"case_id": number, "wanted": int(asked), "since": now})
    for scenario, digest in sorted(changed.items()):
        at = min(now, moments[scenario])
        plain.run(texts.upsert("scenario_changes"), {"scenario": scenario, "digest": digest, "changed_at": at})


def _number(connection: sa.Connection, scenario: str, name: str) -> int:
    text = sa.text("SELECT id FROM cases WHERE scenario = :scenario AND name = :name")
    return int(connection.execute(text, {"scenario": scenario, "name": name}).scalar_one())
