# SPDX-License-Identifier: MIT
"""Messages as programs print them, each with the kind that a person gave it: how many of them the rules know."""

from __future__ import annotations

import json
from pathlib import Path

from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify import decide
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import kinds

MESSAGES = [json.loads(line) for line in (Path(__file__).parent / "data" / "messages.jsonl").read_text().splitlines()]


def test_the_rules_know_messages_of_every_group():
    found = [(kinds.get(one["error_kind"]), decide.classify(one["text"])) for one in MESSAGES]
    count = len(found)
    assert {kind.group for kind, _ in found} == {kind.group for kind in kinds.KINDS.values()}
    right = sum(said.error_kind == kind.name for kind, said in found)
    retriable = sum(said.retriable == kind.retriable for kind, said in found)
    missed = sum(said.error_kind == "unknown" != kind.name for kind, said in found)
    assert right / count >= 0.95
    assert retriable / count >= 0.98
    assert missed / count <= 0.03


def test_no_retry_is_promised_that_cannot_help():
    wrong = [
        one["text"]
        for one in MESSAGES
        if decide.classify(one["text"]).retriable and not kinds.get(one["error_kind"]).retriable
    ]
    assert not wrong
