# SPDX-License-Identifier: MIT
"""GPUs as the vendors' tools tell them, and tools that fail."""

from __future__ import annotations

import os
import pwd

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
    found = gpus.read(smi(CARDS, "123, python3, GPU-aa, 4096\\n"), tmp_path)
    assert found.cards[0] == {
        "index": 0,
        "name": "NVIDIA H100 80GB HBM3",
        "uuid": "GPU-aa",
        "memory_total_bytes": 81559 * MIB,
        "memory_used_bytes": 4 * MIB,
        "utilization_percent": 37,
        "fault": "",
    }
    assert (found.cards[1]["memory_used_bytes"], found.cards[1]["utilization_percent"]) == (None, None)
    ((user,), told) = found.users, ("pid", "program", "uuid", "memory_used_bytes")
    assert tuple(user[key] for key in told) == (123, "python3", "GPU-aa", 4096 * MIB)
    assert found.error == ""


def test_whoever_wants_the_cards_alone_asks_for_them_alone(smi, tmp_path):
    environ = smi(CARDS, "123, python3, GPU-aa, 4096\\n")
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
    assert gpus.rows("0, Card, big, U, 1, 2\n\n", 5) == [["0", "Card, big", "U", "1", "2"]]


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
    assert found.cards == (
        {"index": 0, "name": "AMD GPU", "uuid": "u1", **memory, "utilization_percent": 12, "fault": ""},
    )


# Lines as nvidia-smi prints them for --query-gpu and --query-compute-apps with --format=csv,noheader,nounits.
CARD_LINES = {
    "plain": ("0, Tesla T4, GPU-a, 15360, 3, 0", 3, ""),
    "mig": ("0, NVIDIA A100-SXM4-40GB, GPU-a, 40960, 38, [N/A]", 38, ""),
    "old-driver": ("0, GeForce GT 710, GPU-a, 2002, 3, [Not Supported]", 3, ""),
    "no-memory-of-its-own": ("0, NVIDIA GB10, GPU-a, [N/A], [N/A], 0", None, ""),
    "no-right-to-look": (
        "0, NVIDIA H100, GPU-a, [Insufficient Permissions], [Insufficient Permissions], [N/A]",
        None,
        "",
    ),
    "unknown-error": ("0, NVIDIA A10, GPU-a, 23028, [Unknown Error], [Unknown Error]", None, "Unknown Error"),
    "err": ("0, NVIDIA A10, GPU-a, ERR!, ERR!, ERR!", None, "ERR!"),
    "reset": ("0, NVIDIA A10, GPU-a, 23028, 0, [GPU requires reset]", 0, "GPU requires reset"),
    "lost": ("0, NVIDIA A10, GPU-a, [GPU is lost], [GPU is lost], [GPU is lost]", None, "GPU is lost"),
}


@pytest.mark.parametrize("name", CARD_LINES)
def test_a_figure_that_is_not_told_differs_from_a_fault(smi, tmp_path, name):
    line, used, fault = CARD_LINES[name]
    (card,) = gpus.read(smi(line + "\\n"), tmp_path).cards
    memory = card["memory_used_bytes"]
    assert (None if memory is None else memory // MIB, card["fault"]) == (used, fault)


USER_LINES = {
    "plain": ("4711, /usr/bin/python3, GPU-a, 512", (4711, "/usr/bin/python3", 512)),
    "comma": ("4711, python3 -c a, b, GPU-a, 512", (4711, "python3 -c a, b", 512)),
    "name-not-found": ("4711, [Not Found], GPU-a, 512", (4711, "", 512)),
    "amount-not-told": ("4711, python3, GPU-a, [N/A]", (4711, "python3", None)),
    "no-right-to-look": (
        "[Insufficient Permissions], [Insufficient Permissions], GPU-a, [Insufficient Permissions]",
        (None, "", None),
    ),
}


@pytest.mark.parametrize("name", USER_LINES)
def test_users_are_read_as_far_as_they_are_told(smi, tmp_path, name):
    line, expected = USER_LINES[name]
    (user,) = gpus.read(smi(CARDS, line + "\\n"), tmp_path).users
    used = user["memory_used_bytes"]
    assert (user["pid"], user["program"], None if used is None else used // MIB) == expected
    assert user["uuid"] == "GPU-a"


def test_a_user_is_told_with_its_owner_and_age(smi, tmp_path):
    (user,) = gpus.read(smi(CARDS, f"{os.getpid()}, python3, GPU-aa, 1\\n"), tmp_path).users
    assert user["user"] == pwd.getpwuid(os.geteuid()).pw_name and user["age_s"] >= 0 and user["container"] == ""


BROKEN = {
    "mismatch": ("Failed to initialize NVML: Driver/library version mismatch", 18),
    "no-driver": (
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest",
        9,
    ),
    "lost-card": ("Unable to determine the device handle for GPU 0000:0B:00.0: Unknown Error", 255),
    "lost-card-beside-others": (f"{CARDS}Unable to determine the device handle for GPU 0000:0B:00.0: Unknown Error", 0),
    "old-tool": ('Field "memory.used" is not a valid field to query.', 2),
}


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_the_driver_says_instead_of_cards_is_an_error(smi, tmp_path, name):
    said, code = BROKEN[name]
    found = gpus.read(smi(said.replace("'", "'\\''"), code=code), tmp_path)
    assert said.splitlines()[-1].rpartition("\\n")[2] in found.error
    assert found.cards == ()


@pytest.mark.parametrize("code", [0, 6])
def test_no_device_and_no_process_are_empty_lists(smi, tmp_path, code):
    assert gpus.read(smi("No devices were found", code=code), tmp_path) == gpus.Gpus()
    assert gpus.read(smi(CARDS, "No running processes found"), tmp_path).users == ()
