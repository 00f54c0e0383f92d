# SPDX-License-Identifier: MIT
"""Pieces of a machine: each comes or says why not, and one that hangs costs no other."""

from __future__ import annotations

import json
import time

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import system
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.system import Machine

XID = "[ 12.5] NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', GPU has fallen off the bus.\n"


class Engine:
    def __init__(self, hangs=""):
        self.hangs = hangs

    def call(self, _method, path, timeout):
        if path == self.hangs:
            raise CellError("docker_timeout", f"{path} did not answer within {timeout:g} s")
        return {"path": path}


@pytest.fixture
def machine(tmp_path):
    """A machine of files below tmp_path; machine(NAME=SHELL TEXT) gives it programs."""

    def make(hangs="", **programs):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        for name in ("dmesg", "journalctl", "df", "ps", "nvidia-smi"):
            program = folder / name
            program.write_text("#!/bin/sh\n" + programs.get(name.replace("-", "_"), "echo " + name + ' "$@"\n'))
            program.chmod(0o755)
        return Machine({"PATH": f"{folder}:/bin:/usr/bin"}, Engine(hangs), 1700000000.9, root=tmp_path)

    return make


def found(machine):
    return dict(system.pieces(machine))


def test_each_piece_comes_once(machine):
    names = [name for name, _ in system.pieces(machine())]
    assert len(names) == len(set(names)) == len(system.FILES) + len(system.COMMANDS) + len(system.ENGINE_CALLS) + 6


def test_xid_lines_are_picked_out_of_the_kernel_s_log(machine):
    pieces = found(machine(dmesg=f"echo other; cat <<'END'\n{XID}END\n"))
    assert pieces["dmesg.txt"].decode() == "other\n" + XID
    assert pieces["xid.txt"].decode() == "# 1 lines about Xid errors in the kernel's log\n" + XID


def test_a_kernel_s_log_that_cannot_be_read_says_nothing_of_xid_errors(machine):
    pieces = found(machine(dmesg="echo dmesg: not permitted >&2; exit 1\n"))
    assert "not permitted" in pieces["dmesg.txt"]
    assert isinstance(pieces["xid.txt"], str)


def test_a_dmesg_without_times_is_taken(machine):
    pieces = found(machine(dmesg='[ "$#" = 0 ] || exit 1\necho plain\n'))
    assert pieces["dmesg.txt"] == b"plain\n"


def test_the_journal_is_asked_for_since_the_case_began(machine):
    pieces = found(machine())
    assert pieces["journal_kernel.txt"].startswith(b"journalctl -k --since=@1700000000 ")
    assert b"-u docker.service -u containerd.service --since=@1700000000" in pieces["journal_engine.txt"]


def test_what_hangs_is_named_and_the_rest_comes(machine, monkeypatch):
    monkeypatch.setattr(system, "PIECE_S", 0.5)
    pieces = found(machine(hangs="/system/df", nvidia_smi="sleep 600\n", df="exec sleep 600\n"))
    assert pieces["nvidia-smi.txt"] == pieces["nvidia-smi.csv"] == "nvidia-smi did not end within 0.5 s"
    assert pieces["docker_system_df.json"] == "/system/df did not answer within 0.5 s"
    assert json.loads(pieces["docker_info.json"]) == {"path": "/info"}
    assert pieces["processes.txt"].startswith(b"ps ")


def test_all_pieces_together_have_a_limit(machine, monkeypatch):
    monkeypatch.setattr(system, "WHOLE_S", 1.0)
    began = time.monotonic()
    pieces = found(machine(**dict.fromkeys(("dmesg", "journalctl", "df", "ps", "nvidia_smi"), "exec sleep 5\n")))
    assert time.monotonic() - began < 5
    late = {
        name
        for name, content in pieces.items()
        if content == "it did not come within the 1 s that all pieces have together"
    }
    assert {"dmesg.txt", "xid.txt", "journal_kernel.txt"} <= late


def test_settings_are_told_without_keys(machine, tmp_path):
    folder = tmp_path / "proc/sys/net/ipv4"
    folder.mkdir(parents=True)
    (folder / "tcp_fastopen_key").write_text("0123-4567\n")
    (folder / "tcp_rmem").write_text("4096\t131072\t6291456\n")
    assert (
        found(machine())["sysctl.txt"].decode()
        == "net.ipv4.tcp_fastopen_key = ***\nnet.ipv4.tcp_rmem = 4096 131072 6291456\n"
    )


def test_counters_of_infiniband_ports_are_told(machine, tmp_path):
    assert found(machine())["infiniband.txt"] == "there is no InfiniBand device"
    folder = tmp_path / "sys/class/infiniband/mlx5_0/ports/1/counters"
    folder.mkdir(parents=True)
    (folder / "symbol_error").write_text("7\n")
    assert found(machine())["infiniband.txt"] == b"mlx5_0/ports/1/counters/symbol_error 7\n"


def test_a_file_that_is_absent_is_named(machine):
    assert "No such file" in found(machine())["meminfo.txt"]


def test_the_end_of_a_long_piece_is_kept_in_whole_lines(machine, monkeypatch):
    monkeypatch.setattr(system, "KEPT", 20)
    assert found(machine(ps="seq 1000 2000\n"))["processes.txt"] == b"1998\n1999\n2000\n"
