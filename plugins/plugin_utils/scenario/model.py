# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario is once it has been loaded: frozen values that are complete, checked and free of file syntax.

Times are in seconds (`_s`), sizes in bytes. Mappings are plain dicts that nobody changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from ..problems import KeyPath, Problem

Label = str | int | float | bool


@dataclass(frozen=True)
class Origin:
    """Where the value of one leaf key comes from. file is "" and line 0 for a value that stands in no file.

    shadows: what lower layers say about the same key, nearest layer first.
    """

    key: str
    value: Any
    layer: str
    file: str = ""
    line: int = 0
    shadows: tuple[Origin, ...] = ()


@dataclass(frozen=True)
class Requirements:
    """What the nodes must have. min_gpu_memory_bytes counts per node; None when no GPU is asked for."""

    min_gpu_memory_bytes: int | None = None
    min_nodes: int = 1


@dataclass(frozen=True)
class HealthCheck:
    """How one service is asked whether it can work.

    kind: `http` (port, path, expect_status), `tcp` (port), `command` (argv, run inside the container),
    `container` (its own state), `log` (pattern, a regular expression). port: as the service sees it in its container.
    """

    kind: str
    port: int | None = None
    path: str = "/"
    expect_status: int = 200
    argv: tuple[str, ...] = ()
    pattern: str = ""
    timeout_s: float = 5.0
    interval_s: float = 5.0


@dataclass(frozen=True)
class Needs:
    """What a service needs from its node beside ports, by the names that the node has for it.

    binds: absolute paths that it mounts. gpus: how many, -1 for all there are. gpu_drivers: those it names.
    """

    binds: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    gpus: int = 0
    gpu_drivers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Service:
    """One service: node is `auto`, `local` or a node's name; ports are those published on the node, for TCP.

    loopback_ports: those of them that only the node itself reaches.

    start_period_s: how long its health check in compose lets it start, 0 where it does not say.
    host_network: it has the network of its node, where nobody finds it by its name.
    """

    name: str
    node: str = "auto"
    role: str = ""
    depends_on: tuple[str, ...] = ()
    compose_file: str = "docker-compose.yml"
    health_check: HealthCheck | None = None
    critical: bool = True
    image: str = ""
    ports: tuple[int, ...] = ()
    loopback_ports: tuple[int, ...] = ()
    needs: Needs = Needs()
    start_period_s: float = 0.0
    host_network: bool = False


@dataclass(frozen=True)
class TestSpec:
    """How the test script is run and what it leaves; result_paths are relative to the case's work folder.

    on_service_death: `end_test` or `continue`, what the death of a critical service means for it.
    """

    __test__: ClassVar[bool] = False

    node: str = "local"
    script: str = "run_test.sh"
    args: tuple[str, ...] = ()
    timeout_s: int = 2400
    grace_s: int = 10
    result_paths: tuple[str, ...] = ("results/",)
    collection_mode: str = "standard"
    on_service_death: str = "end_test"
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CollectionSpec:
    """How artifacts come home. local_base_path "" is the case's work folder; keep_raw_logs: secrets stay in logs.

    ssh_retry_count: tries after the first; transfer_timeout_s: without a byte; integrity_check: `full`, `size` or `off`.
    """

    local_enabled: bool = True
    local_base_path: str = ""
    remote_enabled: bool = True
    ssh_retry_count: int = 3
    transfer_timeout_s: int = 300
    integrity_check: str = "full"
    keep_raw_logs: bool = False


@dataclass(frozen=True)
class HealthSpec:
    """How readiness of the whole engine is judged. expected: role -> number of services, None when not asked for.

    max_retries: how often a question for tokens that was answered badly is asked again.
    """

    enabled: bool = True
    strategy: str = "standard"
    startup_timeout_s: int = 200
    max_retries: int = 4
    expected: Mapping[str, int] | None = None
    canary_timeout_s: int = 20


@dataclass(frozen=True)
class DeploymentLimits:
    """How many things happen at once on deployment, 0 for no limit, and for how long.

    share_nodes: other runs that allow it, too, may have the nodes at the same time.
    """

    max_concurrent_services: int = 4
    max_concurrent_services_per_node: int = 0
    deployment_timeout_s: int = 450
    max_concurrent_health_checks: int = 7
    health_check_timeout_s: int = 300
    share_nodes: bool = False


@dataclass(frozen=True)
class RetrySpec:
    """How a service that failed to come up is tried again."""

    service_level_retries: int = 0
    retry_delay_s: int = 30
    retry_only_failed: bool = True


@dataclass(frozen=True)
class RecoverySpec:
    """What is mended by the cell itself. restart_services: how often each service may be started again during the test.

    set_aside_nodes: how many nodes that fail may be left out, each in one more attempt.
    """

    restart_services: int = 0
    set_aside_nodes: int = 0


@dataclass(frozen=True)
class BenchmarkSpec:
    """Who measures what: port is the published one of service, from_labels maps a test_config key to a label.

    path: "" where the API of each case decides.
    """

    client: str = "testcell"
    service: str | None = None
    port: int | None = None
    path: str = ""
    model: str = ""
    config_file: str = "test_config.json"
    from_labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> bool:
        """Return whether it is known where requests go."""
        return bool(self.service and self.port)


@dataclass(frozen=True)
class ValiditySpec:
    """What a result must hold to be believed."""

    min_completed_ratio: float = 1.0
    min_tokens: int = 1
    max_schedule_delay_ms_p95: float = 100.0
    max_error_ratio: float = 0.0
    min_rate_ratio: float = 0.9


@dataclass(frozen=True)
class SoakSpec:
    """What the layers say of soaks, each as leaf path below `soak` -> value; `soak.settings` adds the profile that is asked for.

    base: for every profile; profiles: profile -> for it alone; overrides: what beats all. places: path -> file, line, column;
    what
    is said for one profile stands at ("profiles", PROFILE), what beats all below "overrides".
    """

    base: Mapping[KeyPath, Any] = field(default_factory=dict)
    profiles: Mapping[str, Mapping[KeyPath, Any]] = field(default_factory=dict)
    overrides: Mapping[KeyPath, Any] = field(default_factory=dict)
    places: Mapping[KeyPath, tuple[str, int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """A scenario with all three layers applied. matrix: one mapping of labels a case, () when there is no matrix.

    v2_only: what Compose V1 would refuse in the compose files, each as `FILE:LINE: key`.
    """

    name: str
    directory: Path
    metadata_file: Path = Path("metadata.yml")
    description: str = ""
    enabled: bool = True
    estimated_duration_s: int | None = None
    tags: tuple[str, ...] = ()
    schema_version: int = 1
    requirements: Requirements = Requirements()
    services: tuple[Service, ...] = ()
    compose_files: tuple[str, ...] = ("docker-compose.yml",)
    v2_only: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    limits: DeploymentLimits = DeploymentLimits()
    retry: RetrySpec = RetrySpec()
    recovery: RecoverySpec = RecoverySpec()
    test: TestSpec = field(default_factory=TestSpec)
    collection: CollectionSpec = CollectionSpec()
    health: HealthSpec = HealthSpec()
    benchmark: BenchmarkSpec = field(default_factory=BenchmarkSpec)
    validity: ValiditySpec = ValiditySpec()
    matrix: tuple[Mapping[str, Label], ...] = ()
    test_config: Mapping[str, Any] = field(default_factory=dict)
    gates: Mapping[str, Any] = field(default_factory=dict)
    soak: SoakSpec = field(default_factory=SoakSpec)
    origins: tuple[Origin, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def service(self, name: str) -> Service:
        """Return the service called name; KeyError when there is none."""
        return {service.name: service for service in self.services}[name]
