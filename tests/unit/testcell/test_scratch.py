# SPDX-License-Identifier: MIT

"""Folders of jobs: locked while their process lives, removed by the next one when it was killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testcell import scratch

LATER = 2 * scratch.YOUNG_S
HOLDS = "from testcell import scratch\nwith scratch.folder() as place:\n    print(place, flush=True)\n    input()\n"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


def test_what_a_killed_process_has_left_goes_and_what_a_living_one_has_stays(temporary: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        place = Path(process.stdout.readline().decode().strip())
        (place / "secret").write_text("x")
        assert scratch.tidy(temporary, time.time() + LATER) == [] and (place / "secret").exists()
        process.kill()
    assert scratch.tidy(temporary, time.time()) == [], "it is too young to tell"
    assert scratch.tidy(temporary, time.time() + LATER) == [place] and not place.exists()


def test_a_new_folder_tidies_before_it_is_made(temporary: Path) -> None:
    left = temporary / f"{scratch.PREFIX}old"
    left.mkdir()
    os.utime(left, (1.0, 1.0))
    with scratch.folder() as place:
        assert list(temporary.iterdir()) == [place] and place.stat().st_mode & 0o077 == 0


def test_a_brief_folder_goes_with_its_use_also_where_that_fails(temporary: Path) -> None:
    with pytest.raises(ZeroDivisionError), scratch.brief_folder() as place:
        (place / "answer").write_text("x")
        raise ZeroDivisionError
    assert list(temporary.iterdir()) == []


def test_nothing_else_is_touched(temporary: Path) -> None:
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("x")
    (temporary / f"{scratch.PREFIX}link").symlink_to(elsewhere)
    (temporary / f"{scratch.PREFIX}file").write_text("x")
    (temporary / "testcell-kept-1").mkdir()
    assert scratch.tidy(temporary, time.time() + LATER) == []
    assert (elsewhere / "file").exists() and len(list(temporary.iterdir())) == 4
