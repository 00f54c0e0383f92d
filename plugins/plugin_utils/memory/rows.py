# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run's folder as rows of the results database: what can be believed of its files, and what in them cannot, by line and key.

A file that is missing says nothing; one that is broken is named, and all the rest of the run is still taken.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..report.results import FINISHED, MAX_SUMMARY_BYTES, RUNNING, state_without_summary
from ..report.values import items, mapping, number, text
from ..run import journal, owner
from ..run.folder import RUN_ID, CaseRef
from ..verdict.names import VERDICTS
from ..verdict.strict_json import FileProblem, parse
from ._fields import Faults, Fields, clean
from .put import AttemptRows, Row, RunRows

MAX_EVENTS_BYTES = 64 * 1024 * 1024
MAX_CSV_BYTES = 16 * 1024 * 1024
# A link is not followed, and nothing that is no file keeps us waiting.
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
SUMMARY = "summary.json"
EVENTS = "events.jsonl"
INVALID = "invalid"
_EVENT = {"event": "", "host": "", "task": "", "status": "", "error_kind": ""}


class _Run(NamedTuple):
    """What is read of a run's folder before its attempts. summary and plan are {} where there is none to believe."""

    path: Path
    summary: Mapping[str, Any]
    plan: Mapping[str, Any]
    problems: Faults


def of_run(run_dir: Path, *, now: float, events: bool = True) -> RunRows:
    """Return the rows of a run, finished or not. events: also those of events.jsonl, else the ones recorded stay."""
    digest = digest_of(run_dir)  # before anything is read, so that what is written meanwhile is news
    run = _planned(run_dir)
    summary = _document(run, run_dir / SUMMARY)
    run = run._replace(summary=summary or {})
    attempts = tuple(_attempts(run))
    row = _run_row(run, now, digest, believed=summary is not None)
    return RunRows(
        run=row,
        attempts=attempts,
        nodes=tuple(_nodes(run)),
        events=tuple(_events(run)) if events else None,
        problems=tuple(run.problems),
        live=row["state"] == RUNNING or bool(owner.is_alive(_owner(run))),
    )


def opened(run_dir: Path, *, now: float) -> Row:
    """Return the row of a run that has just begun."""
    return _run_row(_planned(run_dir), now, digest_of(run_dir), believed=False)


def state_of(run_dir: Path, now: float) -> str:
    """Return the state of a run, by its files alone: finished, running or unfinished."""
    return _state(_planned(run_dir), now)


def _planned(run_dir: Path) -> _Run:
    """Return a run of which nothing but its plan is read."""
    run = _Run(run_dir, {}, {}, Faults())
    return run._replace(plan=_document(run, run_dir / "plan.json") or {})


def digest_of(run_dir: Path) -> str:
    """Return what tells a run from what it was: size and time of its summary or, without one, of its journal; no file is read."""
    for name in (SUMMARY, journal.NAME):
        try:
            facts = os.lstat(f"{run_dir}/{name}")
        except OSError:
            continue
        return f"{name} {facts.st_size} {facts.st_mtime_ns}"
    return ""


def host_of(plan: Mapping[str, Any]) -> str:
    """Return the host of the controller that decided a plan, "" when the plan does not tell."""
    found = owner.PATTERN.fullmatch(text(plan.get("owner")))
    return found["host"] if found else ""


def _document(run: _Run, path: Path) -> dict[str, Any] | None:
    """Return the JSON object of a file, None where there is none or it cannot be believed, which is noted."""
    content = _content(run, path, MAX_SUMMARY_BYTES)
    if content is None:
        return None
    document, faults = parse(content, str(path))
    run.problems.extend(faults)
    return document


def _content(run: _Run, path: Path, limit: int) -> bytes | None:
    """Return what a file holds, None where there is none; one that cannot be read, or is no file, is noted."""
    try:
        with open(os.open(path, FLAGS), "rb") as stream:
            facts = os.fstat(stream.fileno())
            if stat.S_ISREG(facts.st_mode) and facts.st_size <= limit:
                return stream.read(limit)
    except FileNotFoundError:
        return None
    except OSError as exc:
        why = "is a link, which is not followed" if exc.errno == errno.ELOOP else f"cannot be read: {exc.strerror}"
        run.problems.append(FileProblem(str(path), 0, "", why))
        return None
    is_file = stat.S_ISREG(facts.st_mode)
    why = f"has {facts.st_size} bytes, over the limit of {limit} bytes" if is_file else "is no file"
    run.problems.append(FileProblem(str(path), 0, "", why))
    return None


def _run_row(run: _Run, now: float, digest: str, *, believed: bool) -> dict[str, Any]:
    path = run.path / SUMMARY
    fields = Fields(run.summary, path, run.problems)
    state = _state(run, now)
    run_id = run.path.name if RUN_ID.fullmatch(run.path.name) else text(run.summary.get("run_id")) or run.path.name
    host, began = host_of(run.plan), number(run.plan.get("started_at"))
    verdict = fields.choice("verdict", VERDICTS) if believed else ""
    return {
        "key": f"{run_id}@{host}",
        "run_id": run_id,
        "host": host,
        "path": str(run.path.absolute()),
        "state": state,
        "verdict": verdict or (INVALID if state == FINISHED else ""),
        "exit_code": fields.count("exit_code"),
        "control_ok": Fields(fields.mapping("control"), path, run.problems, ("control",)).flag("ok"),
        "started_at": began if began is not None else fields.moment("started_at"),
        "ended_at": fields.moment("ended_at"),
        "seconds": fields.seconds("seconds"),
        "digest": digest,
    }


def _state(run: _Run, now: float) -> str:
    if (run.path / SUMMARY).is_file():
        return FINISHED
    return state_without_summary(_owner(run), _last_written(run.path), now)


def _owner(run: _Run) -> str:
    return text(run.plan.get("owner"))


def _last_written(run_dir: Path) -> float:
    """Return when something of a run was last written, in Unix seconds."""
    found = [0.0]
    for path in (run_dir, run_dir / journal.NAME, run_dir / EVENTS):
        try:
            found.append(path.lstat().st_mtime)
        except OSError:
            continue
    return max(found)


def _attempts(run: _Run) -> Iterator[AttemptRows]:
    """Yield the attempts that the summary tells of, or without one those that have a result of their own."""
    path = run.path / SUMMARY
    listed = Fields(run.summary, path, run.problems).listed("cases") if run.summary else None
    if listed is None:
        yield from _attempts_on_disk(run)
        return
    seen = set()
    for index, entry in enumerate(listed):
        found = _attempt(run, Fields(entry, path, run.problems, ("cases", index)))
        if found is not None and found[0] not in seen:
            seen.add(found[0])
            yield found[1]


def _attempts_on_disk(run: _Run) -> Iterator[AttemptRows]:
    for ref in _planned_attempts(run):
        path = ref.folder(run.path) / "result_summary.json"
        document = _document(run, path)
        if document is not None:
            found = _attempt(
                run,
                Fields(
                    {**document, "scenario": ref.scenario, "case": ref.case, "attempt": ref.attempt}, path, run.problems
                ),
            )
            if found is not None:
                yield found[1]


def _planned_attempts(run: _Run) -> Iterator[CaseRef]:
    """Yield the attempts that a plan tells of; names that would lead out of the run's folder are left out."""
    for case in items(run.plan.get("cases")):
        ref = mapping(mapping(case).get("ref"))
        names, attempt = (ref.get("scenario"), ref.get("case")), ref.get("attempt")
        if all(isinstance(name, str) for name in names) and isinstance(attempt, int) and not isinstance(attempt, bool):
            found = CaseRef(clean(str(names[0])), clean(str(names[1])), attempt)
            if found.scenario and _inside(found.folder(Path())):
                yield found


def _inside(relative: Path) -> bool:
    return not relative.is_absolute() and ".." not in relative.parts


def _attempt(run: _Run, fields: Fields) -> tuple[CaseRef, AttemptRows] | None:
    """Return an attempt and what names it, None when nothing does. One that holds a fault is never a pass."""
    before = len(run.problems)
    scenario, case, attempt = fields.word("scenario"), fields.words("case"), fields.count("attempt", least=1)
    if scenario is None or case is None or attempt is None:
        return None
    ref = CaseRef(scenario, case, attempt)
    folder = ref.folder(Path())
    if not _inside(folder):
        fields.refuse("scenario", "leads out of the run's folder")
        return None
    facts = _facts(run, folder)
    row = _outcome(run, fields, facts)
    labels = {
        clean(key): clean(value if isinstance(value, str) else json.dumps(value))
        for key, value in fields.mapping("labels").items()
    }
    seconds = row["seconds"]
    began = facts.moment("started_at")
    row |= {
        "attempt": attempt,
        "started_at": began,
        "ended_at": _run_ended(run) if began is None or seconds is None else began + seconds,
        "path": folder.as_posix(),
    }
    failure = Fields(fields.mapping("failure"), fields.path, run.problems, (*fields.at, "failure"))
    metrics = tuple(_figures(run, fields, run.path / folder / "performance_results.csv"))
    if len(run.problems) > before:
        row |= _unbelievable(row, run.problems[before])
    return ref, AttemptRows(
        case={
            "scenario": clean(scenario),
            "name": clean(case),
            "labels": json.dumps(labels, sort_keys=True, ensure_ascii=False),
        },
        row=row,
        labels=labels,
        nodes=tuple(clean(node) for node in items(facts.data.get("nodes")) if isinstance(node, str)),
        evidence=tuple(clean(line) for line in items(failure.data.get("evidence")) if isinstance(line, str)),
        metrics=metrics,
        revision=_revision(facts),
    )


def _run_ended(run: _Run) -> float | None:
    """Return the end of a run for an attempt that has no times of its own, as one that was skipped has none."""
    return Fields(run.summary, run.path / SUMMARY, Faults()).moment("ended_at")


def _revision(facts: Fields) -> str:
    """Return one short name for the images of all services, "" where not each of them is known."""
    services = [mapping(service) for service in items(facts.data.get("services"))]
    images = sorted(f"{text(one.get('name'))}={text(one.get('image_id'))}" for one in services)
    if not images or any(image.endswith("=") for image in images):
        return ""
    return hashlib.sha256("\n".join(images).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _facts(run: _Run, folder: Path) -> Fields:
    path = run.path / folder / "test_metadata.json"
    return Fields(_document(run, path) or {}, path, run.problems)


def _outcome(run: _Run, fields: Fields, facts: Fields) -> dict[str, Any]:
    """Return what an attempt ended in, as columns."""
    control, result, failure = (
        Fields(fields.mapping(name), fields.path, run.problems, (*fields.at, name))
        for name in ("control", "result", "failure")
    )
    verdict = fields.choice("verdict", VERDICTS) or INVALID
    oks = {"control": control.flag("ok"), "result": result.flag("ok")}
    if verdict == "pass" and False in oks.values():
        wrong = " and ".join(f"{name}.ok" for name, ok in oks.items() if ok is False)
        fields.refuse("verdict", f"is 'pass' beside {wrong} false; a pass needs both")
    reasons = [clean(reason) for reason in items(fields.data.get("reasons")) if isinstance(reason, str)]
    return {
        "verdict": verdict,
        **{f"{name}_ok": ok for name, ok in oks.items()},
        **{name: failure.words(name) or "" for name in ("error_kind", "owner", "step", "node", "service", "rule")},
        "message": failure.words("message") or next(iter(reasons), ""),
        "retriable": failure.flag("retriable"),
        "during_fault": _during_fault(failure),
        "seconds": fields.seconds("seconds"),
    }


def _during_fault(failure: Fields) -> bool | None:
    """Return whether a fault was active: its name is told, "" for none; None where nothing is known."""
    told = failure.data.get("during_fault")
    return bool(told) if isinstance(told, str) else failure.flag("during_fault")


def _unbelievable(row: Row, problem: FileProblem) -> dict[str, Any]:
    """Return what becomes of an attempt whose files hold a fault: no pass, and the fault as its failure where it has none."""
    verdict = INVALID if row["verdict"] == "pass" else row["verdict"]
    if row["error_kind"]:
        return {"verdict": verdict}
    why = {"error_kind": "result_invalid", "owner": "test", "retriable": False, "step": "report"}
    return {"verdict": verdict, "message": clean(problem.render()), **why}


def _figures(run: _Run, fields: Fields, path: Path) -> Iterator[tuple[str, float, str]]:
    """Yield name, value and unit of each figure: the headline of the summary, then what only the table has."""
    headline = Fields(fields.mapping("metrics"), fields.path, run.problems, (*fields.at, "metrics"))
    seen = set()
    for key in headline.data:
        value, name = headline.amount(key), clean(key)
        if value is not None and name not in seen:
            seen.add(name)
            yield name, value, _unit(name)
    for name, value, unit in _table(run, path):
        if name not in seen:
            seen.add(name)
            yield name, value, unit


def _unit(name: str) -> str:
    if "_ms_" in name:
        return "ms"
    return {"output_tokens_per_s": "tokens/s", "requests_per_s": "requests/s"}.get(name, "requests")


def _table(run: _Run, path: Path) -> Iterator[tuple[str, float, str]]:
    """Yield the figures of performance_results.csv; a row that is none is noted by its line."""
    content = _content(run, path, MAX_CSV_BYTES)
    if not content:
        return
    reader = csv.DictReader(io.StringIO(content.decode("utf-8", "backslashreplace"), newline=""))
    try:
        if not {"metric", "value"} <= set(reader.fieldnames or ()):
            run.problems.append(FileProblem(str(path), 1, "", "has no columns `metric` and `value`"))
            return
        for row in reader:
            written = row.get("value") or ""
            if not written:
                continue
            value = _amount(written)
            if value is None or not row.get("metric"):
                what = f"is {written[:40]!r}; expected a finite number from 0"
                run.problems.note_line(path, reader.line_num, "value", what)
                continue
            statistic = row.get("statistic") or "value"
            name = row["metric"] if statistic == "value" else f"{row['metric']}_{statistic}"
            yield clean(name), value, clean(row.get("unit") or "")
    except csv.Error as exc:
        run.problems.append(FileProblem(str(path), reader.line_num, "", f"is not CSV: {exc}"))


def _amount(written: str) -> float | None:
    try:
        value = number(float(written))
    except ValueError:
        return None
    return value if value is not None and value >= 0 else None


def _nodes(run: _Run) -> Iterator[Row]:
    """Yield the nodes of a run: whether each was left clean, and what is known of it."""
    verify, addresses = mapping(run.summary.get("verify")), mapping(run.plan.get("addresses"))
    planned = [node for case in items(run.plan.get("cases")) for node in items(mapping(case).get("nodes"))]
    there = {clean(node): node for node in (items(run.summary.get("nodes")) or planned) if isinstance(node, str)}
    for name, node in there.items():
        said = mapping(verify.get(node)).get("clean")
        facts = {"address": addresses[node]} if isinstance(addresses.get(node), str) else {}
        yield {
            "node": name,
            "clean": said if isinstance(said, bool) else None,
            "facts": json.dumps(facts, sort_keys=True),
        }


def _events(run: _Run) -> Iterator[Row]:
    """Yield the events of a run; a last line that was cut short is left out."""
    path = run.path / EVENTS
    content = _content(run, path, MAX_EVENTS_BYTES)
    for index, line in enumerate(io.BytesIO(content or b"")):
        found = _parsed(line)
        row = event_row(found) if isinstance(found, dict) else None
        if row is not None:
            yield row
        elif line.endswith(b"\n") and line.strip():
            run.problems.note_line(path, index + 1, "", "is no event")


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def event_row(event: Mapping[str, Any]) -> Row | None:
    """Return an event as columns, None when it has no time or no name. A play's name stands as its task."""
    moment, name = number(event.get("t")), event.get("event")
    if moment is None or not isinstance(name, str):
        return None
    words = {key: clean(value) for key in _EVENT if isinstance(value := event.get(key), str)}
    named = {"task": clean(event["name"])} if isinstance(event.get("name"), str) else {}
    return {**_EVENT, "t": float(moment), "seconds": number(event.get("seconds")), **named, **words}
