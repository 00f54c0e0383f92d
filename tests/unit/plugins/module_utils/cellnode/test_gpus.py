# SPDX-License-Identifier: MIT
"""GPUs as the vendors' tools tell them, and tools that fail."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import gpus

MIB = 1 << 20
CARDS = "0, NVIDIA H100 80GB HBM3, GPU-aa, 81559, 4, 37\\n1, NVIDIA H100, GPU-bb, 81559, [N/A], [N/A]\\n"
NONE = "/nonexistent"


@pytest.fixture
def smi(tmp_path, monkeypatch):
    """Put a tool of this behaviour on the PATH."""
    monkeypatch.setattr(
        "ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.command.DEFAULT_PATH", "/bin"
    )

    def make(cards="", users="", code=0):
        tool = tmp_path / "nvidia-smi"
        tool.write_text(
            f"#!/bin/sh\ncase $1 in\n*query-gpu*) printf '{cards}';;\n*compute-apps*) printf '{users}';;\nesac\nexit {code}\n"
        )
        tool.chmod(0o755)
        return {"PATH": str(tmp_path)}

    return make


def test_cards_and_their_users_are_listed(smi, tmp_path):
    found = gpus.read(smi(CARDS, "123, GPU-aa, 4096\\n"), tmp_path)
    assert found.cards[0] == {
        "index": 0,
        "name": "NVIDIA H100 80GB HBM3",
        "uuid": "GPU-aa",
        "memory_total_bytes": 81559 * MIB,
        "memory_used_bytes": 4 * MIB,
        "utilization_percent": 37,
    }
    assert (found.cards[1]["memory_used_bytes"], found.cards[1]["utilization_percent"]) == (None, None)
    assert found.users == ({"pid": 123, "uuid": "GPU-aa", "memory_used_bytes": 4096 * MIB},)
    assert found.error == ""


def test_whoever_wants_the_cards_alone_asks_for_them_alone(smi, tmp_path):
    environ = smi(CARDS, "123, GPU-aa, 4096\\n")
    tool = tmp_path / "nvidia-smi"
    tool.write_text(tool.read_text().replace("*compute-apps*)", "*compute-apps*) exit 9;;\n*other*)"))
    assert [card["index"] for card in gpus.read(environ, tmp_path, users=False).cards] == [0, 1]
    assert "exit code 9" in gpus.read(environ, tmp_path).error


def test_no_tool_is_no_gpu_and_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.command.DEFAULT_PATH", NONE
    )
    assert gpus.read({"PATH": NONE}, tmp_path) == gpus.Gpus()


def test_a_broken_driver_is_an_error(smi, tmp_path):
    found = gpus.read(smi("Failed to initialize NVML: Driver/library version mismatch", code=18), tmp_path)
    assert found.cards == ()
    assert "exit code 18: Failed to initialize NVML" in found.error


def test_a_tool_that_finds_no_device_is_no_error(smi, tmp_path):
    assert gpus.read(smi("No devices were found", code=6), tmp_path).error == ""


def test_a_tool_that_hangs_is_an_error(smi, tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "TIMEOUT_S", 0.05)
    environ = smi()
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexec sleep 60\n")
    assert "did not answer" in gpus.read(environ, tmp_path).error


def test_a_comma_in_a_name_stays_in_the_name():
    assert gpus.rows("0, Card, big, U, 1, 2\nnoise\n", 5) == [["0", "Card, big", "U", "1", "2"]]


def test_amd_cards_are_read_from_the_kernel(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.command.DEFAULT_PATH", NONE
    )
    for name, vendor in (("card0", "0x1002"), ("card1", "0x8086")):
        device = tmp_path / name / "device"
        device.mkdir(parents=True)
        for file, text in (
            ("vendor", vendor),
            ("mem_info_vram_total", "1000"),
            ("mem_info_vram_used", "10"),
            ("gpu_busy_percent", "12"),
            ("unique_id", "u1"),
        ):
            (device / file).write_text(text + "\n")
    found = gpus.read({"PATH": NONE}, tmp_path)
    memory = {"memory_total_bytes": 1000, "memory_used_bytes": 10}
    assert found.cards == ({"index": 0, "name": "AMD GPU", "uuid": "u1", **memory, "utilization_percent": 12},)
