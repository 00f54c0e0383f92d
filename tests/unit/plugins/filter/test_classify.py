# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.enginelab.testcell.plugins.filter.classify import FilterModule

classify = FilterModule().filters()["classify"]


def test_a_text_and_a_result_give_the_same_words():
    text = classify("Bind for 0.0.0.0:80 failed: port is already allocated")
    assert (text["error_kind"], text["owner"], text["retriable"]) == ("port_conflict", "node", False)
    result = classify({"failed": True, "rc": 1, "stderr": "No space left on device"})
    assert result["error_kind"] == "disk_full" and set(text) == set(result)


def test_a_users_rules_come_first(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text("rules: [{id: mine, kind: gpu_fault, patterns: [frobnicator]}]\n")
    for rules in (str(path), [str(path)]):
        assert classify("the frobnicator", rules=rules)["rule"] == "mine"


def test_a_wrong_type_and_wrong_rules_are_named(tmp_path):
    with pytest.raises(AnsibleFilterError, match="got int; needed: text"):
        classify(7)
    path = tmp_path / "mine.yml"
    path.write_text("rules: [{id: mine, kind: nope, patterns: [x1]}]\n")
    with pytest.raises(AnsibleFilterError, match=r"mine\.yml:1:\d+: .*unknown error kind"):
        classify("x", rules=[str(path)])
