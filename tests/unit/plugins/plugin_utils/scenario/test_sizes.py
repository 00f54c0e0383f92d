# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.sizes import parse_size


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24GB", 24 * 10**9),
        ("24GiB", 24 * 2**30),
        ("512 MiB", 512 * 2**20),
        ("1.5TB", 15 * 10**11),
        ("80 GB", 80 * 10**9),
    ],
)
def test_sizes_become_bytes(text, expected):
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    "text", ["24", "24 gigs", "-1GB", "0GB", "24gb", "24G", "", "GB", "1e3GB", "24GB ", "24  GB", "٣GB"]
)
def test_B31_anything_else_is_no_size(text):
    assert parse_size(text) is None
