# SPDX-License-Identifier: MIT
"""What of a tree is sent, and what is refused and named."""

from __future__ import annotations

import hashlib
import os
import subprocess

import odd
import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import walk
from odd import put
from streams import entries, paths, refusals, sent, told


def walked(base, *patterns, **args):
    """Return what is said of the files that patterns match below a folder."""
    return told(sent(base, patterns=list(patterns) or ["results/"], **args))


def whys(found):
    return [one["why"] for one in refusals(found)]


def test_pattern_without_a_file_is_missing_B88(base):
    (base / "empty").mkdir()
    put(base / "results" / "x")
    found = walked(base, "results/", "empty/", "nothing.json", "*.csv")
    assert found[b"M"] == [["empty/", "nothing.json", "*.csv"]]


def test_absent_base_has_no_files(base):
    found = walked(base / "nowhere", "a")
    assert (found[b"P"][0]["files"], found[b"M"], found[b"Z"][0]["files"]) == (0, [["a"]], 0)


def test_base_that_is_a_link_is_an_error_B81(base, tmp_path):
    (tmp_path / "linked").symlink_to(base)
    assert walked(tmp_path / "linked", "*")[b"X"][0]["kind"] == "artifact_unsafe_path"


def test_file_of_two_patterns_is_listed_once(base):
    put(base / "results" / "x.csv")
    assert paths(walked(base, "results/", "**/*.csv", "results/x.csv")) == ["results/x.csv"]


KINDS = {**odd.KINDS, "B80-backslash": (lambda path: put(path.with_name("x\\y")), "backslash")}


@pytest.mark.parametrize("row", KINDS)
def test_what_is_no_plain_file_is_refused_by_name_and_the_others_are_listed(base, row, monkeypatch):
    make, word = KINDS[row]
    put(base / "results" / "good")
    monkeypatch.chdir(base)
    make(base / "results" / "x")
    found = walked(base)
    assert paths(found) == ["results/good"]
    (refused,) = refusals(found)
    assert (refused["path"][:9], refused["kind"]) == ("results/x", "artifact_unsafe_path")
    assert word in refused["why"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_device_is_refused_B82(base):
    try:
        os.mknod(base / "results" / "null", 0o20666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices cannot be made here")
    (why,) = whys(walked(base))
    assert "character device" in why


def test_link_on_the_way_to_a_match_is_refused_B81(base):
    (base / "linked").symlink_to("/etc")
    found = walked(base, "linked/*.conf")
    assert (paths(found), found[b"M"]) == ([], [["linked/*.conf"]])
    assert refusals(found)[0]["path"] == "linked"


def test_unrelated_links_are_not_told(base):
    (base / "other").symlink_to("/etc")
    put(base / "a.json")
    found = walked(base, "**/*.json")
    assert (paths(found), refusals(found)) == (["a.json"], [])


def test_hard_links_that_are_all_artifacts_are_listed(base):
    put(base / "results" / "a")
    os.link(base / "results" / "a", base / "results" / "b")
    assert paths(walked(base)) == ["results/a", "results/b"]


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted")
def test_mount_point_is_not_entered_B86(base):
    (base / "results" / "mounted").mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", base / "results" / "mounted"], check=False).returncode:
        pytest.skip("mounts are not allowed here")
    try:
        put(base / "results" / "mounted" / "x")
        put(base / "results" / "good")
        found = walked(base)
    finally:
        subprocess.run(["umount", base / "results" / "mounted"], check=True)
    assert (paths(found), whys(found)) == (["results/good"], ["it is a mount point"])


def test_limits_are_told_with_figures_and_what_fits_is_listed_B82(base):
    for name in "abcd":
        put(base / "results" / name, b"12345")
    found = walked(base, max_files=3)
    assert len(paths(found)) == 3
    assert "limit of 3 files; 1 more" in whys(found)[0]
    found = walked(base, max_bytes=12)
    assert paths(found) == ["results/a", "results/b"]
    assert [one["path"] for one in refusals(found)] == ["results/c", "results/d"]
    assert "5 bytes with 10 before it are over the limit of 12 bytes" in whys(found)[0]
    assert {one["kind"] for one in refusals(found)} == {"artifact_too_large"}


def test_sparse_terabyte_is_refused_without_reading_it_B82(base):
    os.truncate(put(base / "results" / "sparse"), 1 << 40)
    assert str(1 << 40) in whys(walked(base))[0]


def test_deep_tree_is_refused_and_not_a_crash_B82(base):
    put(base.joinpath("results", *"d" * (walk.MAX_DEPTH + 3), "x"))
    (why,) = whys(walked(base))
    assert "64 folders deep" in why


@pytest.mark.parametrize("letter", ["d", "\udcff"], ids=["text", "not-utf-8"])
def test_a_path_for_which_no_other_folder_has_room_is_refused_by_name_B82(base, letter):
    prefix = f"results/{f'{letter * 250}/' * 12}"
    most = walk.MAX_PATH_BYTES - len(os.fsencode(prefix))
    for length in (most, most + 1):
        put(base / prefix / ("x" * length))
    found = walked(base)
    assert paths(found) == [prefix + "x" * most]
    (refused,) = refusals(found)
    assert (refused["path"], refused["kind"]) == (prefix + "x" * (most + 1), "artifact_too_large")
    assert "over the limit of 3072 bytes" in refused["why"]


def test_a_path_that_no_system_takes_at_once_is_refused_by_name_B82(base):
    """Below open folders a path may be as long as one likes."""
    folder_fd = os.open(base / "results", os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 250, dir_fd=folder_fd)
        deeper = os.open("d" * 250, os.O_RDONLY, dir_fd=folder_fd)
        os.close(folder_fd)
        folder_fd = deeper
    os.close(os.open("x", os.O_WRONLY | os.O_CREAT, dir_fd=folder_fd))
    os.close(folder_fd)
    put(base / "results" / "good")
    found = walked(base)
    assert (paths(found), refusals(found)[0]["kind"]) == (["results/good"], "artifact_too_large")


def test_folder_with_too_many_names_is_told_B82(base, monkeypatch):
    monkeypatch.setattr(walk, "MAX_NAMES", 3)
    for name in "abcde":
        put(base / "results" / name)
    found = walked(base)
    assert len(paths(found)) == 3
    assert "over 3 names" in whys(found)[0]


def test_odd_names_are_kept_byte_for_byte_and_apart_B83_B84(base):
    for name in odd.NAMES.values():
        put(base / "results" / name, os.fsencode(name))
    found = {row[0]: row[5] for row in entries(walked(base))}
    assert found == {f"results/{name}": hashlib.sha256(os.fsencode(name)).hexdigest() for name in odd.NAMES.values()}
