# SPDX-License-Identifier: MIT
from __future__ import annotations

import base64
import os
import zlib

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import files
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

DATA = bytes(range(256)) * 10


@pytest.fixture
def ctx(tmp_path):
    """A case with one artifact, work/results/x."""
    context = Context(tmp_path / "root", RunRef("run", "scenario"))
    (context.case_dir / "work" / "results").mkdir(parents=True)
    (context.case_dir / "work" / "results" / "x").write_bytes(DATA)
    return context


@pytest.fixture
def results(ctx):
    """The folder of the artifacts."""
    return ctx.case_dir / "work" / "results"


def _read(ctx, path="results/x", **args):
    return files.OPS["read"](ctx, {"base_rel": "work", "path": path, **args})


def _expect(entry):
    return {key: entry[key] for key in ("size", "mtime_ns", "ctime_ns")}


def _bytes(answer):
    return zlib.decompress(base64.b64decode(answer["data"]))


@pytest.mark.parametrize("step", [1000, 2560, 5000])
def test_file_is_read_in_parts_to_its_end(ctx, step):
    parts, offset, eof = [], 0, False
    while not eof:
        answer = _read(ctx, offset=offset, max_bytes=step)
        parts.append(_bytes(answer))
        offset, eof = answer["offset"], answer["eof"]
        assert answer["size"] == len(DATA)
    assert b"".join(parts) == DATA
    assert offset == len(DATA)


def test_empty_file_ends_at_once(ctx, results):
    (results / "empty").write_bytes(b"")
    answer = _read(ctx, "results/empty")
    assert (_bytes(answer), answer["eof"], answer["size"]) == (b"", True, 0)


def test_unchanged_file_is_read_as_its_manifest_expects(ctx):
    entry = files.OPS["manifest"](ctx, {"base_rel": "work", "patterns": ["results/"]})["files"][0]
    assert _bytes(_read(ctx, expect=_expect(entry))) == DATA


def _in_disguise(path):
    """Replace a file by another one of the same size and time."""
    info = path.stat()
    path.write_bytes(b"x" * info.st_size)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [lambda path: path.write_bytes(b"other"), lambda path: os.utime(path, (1, 1)), _in_disguise],
    ids=["B85-other-bytes", "B85-touched", "same-size-and-time"],
)
def test_file_that_changed_since_its_manifest_is_refused_F22(ctx, results, change):
    entry = files.OPS["manifest"](ctx, {"base_rel": "work", "patterns": ["results/"]})["files"][0]
    change(results / "x")
    with pytest.raises(CellError) as caught:
        _read(ctx, expect=_expect(entry))
    assert caught.value.kind == "artifact_changed"


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "a//b", ".", "", "C:\\x", "a\\b", None])
def test_path_that_could_leave_the_base_is_refused_B80(ctx, path):
    with pytest.raises(CellError) as caught:
        _read(ctx, path)
    assert caught.value.kind == "artifact_unsafe_path"


@pytest.mark.parametrize(
    ("make", "path"),
    [
        pytest.param(lambda at: (at / "l").symlink_to("/etc/passwd"), "results/l", id="B81-link"),
        pytest.param(lambda at: (at / "l").symlink_to("/etc"), "results/l/passwd", id="B81-file-through-a-link"),
        pytest.param(lambda at: (at / "l").symlink_to("l"), "results/l", id="B81-loop"),
        pytest.param(lambda at: os.mkfifo(at / "l"), "results/l", id="B82-fifo"),
        pytest.param(lambda at: (at / "l").mkdir(), "results/l", id="folder"),
        pytest.param(lambda at: (at / "x").chmod(0o4755), "results/x", id="B82-setuid"),
    ],
)
def test_what_is_no_plain_file_is_not_read(ctx, results, make, path):
    make(results)
    with pytest.raises(CellError) as caught:
        _read(ctx, path)
    assert caught.value.kind == "artifact_unsafe_path"


def test_absent_file_is_missing_B88(ctx):
    with pytest.raises(CellError) as caught:
        _read(ctx, "results/none")
    assert caught.value.kind == "artifact_missing"


def test_descriptors_are_closed(ctx):
    before = len(os.listdir("/proc/self/fd"))
    _read(ctx)
    with pytest.raises(CellError):
        _read(ctx, expect={"size": 1})
    assert len(os.listdir("/proc/self/fd")) == before
