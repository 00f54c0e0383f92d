# SPDX-License-Identifier: MIT

from __future__ import annotations

import os
from pathlib import Path

from testcell import starting


def test_a_project_is_written_once_and_never_overwritten(tmp_path: Path) -> None:
    first = starting.start(tmp_path / "p")
    assert "site.yml" in first.written and "scenarios/001_example/metadata.yml" in first.written and first.kept == ()
    (tmp_path / "p" / "site.yml").write_text("mine")
    (tmp_path / "p" / "ansible.cfg").unlink()
    second = starting.start(tmp_path / "p")
    assert second.written == ("ansible.cfg",)
    assert (tmp_path / "p" / "site.yml").read_text() == "mine"


def test_the_script_can_be_run_and_no_file_keeps_the_suffix(tmp_path: Path) -> None:
    starting.start(tmp_path)
    assert os.access(tmp_path / "scenarios" / "001_example" / "run_test.sh", os.X_OK)
    assert not list(tmp_path.rglob("*.in"))


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "site.yml").symlink_to(outside)
    assert "site.yml" in starting.start(tmp_path / "p").kept
    assert not outside.exists()
