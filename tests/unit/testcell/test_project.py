# SPDX-License-Identifier: MIT

from __future__ import annotations

from pathlib import Path

import pytest

from testcell import project as projects


def test_the_nearest_project_from_here_up_is_taken(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "scenarios" / "001_example")
    assert projects.find().root == project


def test_without_one_here_the_checkout_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert projects.find().root == projects.package_root()


def test_a_wanted_folder_must_be_a_project(tmp_path: Path) -> None:
    with pytest.raises(projects.ProjectError, match=r"site\.yml"):
        projects.find(tmp_path)


def test_installed_without_a_checkout_the_next_step_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(projects, "package_root", lambda: tmp_path)
    with pytest.raises(projects.ProjectError, match="testcell init DIR"):
        projects.find()


def test_our_collection_is_found_from_any_project(project: Path) -> None:
    first = projects.collections_path(projects.find()).split(":")[0]
    assert (Path(first) / "ansible_collections" / "enginelab" / "testcell" / "playbooks").is_dir()
