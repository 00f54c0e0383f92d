# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import sums

NAMES = {
    "plain": "a/b.txt",
    "B84-spaces": "two  words ",
    "B84-newline": "a\nb",
    "B84-backslash": "a\\nb",
    "B84-both": "\\\n\\\\",
    "B84-return": "end\r",
    "B84-escape": "\x1b[31mred",
    "B84-not-utf-8": os.fsdecode(b"\xff\xfe"),
    "B84-leading-dash": "-c",
    "B84-star": "*x",
    "B84-percent": "%s%n",
    "B84-long": "x" * 255,
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_coreutils_reads_what_is_written_and_we_read_what_it_writes(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"content")
    digest = hashlib.sha256(b"content").hexdigest()
    (tmp_path / sums.NAME).write_bytes(sums.render({name: digest}))
    checked = subprocess.run(
        ["sha256sum", "--strict", "--status", "-c", sums.NAME], cwd=tmp_path, check=False, timeout=30
    )
    assert checked.returncode == 0
    theirs = subprocess.run(["sha256sum", "--", name], cwd=tmp_path, capture_output=True, check=True, timeout=30).stdout
    assert sums.parse(theirs) == sums.parse(sums.render({name: digest})) == {name: digest}


def test_lines_are_sorted_by_the_bytes_of_their_names() -> None:
    digest = "0" * 64
    listed = sums.render(dict.fromkeys(("b", "a/z", "a", os.fsdecode(b"\xff"), "é"), digest))
    assert [line[66:] for line in listed.splitlines()] == [b"a", b"a/z", b"b", "é".encode(), b"\xff"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"x" * 64 + b"  a\n", "line 1", id="no-digest"),
        pytest.param(b"0" * 63 + b"  a\n", "line 1", id="short-digest"),
        pytest.param(b"0" * 64 + b"  \n", "line 1", id="no-name"),
        pytest.param(b"0" * 64 + b"  a", "line 1 is cut short", id="no-end"),
        pytest.param(b"0" * 64 + b"  a\n" + b"1" * 64 + b"  a\n", "line 2 gives 'a' once more", id="twice"),
        pytest.param(b"\\" + b"0" * 64 + b"  a\\x\n", "stands for nothing", id="unknown-escape"),
        pytest.param(b"\\" + b"0" * 64 + b"  a\\\n", "stands for nothing", id="half-an-escape"),
        pytest.param(b"\0" * 1000 + b"\n", "line 1", id="zeros"),
    ],
)
def test_b87_what_is_no_list_is_refused_with_its_line(content: bytes, said: str) -> None:
    with pytest.raises(sums.SumsError, match=said):
        sums.parse(content)
