# SPDX-License-Identifier: MIT
from __future__ import annotations

import errno
import json
import multiprocessing
import resource
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal


def test_entries_of_many_writers_are_whole_lines(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: journal.append(tmp_path, {"n": n, "text": "x\n" * 50}), range(200)))
    assert sorted(entry["n"] for entry in journal.read(tmp_path)) == list(range(200))


def _append_many(folder, first):
    for n in range(first, first + 150):
        journal.append(folder, {"n": n, "text": "x" * 700})


def test_processes_that_write_at_once_leave_nothing_but_whole_lines(tmp_path):
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_append_many, args=(tmp_path, 1000 * place)) for place in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    found = [json.loads(line)["n"] for line in (tmp_path / journal.NAME).read_text().splitlines()]
    assert sorted(found) == sorted(n for place in range(4) for n in range(1000 * place, 1000 * place + 150))


def test_f07_a_journal_cut_anywhere_keeps_what_is_whole_and_goes_on(tmp_path):
    for n in (1, 2):
        journal.append(tmp_path, {"n": n, "text": "\u00fc\u4e2d"})
    path = tmp_path / journal.NAME
    whole = path.read_bytes()
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        kept = list(range(1, whole[:length].count(b"\n") + 1))
        assert [entry["n"] for entry in journal.read(tmp_path)] == kept, length
        journal.append(tmp_path, {"n": 9})
        lacked_only_its_end = [len(kept) + 1] if whole[length : length + 1] == b"\n" else []
        assert [entry["n"] for entry in journal.read(tmp_path)] == [*kept, *lacked_only_its_end, 9], length


@pytest.mark.parametrize("room", [0, 1, 6])
def test_f08_a_line_that_the_disk_takes_only_in_part_is_an_error_that_names_the_journal(tmp_path, room):
    journal.append(tmp_path, {"n": 1})
    path = tmp_path / journal.NAME
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as caught:
            journal.append(tmp_path, {"n": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    journal.append(tmp_path, {"n": 3})
    assert [entry["n"] for entry in journal.read(tmp_path)] == [1, 3]


def test_a_run_without_a_journal_has_no_entries(tmp_path):
    assert list(journal.read(tmp_path)) == []
