# SPDX-License-Identifier: MIT
"""Folders of ours are removed whole, and nothing beside them."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import mounted, remove
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.mounts import Mount

ENV = dict(os.environ)


def test_a_tree_goes_with_everything_in_it_and_links_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep").write_text("x")
    folder = tmp_path / "case"
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/file").write_text("x")
    (folder / "a/-rf").write_text("x")
    (folder / "link").symlink_to(outside)
    os.mkfifo(folder / "a/b/pipe")
    assert remove.tree(folder, ENV) == remove.Removal(4, (), 2 + len(str(outside)))
    assert not folder.exists()
    assert (outside / "keep").exists()


def test_a_folder_without_the_right_to_write_goes_too(tmp_path):
    folder = tmp_path / "case"
    (folder / "locked").mkdir(parents=True)
    (folder / "locked/file").write_text("x")
    (folder / "locked").chmod(0)
    assert remove.tree(folder, ENV).errors == ()
    assert not folder.exists()


def test_a_tree_deeper_than_any_path_may_be_goes_too(tmp_path):
    folder = tmp_path / "case"
    folder.mkdir()
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deeper", dir_fd=fd)
        below = os.open("deeper", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    assert remove.tree(folder, ENV).errors == ()
    assert not folder.exists()


def test_a_link_in_place_of_the_folder_is_removed_and_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "case").symlink_to(tmp_path / "outside")
    assert remove.tree(tmp_path / "case", ENV).errors == ()
    assert not os.path.lexists(tmp_path / "case")
    assert (tmp_path / "outside").exists()


def test_nothing_there_is_nothing_removed(tmp_path):
    assert remove.tree(tmp_path / "case", ENV) == remove.Removal()


def test_nothing_is_deleted_while_something_stays_mounted(tmp_path, monkeypatch):
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "file").write_text("x")
    monkeypatch.setattr(mounted, "current", lambda: (Mount(str(folder / "nfs"), "nfs", "host:/data", ()),))
    removal = remove.tree(folder, {"PATH": "/nonexistent"})
    assert removal.errors == (f"nfs is still mounted at {folder / 'nfs'}",)
    assert (folder / "file").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_what_is_mounted_below_is_taken_off_first(tmp_path):
    folder = tmp_path / "case"
    (folder / "data").mkdir(parents=True)
    if subprocess.run(
        ["mount", "-t", "tmpfs", "tmpfs", str(folder / "data")], check=False, capture_output=True
    ).returncode:
        pytest.skip("this machine does not let us mount")
    assert remove.tree(folder, ENV).errors == ()
    assert not folder.exists()


def test_mounts_below_a_folder_are_found_deepest_first(tmp_path):
    seen = [Mount(path, "tmpfs", "x", ()) for path in ("/r/a", "/r/a/b", "/r/ab", "/r", "/r/a/b c")]
    assert [mount.point for mount in mounted.below(tmp_path.__class__("/r/a"), seen)] == ["/r/a/b c", "/r/a/b", "/r/a"]


class Engine:
    def __init__(self, code=0, error=None) -> None:
        self.code, self.error, self.calls = code, error, []

    def call(self, method, path, body=None, timeout=None):
        self.calls.append((method, path, body))
        if self.error:
            raise self.error
        return {"Id": "c1", "StatusCode": self.code}

    def start(self, container):
        self.calls.append(("start", container, None))

    def remove(self, kind, name):
        self.calls.append(("remove", f"{kind}/{name}", None))


def test_a_container_removes_one_folder_and_is_removed_itself(tmp_path):
    engine = Engine()
    assert remove.by_engine(engine, "img", tmp_path / "case", {"testcell.run": "r"}) == ""
    body = engine.calls[0][2]
    assert body["Entrypoint"] == ["rm", "-rf", "--", "/testcell/case"]
    assert body["HostConfig"] == {"Binds": [f"{tmp_path}:/testcell"], "NetworkMode": "none"}
    assert [call[0] for call in engine.calls] == ["POST", "start", "POST", "remove"]


@pytest.mark.parametrize(
    ("engine", "words"),
    [(Engine(code=1), "ended with 1"), (Engine(error=CellError("image_not_found", "No such image")), "No such image")],
)
def test_a_removal_that_fails_is_a_complaint(tmp_path, engine, words):
    assert words in remove.by_engine(engine, "img", tmp_path / "case", {})
