# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.files import (
    compose_file,
    looks_like_scenario,
    metadata_file,
)


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml"])
def test_one_compose_file_of_any_usual_name_is_taken(tmp_path, name):
    (tmp_path / name).touch()
    assert compose_file(tmp_path) == (tmp_path / name, [])


def test_several_compose_files_are_named(tmp_path):
    for name in ("compose.yml", "docker-compose.yml"):
        (tmp_path / name).touch()
    path, (problem,) = compose_file(tmp_path)
    assert path.name == "docker-compose.yml"
    assert "more than one compose file: docker-compose.yml and compose.yml; keep one" in problem.message


def test_broken_link_counts_as_present(tmp_path):
    (tmp_path / "metadata.yml").symlink_to(tmp_path / "gone")
    assert metadata_file(tmp_path) == (tmp_path / "metadata.yml", [])


@pytest.mark.parametrize(
    ("folder", "file", "expected"),
    [
        ("001_a", "metadata.yaml", True),
        ("001_a", "run_test.sh", True),
        ("001_a", "notes.txt", False),
        ("_shared", "metadata.yml", False),
        (".git", "metadata.yml", False),
    ],
)
def test_folders_with_a_scenario_file_count(tmp_path, folder, file, expected):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / file).touch()
    assert looks_like_scenario(tmp_path / folder) is expected
