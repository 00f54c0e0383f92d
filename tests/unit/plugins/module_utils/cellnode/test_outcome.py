# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.outcome import Limits, Outcome, judge, on_disk
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.room import Fault

LIMITS = Limits(time_s=60, grace_s=10)


@pytest.mark.parametrize(
    ("cause", "wait_status", "unkillable", "expected"),
    [
        pytest.param(None, 0, 0, Outcome("exited", 0, None, "", ""), id="success"),
        pytest.param(None, 3 << 8, 0, Outcome("exited", 3, None, "test_failed", "t ended with exit status 3"), id="exit-3"),
        pytest.param(
            None, 6, 0, Outcome("exited", None, 6, "test_failed", "t was ended by signal 6 (SIGABRT)"), id="abort"
        ),
        pytest.param(
            "timeout", 15, 0,
            Outcome("timed_out", None, 15, "test_timeout", "t was stopped: it ran for 60 s, its limit"), id="time-limit",
        ),
        pytest.param(
            "timeout", 9, 0,
            Outcome(
                "timed_out", None, 9, "test_timeout",
                "t was stopped, by KILL after 10 s of grace: it ran for 60 s, its limit",
            ), id="F31-term-ignored",
        ),
        pytest.param(
            "timeout", 0, 0,
            Outcome("timed_out", 0, None, "test_timeout", "t was stopped: it ran for 60 s, its limit"), id="clean-exit-too-late",
        ),
        pytest.param(
            "requested", 15, 0, Outcome("killed", None, 15, "cancelled", "t was stopped: that was asked for"), id="request"
        ),
        pytest.param(
            "lease", 15, 0,
            Outcome(
                "killed", None, 15, "controller_died",
                "t was stopped: its run's lease on this node ended and nobody renewed it",
            ), id="F04-lease",
        ),
        pytest.param(
            None, 0, 2, Outcome("exited", 0, None, "process_leak", "2 of its processes could not be killed"), id="F34-leak"
        ),
        pytest.param(
            "timeout", None, 1,
            Outcome(
                "timed_out", None, None, "test_timeout",
                "t was stopped: it ran for 60 s, its limit; 1 of its processes could not be killed",
            ), id="F34-unkillable-command",
        ),
    ],
)  # fmt: skip
def test_outcome_names_state_kind_and_reason(cause, wait_status, unkillable, expected):
    assert judge("t", cause, wait_status, LIMITS, unkillable) == expected


def test_real_time_signal_has_a_number():
    assert "signal 35 (35)" in judge("t", None, 35, LIMITS).message


def test_f26_a_failure_where_nothing_can_be_written_is_the_disks():
    end = on_disk(judge("t", None, 1 << 8, LIMITS), Fault("disk_full", "is full (0 bytes are free)"))
    assert (end.state, end.exit_code, end.error_kind) == ("exited", 1, "disk_full")
    assert end.message == "t ended with exit status 1; the file system of its folder is full (0 bytes are free)"


@pytest.mark.parametrize(("cause", "wait_status"), [(None, 0), ("timeout", 15), ("requested", 15)])
def test_other_ends_are_not_the_disks(cause, wait_status):
    end = judge("t", cause, wait_status, LIMITS)
    assert on_disk(end, Fault("disk_full", "is full")) == end
