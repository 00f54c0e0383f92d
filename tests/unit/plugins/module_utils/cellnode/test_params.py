# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import params
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


def test_absent_and_null_stand_for_the_default():
    for args in ({}, {"k": None}):
        assert params.number(args, "k", 1.5, 0, 9) == 1.5
        assert params.integer(args, "k", 2, 0, 9) == 2
        assert params.text(args, "k", "d") == "d"
        assert params.texts(args, "k") == ()


@pytest.mark.parametrize(
    ("read", "bad"),
    [
        *(
            (lambda args: params.number(args, "k", 1, 0, 9), bad)
            for bad in (-1, 10, "5", True, float("nan"), [], 1e300)
        ),
        *((lambda args: params.integer(args, "k", 1, 0, 9), bad) for bad in (-1, 10, 1.0, "5", False)),
        *((lambda args: params.text(args, "k"), bad) for bad in (None, 5, "a\0b", ["a"])),
        *((lambda args: params.texts(args, "k"), bad) for bad in ("a", [1], ["a\0"], {"a": 1})),
    ],
)
def test_wrong_value_is_refused_with_key_value_and_what_is_allowed(read, bad):
    with pytest.raises(CellError) as caught:
        read({"k": bad})
    assert caught.value.kind == "config_invalid"
    assert caught.value.message.startswith(f"args.k is {bad!r}; allowed: ")
