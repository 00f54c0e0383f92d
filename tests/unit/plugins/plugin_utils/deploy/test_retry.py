# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.retry import Decision, decide
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import kinds

TWICE = {"retries": 2, "delay_s": 30, "only_failed": True}
NEVER = {**TWICE, "retries": 0}
LEFTOVER = {"port": 80, "pid": 4, "program": "docker-proxy", "container": "old-engine-1", "run": "20260101_000000"}
STRANGER = {"port": 80, "pid": 77, "program": "nginx", "container": "", "run": ""}

AGAIN = """
    ssh_refused ssh_timeout ssh_dropped dns_failure node_unreachable
    docker_daemon_down docker_timeout name_conflict docker_leftover container_gone
    image_corrupt registry_rate_limited registry_unreachable
    container_exited service_unhealthy health_timeout service_flapping service_died
    nccl_timeout nccl_error engine_dead kv_transfer_failed
    http_refused http_reset http_timeout http_5xx overloaded
"""
NOT_AGAIN = """
    config_invalid compose_invalid chaos_invalid template_error secret_missing result_invalid inventory_invalid
    ssh_auth ssh_hostkey privilege interpreter_missing locale_error
    disk_full fs_readonly io_error resource_limit node_oom clock_skew process_leak
    docker_permission docker_api_mismatch network_exhausted gpu_runtime_missing image_not_found image_auth
    container_oom mount_invalid dependency_failed
    gpu_oom kv_cache_too_small engine_start_failed gpu_missing gpu_driver_mismatch gpu_fault
    shm_too_small nccl_config model_not_found model_access
    http_4xx tls_error response_invalid request_blocked
    test_failed test_timeout bench_failed bench_no_data bench_partial cancelled
    cleanup_failed chaos_not_reverted chaos_unsupported internal_error unknown
"""
NO_MATTER_OF_A_START = """
    artifact_missing artifact_corrupt artifact_changed artifact_unsafe_path artifact_too_large transfer_failed
    auth_failed token_revoked protocol_error queue_full duplicate_task orphan_task
    hub_disconnected hub_unavailable log_stream_lost agent_lost work_dir_error
    db_locked db_corrupt db_readonly lock_held controller_died
"""
BY_HOLDER = ["port_conflict"]
DECIDED = {
    **dict.fromkeys(AGAIN.split(), True),
    **dict.fromkeys([*NOT_AGAIN.split(), *NO_MATTER_OF_A_START.split()], False),
}


def test_every_kind_is_decided_on_purpose():
    assert {*DECIDED, *BY_HOLDER} == set(kinds.KINDS)


@pytest.mark.parametrize(("kind", "again"), DECIDED.items(), ids=list(DECIDED))
def test_only_what_a_new_start_can_mend_is_started_again(kind, again):
    decision = decide(kind, 1, TWICE)
    assert (decision.again, decision.delay_s, decision.clean_first) == (again, 30.0 if again else 0.0, False)
    assert kind in decision.reason
    assert not decide(kind, 1, NEVER).again


@pytest.mark.parametrize(
    ("tries_done", "retry", "again", "reason"),
    [
        (1, NEVER, False, "retries are off"),
        (1, TWICE, True, "retry 1 of 2 after service_died"),
        (2, TWICE, True, "retry 2 of 2 after service_died"),
        (3, TWICE, False, "no retry is left of 2"),
    ],
)
def test_a_service_is_started_again_as_often_as_was_asked(tries_done, retry, again, reason):
    decision = decide("service_died", tries_done, retry)
    assert (decision.again, decision.reason) == (again, reason)


@pytest.mark.parametrize(
    ("tries_done", "retry", "holder", "expected"),
    [
        (
            1,
            NEVER,
            LEFTOVER,
            Decision(
                True,
                0.0,
                True,
                "the port is held by container old-engine-1, a leftover of run 20260101_000000, which is cleaned",
            ),
        ),
        (2, NEVER, LEFTOVER, "a leftover of run 20260101_000000 again after it was cleaned"),
        (3, TWICE, LEFTOVER, "again after it was cleaned"),
        (1, TWICE, {**LEFTOVER, "run": "20260202_000000"}, "container old-engine-1 of this run"),
        (1, TWICE, STRANGER, "the port is held by pid 77 (nginx), which is not ours"),
        (1, TWICE, {**STRANGER, "program": ""}, "pid 77 (unknown program), which is not ours"),
        (1, TWICE, {**STRANGER, "container": "theirs-1"}, "container theirs-1, which is not ours"),
        (1, TWICE, {**STRANGER, "pid": None}, "a process that cannot be seen, which is not ours"),
        (1, TWICE, None, "a process that cannot be seen, which is not ours"),
    ],
    ids=[
        "our leftover, even without retries",
        "our leftover came back",
        "our leftover comes back with every retry",
        "a service of this run",
        "a stranger",
        "a stranger's program is hidden",
        "a stranger's container",
        "nobody to be seen",
        "nobody was looked for",
    ],
)
def test_a_taken_port_is_cleaned_of_our_leftover_and_left_to_a_stranger(tries_done, retry, holder, expected):
    decision = decide("port_conflict", tries_done, retry, holder, run_id="20260202_000000")
    if isinstance(expected, str):
        assert not decision.again and not decision.clean_first and expected in decision.reason
    else:
        assert decision == expected


def test_a_wire_alias_is_decided_as_its_kind_and_an_unknown_kind_is_named():
    assert decide("upstream_disconnect", 1, TWICE) == decide("http_reset", 1, TWICE)
    with pytest.raises(kinds.KindError, match="servicedied"):
        decide("servicedied", 1, TWICE)
