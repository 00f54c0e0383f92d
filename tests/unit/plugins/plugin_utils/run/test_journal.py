# SPDX-License-Identifier: MIT
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal


def test_entries_of_many_writers_are_whole_lines(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: journal.append(tmp_path, {"n": n, "text": "x\n" * 50}), range(200)))
    assert sorted(entry["n"] for entry in journal.read(tmp_path)) == list(range(200))


def test_a_line_cut_by_a_crash_is_left_out(tmp_path):
    journal.append(tmp_path, {"n": 1})
    with (tmp_path / journal.NAME).open("a") as stream:
        stream.write('{"n": 2, "te')
    assert [entry["n"] for entry in journal.read(tmp_path)] == [1]


def test_a_run_without_a_journal_has_no_entries(tmp_path):
    assert list(journal.read(tmp_path)) == []
