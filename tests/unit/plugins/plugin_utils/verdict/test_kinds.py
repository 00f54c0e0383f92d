# SPDX-License-Identifier: MIT
"""The table of error kinds, held to the failure taxonomy."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import kinds

# The taxonomy's own table: kind and whether it is retriable by default.
TAXONOMY = """
config_invalid n, inventory_invalid n, compose_invalid n, chaos_invalid n, template_error n, secret_missing n, result_invalid n,
ssh_auth n, ssh_hostkey n, ssh_refused y, ssh_timeout y, ssh_dropped y, dns_failure y, node_unreachable y, privilege n,
interpreter_missing n, locale_error n,
disk_full n, fs_readonly n, io_error n, resource_limit n, node_oom n, clock_skew n, process_leak n,
docker_daemon_down y, docker_timeout y, docker_permission n, docker_api_mismatch n, image_not_found n, image_auth n,
image_corrupt y, registry_rate_limited y, registry_unreachable y, port_conflict n, name_conflict y, docker_leftover y,
network_exhausted n, mount_invalid n, gpu_runtime_missing n, container_exited n, container_oom n, container_gone y,
service_unhealthy y, health_timeout y, service_flapping n, service_died y, dependency_failed n,
gpu_oom n, kv_cache_too_small n, gpu_missing n, gpu_driver_mismatch n, gpu_fault n, shm_too_small n, nccl_timeout y,
nccl_error y, nccl_config n, engine_start_failed n, engine_dead y, kv_transfer_failed y, model_not_found n, model_access n,
http_refused y, http_reset y, http_timeout y, http_5xx y, overloaded y, http_4xx n, tls_error n, response_invalid n,
request_blocked n,
test_failed n, test_timeout n, bench_failed n, bench_no_data n, bench_partial n, cancelled n,
artifact_missing n, artifact_corrupt y, artifact_changed y, artifact_unsafe_path n, artifact_too_large n, transfer_failed y,
auth_failed n, token_revoked n, protocol_error n, hub_disconnected y, hub_unavailable y, agent_lost n, queue_full n,
duplicate_task n, orphan_task n, work_dir_error n, log_stream_lost y,
db_locked y, db_corrupt n, db_readonly n, lock_held y, controller_died y,
cleanup_failed n, chaos_not_reverted n, chaos_unsupported n, internal_error n, unknown n
"""
EXPECTED = dict(item.split() for item in TAXONOMY.replace("\n", " ").split(","))


def test_the_table_is_the_taxonomy_s() -> None:
    assert {name: "y" if kind.retriable else "n" for name, kind in kinds.KINDS.items()} == EXPECTED


def test_every_kind_has_a_known_owner_and_group() -> None:
    assert {kind.owner for kind in kinds.KINDS.values()} == set(kinds.OWNERS)
    assert len({kind.group for kind in kinds.KINDS.values()}) == 12


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("service_died", "engine"),
        ("disk_full", "node"),
        ("ssh_timeout", "network"),
        ("image_not_found", "image"),
        ("test_timeout", "test"),
        ("lock_held", "cell"),
        ("artifact_missing", "cell"),
    ],
)
def test_kind_has_its_owner(name: str, owner: str) -> None:
    assert kinds.get(name).owner == owner


@pytest.mark.parametrize(
    ("alias", "name"),
    [("upstream_disconnect", "http_reset"), ("AUTH_FAILED", "auth_failed"), ("TASK_TIMEOUT", "test_timeout")],
)
def test_wire_names_are_understood(alias: str, name: str) -> None:
    assert kinds.get(alias).name == name


def test_every_alias_names_a_kind() -> None:
    assert set(kinds.ALIASES.values()) <= set(kinds.KINDS)


def test_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(kinds.KindError, match="unknown error kind 'disk_ful'; did you mean disk_full"):
        kinds.get("disk_ful")
