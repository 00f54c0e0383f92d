# SPDX-License-Identifier: MIT

from __future__ import annotations

from typing import Any

import pytest

from testcell import exits
from testcell.cli import execution
from testcell.runner import Outcome, TaskFailure


def outcome(rc: int, *failures: TaskFailure, number: int = 0) -> Outcome:
    return Outcome(rc, "failed", number, int(number > 0), 1.0, failures, {}, ("", "last words"), None)


def failed(message: str = "no", **more: Any) -> TaskFailure:
    return TaskFailure("node1", "Do it", message, False, **{"failure": {}, **more})


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("config_invalid", 3),
        ("inventory_invalid", 3),
        ("compose_invalid", 3),
        ("secret_missing", 3),
        ("lock_held", 6),
        ("cleanup_failed", 7),
        ("cancelled", 130),
        ("ssh_refused", 5),
        ("unknown", 5),
        ("", 5),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(kind: str, code: int) -> None:
    assert exits.of_kind(kind) == code


@pytest.mark.parametrize(
    ("summary", "code"),
    [
        ({"exit_code": 0}, 0),
        ({"exit_code": 4}, 4),
        ({"exit_code": 7}, 7),
        ({"exit_code": 99}, 5),
        ({"exit_code": "0"}, 5),
        ({}, 5),
    ],
)
def test_only_codes_of_ours_are_taken_from_a_summary(summary: dict[str, Any], code: int) -> None:
    assert exits.of_summary(summary) == code


@pytest.mark.parametrize("rc", [1, 2, 4, 5, 8, 99, 127, 250, 254, -9])
def test_codes_of_ansible_are_never_passed_on(rc: int) -> None:
    error = execution.explain(outcome(rc))
    assert error.code in (5, 130) and error.message
    assert "last words" in error.message


def test_an_unactivated_environment_says_what_is_missing() -> None:
    assert "ansible-playbook could not be started" in execution.explain(outcome(127)).message


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143), (1, 129)])
def test_a_signal_before_the_first_case_is_its_exit_code(number: int, code: int) -> None:
    assert execution.explain(outcome(254, number=number)).code == code


def test_wrong_input_found_by_the_playbook_keeps_its_problems() -> None:
    error = execution.explain(outcome(2, failed("a: b", problems=({"file": "a", "message": "b"},))))
    assert error.code == 3 and error.problems == ({"file": "a", "message": "b"},)


def test_wrong_usage_found_by_the_playbook_is_usage() -> None:
    assert execution.explain(outcome(2, failed("a: b", problems=({"message": "b"},), usage=True))).code == 2


def test_a_failure_of_ours_says_the_next_step() -> None:
    error = execution.explain(outcome(2, failed("node1 is held", failure={"error_kind": "lock_held"})))
    assert error.code == 6 and "wait for the run" in error.hint and "node1: Do it: node1 is held" in error.message
