# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
import sys
from types import ModuleType

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import digests


@pytest.mark.parametrize(
    ("theirs", "ours", "name"),
    [
        ({"sha256": 400.0, "blake2b": 700.0}, {"sha256": 1800.0, "blake2b": 900.0}, "blake2b"),
        ({"sha256": 1500.0, "blake2b": 700.0}, {"sha256": 1800.0, "blake2b": 900.0}, "sha256"),
        ({"sha256": 400.0, "blake3": 4000.0}, {"sha256": 400.0}, "sha256"),
        ({"sha256": 400.0, "blake3": 4000.0}, {"sha256": 400.0, "blake3": 3000.0}, "blake3"),
        ({"xxh3_128": 9.0}, {"sha256": 400.0, "xxh3_128": 9000.0}, "xxh3_128"),
        ({"md5": 9000.0, "sha256": 1.0}, {"md5": 9000.0, "sha256": 1.0}, "sha256"),
        ({"md5": 9000.0}, {"md5": 9000.0}, ""),
        ({}, {"sha256": 1.0}, ""),
    ],
)
def test_the_slower_end_of_the_chosen_one_is_the_fastest(theirs, ours, name):
    assert digests.choose(theirs, ours) == name


def test_every_name_that_is_measured_is_there():
    found = digests.speeds(("sha256", "blake2b", "md5", "sha1", "nothing"))
    assert set(found) == {"sha256", "blake2b"}
    assert min(found.values()) > 1


def test_a_machine_that_others_keep_busy_is_measured_by_its_best(monkeypatch):
    """The first call reads a library, and one may be held up for longer than all of the measuring is to take."""
    now, lengths = [0.0], iter([0.05, 0.02, 0.02, *[1e-4] * 100])

    def new(_data):
        now[0] += next(lengths)

    monkeypatch.setattr(digests.time, "perf_counter", lambda: now[0])
    assert digests.speed(new) == pytest.approx(len(digests.SAMPLE) / 1e-4 / 1e6)


def test_a_module_that_is_loaded_makes_the_digest():
    module = ModuleType("blake3")
    module.blake3 = hashlib.sha512
    assert digests.factory("blake3", {"blake3": module}.get) is hashlib.sha512
    assert digests.factory("blake3", lambda name: None) is None
    assert digests.factory("none", lambda name: module) is None


def test_only_folders_of_the_system_are_looked_at(tmp_path, monkeypatch):
    (tmp_path / "xxhash.py").write_text("xxh3_128 = 'of a user'")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(digests, "FOLDERS", ())
    monkeypatch.delitem(sys.modules, "xxhash", raising=False)
    assert digests.of_system("xxhash") is None
    monkeypatch.setattr(digests, "FOLDERS", (str(tmp_path),))
    assert digests.factory("xxh3_128") == "of a user"
    monkeypatch.delitem(sys.modules, "xxhash")


@pytest.mark.parametrize(
    "code",
    ["raise ImportError('wrong ELF class')", "match x:", "print(absent)", "import ctypes; ctypes.CDLL('/absent.so')"],
)
def test_a_module_made_for_another_python_counts_as_absent(tmp_path, monkeypatch, code):
    (tmp_path / "xxhash.py").write_text(code)
    monkeypatch.setattr(digests, "FOLDERS", (str(tmp_path),))
    monkeypatch.delitem(sys.modules, "xxhash", raising=False)
    assert digests.of_system("xxhash") is None
    assert "xxhash" not in sys.modules
