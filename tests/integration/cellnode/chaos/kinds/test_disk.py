# SPDX-License-Identifier: MIT
"""F25, F65, F67: a disk that is full, on small file systems of their own."""

from __future__ import annotations

import errno
import os
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import disk
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.fault import Gone
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

MIB = 1 << 20


@pytest.fixture(params=["tmpfs", "ext4"])
def small(tmp_path, request):
    """A file system of 192 MiB, in memory or on a loop device."""
    where = tmp_path / "small"
    where.mkdir()
    if request.param == "tmpfs":
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=192m", "tmpfs", where], check=True)
    else:
        image = tmp_path / "image"
        image.touch()
        os.truncate(image, 192 * MIB)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", image], check=True, capture_output=True)
        mounted = subprocess.run(["mount", "-o", "loop", image, where], capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"no loop device can be had here: {mounted.stderr.strip()}")
    yield where
    subprocess.run(["umount", where], check=True)


@pytest.fixture
def filling(small, event):
    """The function that makes an event on a node whose root is on the small file system."""

    def made(**params):
        one = event("disk_fill", **params)
        one.place = replace(one.place, ctx=replace(one.place.ctx, root=small))
        return one

    return made


@pytest.fixture
def volume(docker_cli):
    """A volume of 32 MiB; a test names it before its containers, which are taken away first then."""
    name = f"testcell-chaos-{uuid.uuid4().hex[:8]}"
    docker_cli("volume", "create", "-d", "local", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=32m", name)
    yield name
    docker_cli("volume", "rm", "-f", name)


def free(where: Path) -> int:
    """Return the bytes that are free for users."""
    info = os.statvfs(where)
    return info.f_bavail * info.f_frsize


def test_it_is_filled_by_so_many_bytes(filling, small):
    before = free(small)
    fill = filling(bytes="32MiB")
    measured = fill.felt().measured
    assert measured["filled_bytes"] >= 32 * MIB
    assert before - free(small) >= 32 * MIB
    assert measured["free_bytes"] == free(small)
    fill.ended()
    assert free(small) == before


def test_it_is_filled_to_a_share(filling):
    fill = filling(fill_pct=60, leave_bytes=0)
    assert 59.5 <= fill.felt().measured["used_pct"] <= 60.5
    fill.ended()


def test_some_is_left_unless_the_plan_says_otherwise(filling, small):
    """64 MiB, whatever is asked for."""
    fill = filling(fill_pct=100)
    fill.felt()
    assert 60 * MIB <= free(small) <= 65 * MIB
    fill.ended()
    fill = filling(fill_pct=100, leave_bytes=0)
    fill.felt()
    assert free(small) < MIB
    with pytest.raises(OSError) as full:
        (small / "more").write_bytes(bytes(4 * MIB) if free(small) else bytes(MIB))
        os.sync()
        (small / "even-more").write_bytes(bytes(32 * MIB))
    assert full.value.errno == errno.ENOSPC
    fill.ended()


def test_a_services_volume_is_filled(volume, container, event, docker_cli):
    """F25: the engine's service cannot write into its volume any more; afterwards it can."""
    target = container("-v", f"{volume}:/data")
    write = ("exec", target, "python3", "-c", "open('/data/x','wb').write(bytes(4<<20))")
    fill = event("disk_fill", target, where="/data/models", fill_pct=100, leave_bytes="1MiB")
    docker_cli(*write)
    docker_cli("exec", target, "rm", "/data/x")
    fill.felt()
    with pytest.raises(AssertionError, match="No space left on device"):
        docker_cli(*write)
    docker_cli("exec", target, "rm", "-f", "/data/x")
    fill.ended()
    docker_cli(*write)


def test_an_undo_after_the_container_and_its_volume_are_gone(volume, container, event, docker_cli):
    """F65."""
    target = container("-v", f"{volume}:/data")
    fill = event("disk_fill", target, where="/data", bytes="4MiB", leave_bytes=0)
    fill.felt()
    docker_cli("rm", "-f", target)
    docker_cli("volume", "rm", volume)
    fill.ended()
    assert not fill.effect().applied
    with pytest.raises(Gone):
        fill.inject()


def test_a_half_done_injection_is_undone(filling, small, monkeypatch):
    """F63: killed with the file made and some of its blocks given."""
    fill = filling(bytes="8MiB")
    fill.prepare()

    def killed(fd, size):
        os.posix_fallocate(fd, 0, size // 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(disk, "_allocate", killed)
    with pytest.raises(KeyboardInterrupt):
        fill.inject()
    assert len(fill.left()) == 1
    assert not fill.effect().applied
    fill.ended()
    assert [path.name for path in small.iterdir() if path.name != "lost+found"] == []


def test_the_room_may_shrink_meanwhile(filling, small):
    """Somebody else takes a MiB between the look and the deed."""
    fill = filling(fill_pct=100, leave_bytes=0)
    fill.prepare()
    (small / "other").write_bytes(bytes(MIB))
    os.sync()
    fill.inject()
    assert fill.effect().applied
    fill.ended()
    assert (small / "other").stat().st_size == MIB


def test_files_of_others_stay(filling, small):
    """What lies at the path and is no file of ours is neither written nor removed."""
    fill = filling(bytes="8MiB")
    path = Path(fill.prepare()["path"])
    path.symlink_to(small / "precious")
    (small / "precious").write_text("kept")
    with pytest.raises(FileExistsError):
        fill.inject()
    fill.undo()
    assert (small / "precious").read_text() == "kept"
    path.unlink()
    assert fill.left() == []


def test_the_engines_disk_is_known(event):
    """Its root is found and may be written; nothing is filled here, since it is this machine's own."""
    fill = event("disk_fill", bytes="1MiB", where="engine")
    assert fill.lacking() == ""
    assert Path(fill.fault.prepare(fill.place, fill.aim)["path"]).parent == Path(
        fill.place.engine.info()["DockerRootDir"]
    )


def test_nothing_to_fill_is_said(filling):
    with pytest.raises(CellError, match="params leave nothing to fill") as caught:
        filling(bytes="1MiB", leave_bytes="1TiB").prepare()
    assert caught.value.kind == "chaos_unsupported"


def test_a_path_outside_of_all_volumes_is_refused(volume, container, event):
    target = container("-v", f"{volume}:/data", "--tmpfs", "/fast")
    with pytest.raises(CellError, match=r"'/fast', which is in no volume .* \(it has: /data\)"):
        event("disk_fill", target, bytes=1, where="/fast").prepare()


BAD = [
    ({}, "params.bytes is None; allowed: a size, or params.fill_pct instead: one of both"),
    ({"bytes": 1, "fill_pct": 1}, "params.bytes is 1; allowed: a size, or params.fill_pct instead: one of both"),
    ({"fill_pct": 101}, "params.fill_pct is 101; allowed: a number from 1 to 100"),
    ({"bytes": 1, "where": "data"}, "params.where is 'data'; allowed: node, engine, or the absolute path of a volume"),
]


@pytest.mark.parametrize(("params", "message"), BAD)
def test_a_bad_parameter_is_named(event, params, message):
    assert event("disk_fill", **params).lacking().startswith(message)
