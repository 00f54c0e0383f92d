# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""junit.xml: one test case a case, so that any CI shows the verdicts."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping
from typing import Any

from .escape import visible
from .reasons import account, labels, leftovers, title, why
from .summary import case_folder, shown_cases
from .values import items, mapping, moment, number, text

# What each verdict is to JUnit; a flaky or unbelievable case is never a plain pass.
ELEMENTS = {
    "fail": "failure",
    "invalid": "failure",
    "no_data": "failure",
    "flaky": "failure",
    "error": "error",
    "cancelled": "error",
    "skipped": "skipped",
}


def render(run: Mapping[str, Any]) -> str:
    """Return junit.xml of a run; a run that failed before its first case has one test case named after the run."""
    cases = shown_cases(run) or [_run_itself(run)]
    suite = ET.Element("testsuite", _totals(run, cases))
    for record in cases:
        suite.append(_case(record))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _totals(run: Mapping[str, Any], cases: list[Mapping[str, Any]]) -> dict[str, str]:
    kinds = Counter(_element(record) for record in cases)
    return {
        "name": f"testcell {visible(run.get('run_id'))}",
        "tests": str(len(cases)),
        "failures": str(kinds["failure"]),
        "errors": str(kinds["error"]),
        "skipped": str(kinds["skipped"]),
        "time": _seconds(run),
        "timestamp": moment(run.get("started_at")),
    }


def _case(record: Mapping[str, Any]) -> ET.Element:
    attempt = record.get("attempt")
    names = [text(record.get("case")) or text(record.get("scenario"))]
    if isinstance(attempt, int) and attempt > 1:
        names.append(f"attempt {attempt}")
    case = ET.Element(
        "testcase",
        {"classname": visible(record.get("scenario")), "name": visible(", ".join(names)), "time": _seconds(record)},
    )
    properties = ET.SubElement(case, "properties")
    for name, value in {
        "verdict": record.get("verdict"),
        "labels": labels(record),
        "path": case_folder(record),
    }.items():
        ET.SubElement(properties, "property", {"name": name, "value": visible(value)})
    kind = _element(record)
    if kind:
        verdict = text(record.get("verdict"))
        attributes = {"message": visible(why(record))}
        if kind != "skipped":
            attributes["type"] = visible(mapping(record.get("failure")).get("error_kind") or verdict)
        element = ET.SubElement(case, kind, attributes)
        element.text = visible("\n".join(_story(record)))
    return case


def _story(record: Mapping[str, Any]) -> list[str]:
    found = account(record.get("failure"))
    lines = [f"{title(record)}: {text(record.get('verdict'))}", found.sentence]
    lines += [f"{name}: {value}" for name, value in found.facts]
    lines += [text(reason) for reason in items(record.get("reasons"))]
    lines += list(found.evidence)
    lines += [f"{node}: {what} {detail}".rstrip() for node, what, detail in leftovers(record)]
    return [line for line in lines if line]


def _element(record: Mapping[str, Any]) -> str:
    """Return the JUnit element of a verdict, "" for a pass; a verdict nobody knows is an error."""
    verdict = text(record.get("verdict"))
    return "" if verdict == "pass" else ELEMENTS.get(verdict, "error")


def _run_itself(run: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**run, "scenario": "run", "case": text(run.get("run_id")), "attempt": 1}


def _seconds(record: Mapping[str, Any]) -> str:
    return f"{number(record.get('seconds')) or 0.0:.3f}"
