# SPDX-License-Identifier: MIT
"""Failures: filled from the table, kept in order of time."""

from __future__ import annotations

import json

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import failure
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict.kinds import KindError


def test_owner_and_retry_come_from_the_table() -> None:
    made = failure.of(
        "service_died", "decode exited", at=5.0, step="test", node="n1", service="decode", evidence=["log"]
    )
    assert (made.owner, made.retriable, made.evidence) == ("engine", True, ("log",))


def test_an_alias_becomes_its_kind() -> None:
    assert failure.of("upstream_disconnect", "x", at=0).error_kind == "http_reset"


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(KindError, match="unknown error kind"):
        failure.of("sparks", "x", at=0)


def test_a_retry_rule_that_depends_on_the_case_may_be_given() -> None:
    assert failure.of("port_conflict", "held by us", at=0, retriable=True).retriable is True
    assert failure.of("port_conflict", "held by a stranger", at=0).retriable is False


def test_a_fixed_retry_rule_may_not_be_overruled() -> None:
    with pytest.raises(KindError, match="ssh_auth is not retriable"):
        failure.of("ssh_auth", "x", at=0, retriable=True)


def test_a_failure_survives_json() -> None:
    made = failure.of("disk_full", "no space", at=1.5, node="n1", evidence=("df", "log"))
    assert failure.from_dict(json.loads(json.dumps(made.as_dict()))) == made


def test_the_earliest_failure_wins_and_later_ones_never_replace_it() -> None:
    early, late = failure.of("gpu_oom", "first", at=1.0), failure.of("http_reset", "second", at=2.0)
    assert failure.first([late, early]) is early
    assert failure.first([early, failure.of("http_5xx", "same time", at=1.0)]) is early
    assert failure.first([]) is None
