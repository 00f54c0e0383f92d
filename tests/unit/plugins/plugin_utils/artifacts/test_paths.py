# SPDX-License-Identifier: MIT
"""What a path may be that comes from elsewhere."""

from __future__ import annotations

import odd
import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import paths


@pytest.mark.parametrize("path", odd.UNSAFE, ids=ascii)
def test_b80_what_could_lead_elsewhere_is_neither_plain_nor_safe(path):
    assert (paths.is_plain(path), paths.is_safe(path)) == (False, False)


@pytest.mark.parametrize("path", odd.UNMADE, ids=lambda path: ascii(path)[:20])
def test_b80_b82_what_no_file_is_made_of_is_plain_and_not_safe(path):
    assert (paths.is_plain(path), paths.is_safe(path)) == (True, False)


LONGEST = "/".join(["é" * 127] * 16)[: paths.PATH_BYTES // 2]


@pytest.mark.parametrize(
    "path", [*odd.NAMES.values(), "a/b", "a/" + "x" * 255, LONGEST], ids=lambda path: ascii(path)[:20]
)
def test_b84_all_that_a_file_can_be_called_is_safe(path):
    assert paths.is_safe(path)
    assert paths.is_safe(f"{path}/{path}") is (len(path) < 1000)
