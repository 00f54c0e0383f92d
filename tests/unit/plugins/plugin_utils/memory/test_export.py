# SPDX-License-Identifier: MIT
"""Rows as CSV: a spreadsheet runs none of it, and a program reads back exactly what is in the database."""

from __future__ import annotations

import csv
import io

import pytest
import remembered
import sqlalchemy as sa
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import export, schema
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import open_store

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-1+2",
    "@SUM(A1)",
    "\t=1",
    'say "hi", twice',
    "two\nlines",
    " =1",
    "<b>bold</b>",
]


@pytest.fixture
def store(tmp_path):
    failed = remembered.attempt("hostile", verdict="fail")
    failed["failure"]["message"] = HOSTILE[0]
    failed["failure"]["evidence"] = HOSTILE
    remembered.write(tmp_path, "20260102_030405", remembered.attempt(), failed)
    with open_store(results_dir=tmp_path) as found:
        yield found


def exported(store, what, **how):
    with store.read() as connection:
        return "".join(export.lines(connection, what, **how))


@pytest.mark.parametrize("what", export.WHAT, ids=[f"B90-{what}" for what in export.WHAT])
def test_no_cell_runs_in_a_spreadsheet(store, what):
    head, *lines = csv.reader(io.StringIO(exported(store, what)))
    assert lines and all(len(line) == len(head) for line in lines)
    assert not [cell for line in lines for cell in line if cell.lstrip().startswith(("=", "+", "-", "@"))]


def test_b90_quotes_and_newlines_stay_in_their_cell(store):
    (line,) = csv.DictReader(io.StringIO(exported(store, "failures")))
    assert line["message"] == f"'{HOSTILE[0]}"
    assert 'say "hi", twice\ntwo\nlines' in line["evidence"]


def test_b90_typed_text_is_exactly_what_it_was(store):
    (line,) = csv.DictReader(io.StringIO(exported(store, "failures", typed=True)))
    assert (line["message"], line["evidence"]) == (HOSTILE[0], "\n".join(HOSTILE))


def test_typed_cells_tell_text_from_numbers_and_nothing_from_empty_text(store):
    head, first, *_ = exported(store, "attempts", typed=True).splitlines()
    cells = dict(zip(head.replace('"', "").split(","), next(csv.reader([first], quoting=csv.QUOTE_NONE)), strict=False))
    assert head.startswith('"run_id","host","scenario","case","labels","attempt"')
    assert cells["run_id"] == '"20260102_030405"' and cells["case"] == '""'
    assert ',true,true,"","",,"",' in first, "flags are bare, unknown retriable is nothing, no kind is empty text"
    assert '"2026-01-02T03:00:00.000000+00:00","2026-01-02T03:00:03.500000+00:00",3.5,' in first


def test_columns_do_not_depend_on_what_is_there(store, tmp_path):
    with open_store(results_dir=tmp_path / "none") as empty:
        for what in export.WHAT:
            assert exported(empty, what).splitlines() == exported(store, what).splitlines()[:1]


def test_cases_count_their_attempts(store):
    lines = list(csv.DictReader(io.StringIO(exported(store, "cases"))))
    assert [(line["scenario"], line["attempts"], line["passed"]) for line in lines] == [
        ("first", "1", "1"),
        ("hostile", "1", "0"),
    ]


def test_a_time_that_no_calendar_has_is_left_out(store):
    with store.write() as connection:
        connection.execute(sa.update(schema.attempts).values(ended_at=1e300))
    assert [row["ended_at"] for row in csv.DictReader(io.StringIO(exported(store, "attempts")))] == ["", ""]
    assert {line.count("1e+300") for line in exported(store, "cases", typed=True).splitlines()} == {0}
