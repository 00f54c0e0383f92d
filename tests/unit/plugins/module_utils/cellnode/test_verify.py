# SPDX-License-Identifier: MIT
"""Clean is what was listed and empty; a list that failed is not clean."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import verify
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

MINE = {"id": "c", "name": "c", "labels": {"testcell.run": "r1"}, "created": 0, "state": "exited"}
DOWN = {"what": "containers", "error_kind": "docker_daemon_down", "error": "no engine"}
NVML = {"what": "gpus", "error_kind": "gpu_missing", "error": "NVML mismatch"}


@pytest.fixture
def ask(monkeypatch, tmp_path):
    def run(*snapshots, before=None, args=None, run=None, engine=None):
        left = [{"containers": [], **one} for one in snapshots]
        monkeypatch.setattr(verify, "engine_of", lambda ctx: engine)
        monkeypatch.setattr(verify, "take", lambda _ctx, _engine: left.pop(0) if len(left) > 1 else left[0])
        now = [0.0]
        clock = Clock(unix=lambda: 100.0, monotonic=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s))
        context = Context(tmp_path, run or RunRef("r1", "s"), clock=clock)
        return verify.verify(context, {"before": before or {"errors": []}, **(args or {})})

    return run


def test_an_empty_node_is_clean(ask):
    assert ask({"errors": []})["clean"] is True


def test_an_empty_list_from_a_failed_command_is_not_clean(ask):
    answer = ask({"errors": [DOWN]})
    assert answer["clean"] is False
    assert answer["errors"] == [{**DOWN, "when": "after"}]


def test_a_snapshot_before_that_failed_is_not_clean_either(ask):
    assert ask({"errors": []}, before={"errors": [DOWN]})["clean"] is False


def test_a_gpu_tool_that_was_broken_before_is_told_only(ask):
    answer = ask({"errors": [NVML]}, before={"errors": [NVML]})
    assert (answer["clean"], len(answer["errors"])) == (True, 2)
    assert ask({"errors": [NVML]})["clean"] is False


def test_what_is_just_going_away_is_waited_for(ask):
    busy, gone = {"errors": [], "containers": [MINE]}, {"errors": []}
    assert ask(busy, busy, gone)["clean"] is True
    answer = ask(busy, busy, gone, args={"settle_s": 0})
    assert (answer["clean"], answer["leftovers"][0]["id"]) == (False, "c")


def test_what_stays_is_a_leftover_after_the_time_to_settle(ask):
    assert ask({"errors": [], "containers": [MINE]})["clean"] is False


def test_a_case_folder_that_is_there_is_a_leftover(ask, tmp_path):
    folder = tmp_path / "runs/r1/s/a1"
    folder.mkdir(parents=True)
    assert [entry["name"] for entry in ask({"errors": []})["leftovers"]] == [str(folder)]
    (folder / "file").write_text("")
    assert [entry["name"] for entry in ask({"errors": []})["leftovers"]] == [str(folder)]
    assert [entry["name"] for entry in ask({"errors": []}, run=RunRef("r1"))["leftovers"]] == [
        str(tmp_path / "runs/r1")
    ]
    assert ask({"errors": []}, run=RunRef("r2", "s"))["clean"] is True


@pytest.mark.parametrize(
    ("stray", "kind"),
    [
        pytest.param("runs/r1/stray", "file", id="beside-the-scenario"),
        pytest.param("runs/r1/s/stray.txt", "file", id="beside-the-attempt"),
        pytest.param("runs/r1/s/a10/work/out", "file", id="in-another-attempt"),
        pytest.param("runs/r1/earlier/case/a1/empty/", "folder", id="of-an-earlier-case"),
        pytest.param("runs/r1/", "folder", id="run-folder-itself"),
    ],
)
def test_a_stray_file_anywhere_in_the_folder_of_the_run_is_a_leftover(ask, tmp_path, stray, kind):
    path = tmp_path / stray
    (path if stray.endswith("/") else path.parent).mkdir(parents=True)
    if not stray.endswith("/"):
        path.write_text("")
    answer = ask({"errors": []})
    assert answer["clean"] is False
    assert [(i["type"], i["name"], i["owner"]) for i in answer["leftovers"]] == [(kind, str(path), "r1")]


def test_many_stray_files_are_told_by_the_first_ones(ask, tmp_path):
    (tmp_path / "runs/r1").mkdir(parents=True)
    for number in range(30):
        (tmp_path / f"runs/r1/{number:02}").write_text("")
    names = [entry["name"] for entry in ask({"errors": []})["leftovers"]]
    assert names == [str(tmp_path / f"runs/r1/{number:02}") for number in range(20)]


def test_a_dangling_link_in_place_of_the_folder_is_a_leftover(ask, tmp_path):
    (tmp_path / "runs/r1/s").mkdir(parents=True)
    (tmp_path / "runs/r1/s/a1").symlink_to("/nonexistent")
    assert ask({"errors": []})["clean"] is False


def test_the_project_is_named_as_compose_wants_it(tmp_path):
    ours = verify.ours_of(Context(tmp_path, RunRef("20260101_010203", "001_Base")))
    assert ours.projects == {"testcell-20260101_010203-001_base"}


def test_ports_to_ignore_are_numbers(ask):
    with pytest.raises(CellError, match="listening_ignore"):
        ask({"errors": []}, args={"listening_ignore": ["80"]})


def card(used):
    return {"index": 0, "name": "H100", "uuid": "G0", "memory_total_bytes": 80 << 30, "memory_used_bytes": used << 20}


def test_gpu_memory_that_comes_back_late_is_waited_for_longer_than_anything_else(ask):
    busy, free = {"errors": [], "gpus": [card(9000)]}, {"errors": [], "gpus": [card(4)]}
    before = {"errors": [], "gpus": [card(4)]}
    assert ask(*[busy] * 15, free, before=before)["clean"] is True
    answer = ask(busy, before=before)
    assert (answer["clean"], [entry["type"] for entry in answer["leftovers"]]) == (False, ["gpu_memory"])
    assert ask(*[{**busy, "containers": [MINE]}] * 15, free, before=before)["clean"] is False


def test_an_orphan_of_the_network_is_ours_only_where_no_running_container_has_it(ask):
    path = "/run/docker/netns/0a1b2c3d4e5f"
    stranger = {"id": "s", "name": "s", "labels": {}, "created": 0, "state": "running"}

    class Engine:
        def inspect(self, container):
            assert container == "s"
            return {"NetworkSettings": {"SandboxKey": f"/var{path}"}}

    after = {"errors": [], "namespaces": [path]}
    assert [entry["name"] for entry in ask(after)["leftovers"]] == [path]
    assert ask({**after, "containers": [stranger]}, engine=Engine())["clean"] is True
