# SPDX-License-Identifier: MIT
"""Arguments have the shape that is asked for, or are refused by name."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import request
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


def test_absent_and_null_stand_for_the_empty_value():
    for args in ({}, {"k": None}):
        assert request.mapping(args, "k") == {}
        assert request.mappings(args, "k") == []
        assert request.flag(args, "k", True) is True
        assert request.choice(args, "k", ("a", "b"), "b") == "b"


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (request.mapping, [1]),
        (request.mappings, {}),
        (request.mappings, [1]),
        (lambda args, key: request.flag(args, key, True), "yes"),
        (lambda args, key: request.choice(args, key, ("a",), "a"), "z"),
    ],
)
def test_another_shape_is_refused_by_name(read, value):
    with pytest.raises(CellError, match=r"args\.k is") as caught:
        read({"k": value}, "k")
    assert caught.value.kind == "config_invalid"
