# SPDX-License-Identifier: MIT
"""A unit's output: kept byte for byte under a cap, and the command never waits for it."""

from __future__ import annotations

import hashlib
import re
import resource
import sys
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import logfile

ODD = {
    "F36-invalid-utf8": b"a\xff\xfe\x80b\n",
    "F36-nul": b"a\0\0b\n",
    "F36-ansi": b"\x1b[31mred\x1b[0m\n",
    "F36-carriage-return": b"10%\r20%\r100%\n",
    "F36-four-bytes-and-rtl": "\U0001f600 \u202eabc \u05d0\n".encode(),
    "F36-our-own-protocol": b'@cell {"result": {"state": "exited", "exit_code": 0}}\n',
    "F36-our-own-marker": logfile.marker(5),
    "F36-no-line-end": b"no line end",
    "F36-every-byte": bytes(range(256)) * 3,
    "F36-nothing": b"",
}


@pytest.mark.parametrize("data", [pytest.param(data, id=name) for name, data in ODD.items()])
def test_every_byte_is_kept(cell, tmp_path, data):
    (tmp_path / "data").write_bytes(data)
    answer, log = cell.run_unit("cat", str(tmp_path / "data"))
    assert log == data
    assert (cell.unit_dir() / "log").read_bytes() == data
    assert (answer["log_bytes"], answer["truncated"], answer["exit_code"]) == (len(data), False, 0)


def test_both_outputs_are_kept_in_their_order(cell):
    _, log = cell.run_unit("sh", "-c", "echo 1; echo 2 >&2; echo 3; echo 4 >&2")
    assert log == b"1\n2\n3\n4\n"


GIB = 1 << 30
BLOCK = 1 << 20
WRITER = """
import os, sys
for number in range(1024):
    block = memoryview((b"%015d\\n" % number) * 65536)
    while block:
        block = block[os.write(1, block):]
"""


def _block(number: int) -> bytes:
    """Return the numbered MiB of what WRITER writes."""
    return (b"%015d\n" % number) * 65536


def _peak_kib(pid: int) -> int:
    """Return the most memory that a process had at once."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0])


def test_gibibyte_is_capped_with_head_and_tail_kept_F35(cell, tmp_path, eventually):
    cap, go = 4 * BLOCK, tmp_path / "go"
    (tmp_path / "writer.py").write_text(WRITER)
    script = f"{sys.executable} -S {tmp_path}/writer.py; until [ -e {go} ]; do sleep 0.05; done"
    cell.start("sh", "-c", script, log_cap_bytes=cap, timeout_s=120)
    eventually(lambda: cell.poll(offset=GIB, wait_s=1)["log_bytes"] == GIB, "all was taken", limit_s=100)
    assert sum(path.stat().st_size for path in cell.unit_dir().glob("log.*")) <= cap
    assert _peak_kib(cell.status()["supervisor_pid"]) < 64 * 1024
    go.touch()
    answer = cell.poll(offset=GIB, wait_s=60)
    assert (answer["state"], answer["exit_code"], answer["log_bytes"]) == ("exited", 0, GIB)
    kept = (cell.unit_dir() / "log").read_bytes()
    marker = logfile.marker(answer["dropped_bytes"])
    head, found, tail = kept.partition(marker)
    assert found
    assert head == _block(0) + _block(1)
    assert cap // 4 <= len(tail) <= cap // 2
    assert tail == (_block(1022) + _block(1023))[-len(tail) :]
    assert len(head) + len(tail) + answer["dropped_bytes"] == GIB


def test_line_of_10_megabytes_is_kept_F35(cell):
    answer, log = cell.run_unit("sh", "-c", "head -c 10485760 /dev/zero | tr '\\0' x; echo")
    assert hashlib.sha256(log).digest() == hashlib.sha256(b"x" * 10485760 + b"\n").digest()
    assert answer["truncated"] is False


def test_million_lines_do_not_slow_the_command_or_swell_the_supervisor_F35(cell, eventually):
    cell.start("sh", "-c", "yes line | head -n 3000000; sleep 60", log_cap_bytes=1 << 20)
    eventually(lambda: cell.poll()["log_bytes"] == 15_000_000, "all lines were taken", limit_s=30)
    assert _peak_kib(cell.status()["supervisor_pid"]) < 64 * 1024
    cell.call("supervise", action="kill", name="test")


def test_silence_is_not_death_F35(cell):
    cell.start("sleep", "60")
    assert cell.poll(wait_s=0.5)["state"] == "running"


def test_reader_that_comes_late_sees_the_marker_and_goes_on(cell):
    answer, _ = cell.run_unit("sh", "-c", "seq 100000 120000; echo end", log_cap_bytes=8192)
    _, log = cell.follow()
    kept = re.split(rb"\n\[testcell: (\d+) bytes of output dropped here\]\n", log)
    head, dropped, tail = kept[0].split(), int(kept[1]), kept[2].split()
    assert head == [b"%d" % number for number in range(100000, 100000 + len(head))]
    assert len(head) == 4096 // 7
    assert tail == [*(b"%d" % number for number in range(120001 - len(tail) + 1, 120001)), b"end"]
    assert len(kept[0]) + dropped + len(kept[2]) == answer["log_bytes"]


def test_file_size_limit_of_the_command_is_not_the_supervisors(cell):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    answer, log = cell.run_unit("sh", "-c", "ulimit -f 1; head -c 100000 /dev/zero")
    assert (answer["exit_code"], len(log)) == (0, 100000)
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == limit
