# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import folder

NOW = 1_700_000_000.0


def test_a_taken_run_id_gets_a_short_suffix(tmp_path):
    names = [folder.create_run(tmp_path, NOW).name for _ in range(3)]
    assert names[1:] == [f"{names[0]}_2", f"{names[0]}_3"]
    assert all(folder.RUN_ID.fullmatch(name) for name in names)


def test_a_wanted_run_id_is_taken_once(tmp_path):
    assert folder.create_run(tmp_path, NOW, "20260101_000000").name == "20260101_000000"
    with pytest.raises(FileExistsError):
        folder.create_run(tmp_path, NOW, "20260101_000000")


@pytest.mark.parametrize("wanted", ["../x", "2026", "20260101_000000/..", "20260101_000000_"])
def test_a_run_id_that_could_leave_the_folder_is_refused(tmp_path, wanted):
    with pytest.raises(ValueError, match="YYYYMMDD"):
        folder.create_run(tmp_path, NOW, wanted)


@pytest.mark.parametrize(
    ("ref", "path", "title"),
    [
        (("s", "", 1), "s", "s"),
        (("s", "c", 1), "s/c", "s / c"),
        (("s", "c", 2), "s/c/attempt_2", "s / c / attempt 2"),
    ],
)
def test_each_attempt_has_its_own_folder(tmp_path, ref, path, title):
    case = folder.CaseRef(*ref)
    assert case.folder(tmp_path) == tmp_path / path
    assert case.title == title


def test_latest_follows_the_newest_run_and_spares_a_real_folder(tmp_path):
    folder.point_latest(tmp_path, "20260101_000000")
    folder.point_latest(tmp_path, "20260101_000001")
    assert (tmp_path / "latest").readlink().name == "20260101_000001"
    other = tmp_path / "other"
    (other / "latest").mkdir(parents=True)
    folder.point_latest(other, "20260101_000000")
    assert not (other / "latest").is_symlink()
