# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of error kinds: what can go wrong, who owns it, and whether a retry can help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

OWNERS = ("engine", "cell", "node", "network", "image", "test")


class KindError(ValueError):
    """A name that is no error kind."""


@dataclass(frozen=True)
class Kind:
    """One error kind. depends: when the retry rule of this case may differ from the default, "" when it may not."""

    name: str
    group: str
    retriable: bool
    owner: str
    depends: str = ""


# group: "owner: kind kind+ ..."; a plus marks the kinds for which a retry can help.
_TABLE: Mapping[str, tuple[str, ...]] = {
    "input": (
        "test: config_invalid compose_invalid chaos_invalid template_error secret_missing result_invalid",
        "cell: inventory_invalid",
    ),
    "reach": (
        "node: ssh_auth ssh_hostkey privilege interpreter_missing locale_error",
        "network: ssh_refused+ ssh_timeout+ ssh_dropped+ dns_failure+ node_unreachable+",
    ),
    "node": ("node: disk_full fs_readonly io_error resource_limit node_oom clock_skew process_leak",),
    "docker": (
        "node: docker_daemon_down+ docker_timeout+ docker_permission docker_api_mismatch port_conflict name_conflict+",
        "node: docker_leftover+ network_exhausted gpu_runtime_missing container_gone+",
        "image: image_not_found image_auth image_corrupt+ registry_rate_limited+ registry_unreachable+",
        "engine: container_exited container_oom",
        "test: mount_invalid",
    ),
    "service": ("engine: service_unhealthy+ health_timeout+ service_flapping service_died+ dependency_failed",),
    "engine": (
        "engine: gpu_oom kv_cache_too_small nccl_timeout+ nccl_error+",
        "engine: engine_start_failed engine_dead+ kv_transfer_failed+",
        "node: gpu_missing gpu_driver_mismatch gpu_fault",
        "test: shm_too_small nccl_config model_not_found model_access",
    ),
    "http": (
        "engine: http_refused+ http_reset+ http_timeout+ http_5xx+ overloaded+ http_4xx tls_error response_invalid",
        "test: request_blocked",
    ),
    "test": (
        "test: test_failed test_timeout bench_failed bench_no_data bench_partial",
        "cell: cancelled",
    ),
    "artifact": (
        "cell: artifact_missing artifact_corrupt+ artifact_changed+ artifact_unsafe_path artifact_too_large",
        "network: transfer_failed+",
    ),
    "hub": (
        "cell: auth_failed token_revoked protocol_error queue_full duplicate_task orphan_task",
        "network: hub_disconnected+ hub_unavailable+ log_stream_lost+",
        "node: agent_lost work_dir_error",
    ),
    "state": ("cell: db_locked+ db_corrupt db_readonly lock_held+ controller_died+",),
    "safety": (
        "node: cleanup_failed chaos_not_reverted chaos_unsupported",
        "cell: internal_error unknown",
    ),
}

_DEPENDS: Mapping[str, str] = {
    "port_conflict": "a retry helps when the port is held by something of ours",
    "artifact_corrupt": "no retry helps where the file lies on the node, as a model's does: the same file is read again",
    "agent_lost": "a retry is safe only when it is proved that the task was not started",
    "transfer_failed": "no retry helps where the program that would send or take the file is missing",
    "internal_error": "one more try helps where a worker of Ansible's was killed",
}

# Beside those of the group `node`. A port in use or a missing package is no fault of a node that will last.
_BROKEN = frozenset({"docker_daemon_down", "docker_timeout", "network_exhausted", "gpu_fault", "gpu_driver_mismatch"})

ALIASES: Mapping[str, str] = {
    "upstream_disconnect": "http_reset",
    "AUTH_FAILED": "auth_failed",
    "CONNECTION_FAILED": "hub_unavailable",
    "TASK_EXECUTION_FAILED": "test_failed",
    "TASK_TIMEOUT": "test_timeout",
    "WORK_DIR_ERROR": "work_dir_error",
}


def _kinds() -> dict[str, Kind]:
    result = {}
    for group, lines in _TABLE.items():
        for line in lines:
            owner, _, names = line.partition(": ")
            for word in names.split():
                name = word.rstrip("+")
                result[name] = Kind(name, group, word.endswith("+"), owner, _DEPENDS.get(name, ""))
    return result


KINDS: Mapping[str, Kind] = _kinds()


def get(name: str) -> Kind:
    """Return the kind of this name or wire alias; raise KindError, with the nearest name, for any other."""
    kind = KINDS.get(ALIASES.get(name, name))
    if kind is None:
        near = get_close_matches(name, KINDS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise KindError(f"unknown error kind {name!r}{hint}")
    return kind


def of_a_broken_node(name: str) -> bool:
    """Return whether a failure says that a node is broken, and not only that it is not as a scenario wants it."""
    return name in _BROKEN or get(name).group == "node"
