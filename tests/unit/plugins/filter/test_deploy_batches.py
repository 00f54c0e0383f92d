# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.enginelab.testcell.plugins.filter.deploy_batches import FilterModule

deploy_batches = FilterModule().filters()["deploy_batches"]


def test_the_filter_gives_batches_in_start_order():
    needs = {"router": ["prefill", "decode"], "prefill": [], "decode": []}
    assert deploy_batches(needs) == [["prefill", "decode"], ["router"]]


@pytest.mark.parametrize(
    ("value", "words"),
    [({"a": ["b"], "b": ["a"]}, "wait for each other"), (["a"], "got list; needed: a mapping")],
    ids=["B29 cycle", "list"],
)
def test_what_is_wrong_is_said(value, words):
    with pytest.raises(AnsibleFilterError, match=words):
        deploy_batches(value)
