# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the values of `model` out of settings and checked data; what is absent takes the model's default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..problems import KeyPath
from .layers import nested
from .model import (
    BenchmarkSpec,
    CollectionSpec,
    DeploymentLimits,
    HealthSpec,
    RecoverySpec,
    Requirements,
    RetrySpec,
    Service,
    SoakSpec,
    TestSpec,
    ValiditySpec,
)
from .setting import OVERRIDE, Settings

ENTRY_ROLES = ("router", "coordinator")
_SECONDS = (
    "timeout", "grace", "startup_timeout", "canary_timeout", "deployment_timeout", "health_check_timeout",
    "retry_delay", "transfer_timeout",
)  # fmt: skip
# Nothing is left unproved but by the word for it: `false` says only that digests may be saved.
_INTEGRITY = {True: "full", False: "size"}


def requirements(data: Mapping[str, Any]) -> Requirements:
    """Return what the nodes must have."""
    return Requirements(data.get("min_gpu_memory"), data.get("min_nodes", Requirements.min_nodes))


def test_spec(merged: Settings) -> TestSpec:
    """Return how the test script runs."""
    return TestSpec(**_fields(merged, "test_execution"))


def health_spec(merged: Settings) -> HealthSpec:
    """Return how readiness is judged."""
    return HealthSpec(**_fields(merged, "service_health_check"))


def limits(merged: Settings) -> DeploymentLimits:
    """Return how much of the deployment happens at once."""
    return DeploymentLimits(**_fields(merged, "concurrent_execution"))


def retry_spec(merged: Settings) -> RetrySpec:
    """Return how a failed service is tried again."""
    return RetrySpec(**_fields(merged, "retry_strategy"))


def recovery_spec(merged: Settings) -> RecoverySpec:
    """Return what is mended while the test runs."""
    return RecoverySpec(**_fields(merged, "recovery"))


def validity_spec(merged: Settings) -> ValiditySpec:
    """Return what a result must hold to be believed."""
    return ValiditySpec(**_fields(merged, "validity"))


def soak_spec(merged: Settings) -> SoakSpec:
    """Return what the layers say of soaks, of every profile and of each alone."""
    own = {path[1:]: setting for path, setting in merged.items() if path[0] == "soak"}
    of_profiles = {path: setting for path, setting in own.items() if path[0] == "profiles"}
    above = {path: one for path, one in own.items() if path not in of_profiles and one.layer == OVERRIDE}
    beneath = {path: one.below if path in above else one for path, one in own.items() if path not in of_profiles}
    base = {path: one for path, one in beneath.items() if one is not None}
    placed = {**{("overrides", *path): one for path, one in above.items()}, **base, **of_profiles}
    return SoakSpec(
        base=leaf_values({path: one.value for path, one in base.items()}),
        profiles={str(path[1]): leaf_values({(): one.value}) for path, one in of_profiles.items()},
        overrides=leaf_values({path: one.value for path, one in above.items()}),
        places={path: (one.file, one.line, one.column) for path, one in placed.items()},
    )


def leaf_values(values: Mapping[KeyPath, Any]) -> dict[KeyPath, Any]:
    """Return values by path with the mappings among them taken apart; a list is one value."""
    found: dict[KeyPath, Any] = {}
    for path, value in values.items():
        inner = leaf_values({(*path, key): item for key, item in value.items()}) if isinstance(value, Mapping) else None
        found |= {path: value} if inner is None else inner
    return found


def collection_spec(merged: Settings) -> CollectionSpec:
    """Return how artifacts come home."""
    section = nested(merged, "artifacts_collection")
    local, remote = section["local_node"], _in_seconds(section["remote_node"])
    return CollectionSpec(
        local_enabled=local["enabled"],
        local_base_path=local.get("base_path", ""),
        keep_raw_logs=section["keep_raw_logs"],
        remote_enabled=remote["enabled"],
        ssh_retry_count=remote["ssh_retry_count"],
        transfer_timeout_s=remote["transfer_timeout_s"],
        integrity_check=_INTEGRITY.get(remote["integrity_check"], remote["integrity_check"]),
    )


def benchmark_spec(
    data: Mapping[str, Any], services: Sequence[Service], test_config: Mapping[str, Any]
) -> BenchmarkSpec:
    """Return who measures what; service, port and model are found out where the metadata leaves them open."""
    service = data.get("service") or entry_service(services)
    ports = next((one.ports for one in services if one.name == service), ())
    return BenchmarkSpec(
        client=data.get("client", BenchmarkSpec.client),
        service=service,
        port=data.get("port", ports[0] if ports else None),
        path=data.get("path", BenchmarkSpec.path),
        model=data.get("model", test_config.get("model", "")),
        config_file=data.get("config_file", BenchmarkSpec.config_file),
        from_labels=data.get("from_labels", {}),
    )


def entry_service(services: Sequence[Service]) -> str | None:
    """Return the service that serves the API: the first router or coordinator, or the only one if it has a port."""
    by_role = [service.name for service in services if service.role in ENTRY_ROLES]
    alone = [service.name for service in services if len(services) == 1 and service.ports]
    return next(iter([*by_role, *alone]), None)


def _fields(merged: Settings, section: str) -> dict[str, Any]:
    values = _in_seconds(nested(merged, section))
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _in_seconds(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with the unit in the names of those that are seconds."""
    return {f"{name}_s" if name in _SECONDS else name: value for name, value in values.items()}
