# SPDX-License-Identifier: MIT
"""Few of the damaged and forged streams, and proof that the benchmark would see it if one of them did harm."""

from __future__ import annotations

import random

import damage
import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import receiver, staging
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.errors import ArtifactError

SEED = 20260131


@pytest.fixture
def bench(tmp_path):
    """A folder with a canary beside and above the staging folder."""
    return damage.Bench(tmp_path)


def test_f21_every_damaged_transfer_is_found(bench):
    dice = random.Random(SEED)
    found = damage.damages(bench, bench.make(dice), 600, dice)
    assert found["wrong"] == 0
    assert found["refused"] > 580
    assert found["refused"] + found["same"] == 600


def test_b80_b81_no_forged_stream_writes_outside(bench):
    dice = random.Random(SEED)
    bench.make(dice)
    made = damage.forgeries(bench, 500, dice)
    assert made["outside"] == 0
    assert min(made["taken"], made["refused"]) > 20


def test_a_receiver_that_proves_nothing_is_seen(bench, monkeypatch):
    monkeypatch.setattr(receiver.Receiver, "_prove_small", lambda *given: None)
    dice = random.Random(SEED)
    assert damage.damages(bench, bench.make(dice), 200, dice)["wrong"] > 2


def test_a_staging_folder_that_takes_every_path_is_seen(bench, monkeypatch):
    def anywhere(path):
        if not path.isprintable() or not 0 < len(path) < 200:
            raise ArtifactError("artifact_unsafe_path", "no path", [path])
        return "", path

    monkeypatch.setattr(staging, "split", anywhere)
    monkeypatch.setattr(receiver, "split", anywhere)
    dice = random.Random(SEED)
    bench.make(dice)
    assert damage.forgeries(bench, 400, dice)["outside"] == 1
