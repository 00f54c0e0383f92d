# SPDX-License-Identifier: MIT
"""A unit's output: kept byte for byte under a cap, and the command never waits for it."""

from __future__ import annotations

import hashlib
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


def test_200_megabytes_are_capped_with_head_and_tail_kept_F35(cell):
    size, cap = 200_000_000, 1 << 20
    source = "import sys\nfor i in range(20_000_000): sys.stdout.write('%09d\\n' % i)"
    cell.start(sys.executable, "-c", source, log_cap_bytes=cap, timeout_s=120)
    answer = cell.poll(wait_s=100, offset=size - 10)
    while answer["state"] == "running":
        answer = cell.poll(wait_s=100, offset=size - 10)
    kept = (cell.unit_dir() / "log").read_bytes()
    marker = logfile.marker(answer["dropped_bytes"])
    head, found, tail = kept.partition(marker)
    assert (answer["exit_code"], answer["log_bytes"], answer["truncated"]) == (0, size, True)
    assert found
    assert head == b"".join(b"%09d\n" % i for i in range(cap // 20 + 1))[: cap // 2]
    assert len(tail) >= cap // 4
    assert tail.endswith(b"019999998\n019999999\n")
    assert len(head) + len(tail) + answer["dropped_bytes"] == size
    assert len(kept) <= cap + len(marker)


def test_line_of_10_megabytes_is_kept_F35(cell):
    answer, log = cell.run_unit("sh", "-c", "head -c 10485760 /dev/zero | tr '\\0' x; echo")
    assert hashlib.sha256(log).digest() == hashlib.sha256(b"x" * 10485760 + b"\n").digest()
    assert answer["truncated"] is False


def test_million_lines_do_not_slow_the_command_or_swell_the_supervisor_F35(cell, eventually):
    cell.start("sh", "-c", "yes line | head -n 3000000; sleep 60", log_cap_bytes=1 << 20)
    eventually(lambda: cell.poll()["log_bytes"] == 15_000_000, "all lines were taken", limit_s=30)
    status = Path(f"/proc/{cell.status()['supervisor_pid']}/status").read_text()
    peak_kib = int(status.split("VmHWM:")[1].split()[0])
    assert peak_kib < 64 * 1024
    cell.call("supervise", action="kill", name="test")


def test_silence_is_not_death_F35(cell):
    cell.start("sleep", "60")
    assert cell.poll(wait_s=0.5)["state"] == "running"


def test_reader_that_comes_late_sees_the_marker_and_goes_on(cell):
    cell.run_unit("sh", "-c", "head -c 100000 /dev/zero | tr '\\0' a; echo end", log_cap_bytes=8192)
    _, log = cell.follow()
    assert log.startswith(b"a" * 4096 + b"\n[testcell: ")
    assert log.endswith(b"aend\n")
    assert log == (cell.unit_dir() / "log").read_bytes()


def test_file_size_limit_of_the_command_is_not_the_supervisors(cell):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    answer, log = cell.run_unit("sh", "-c", "ulimit -f 1; head -c 100000 /dev/zero")
    assert (answer["exit_code"], len(log)) == (0, 100000)
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == limit
