# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings that all layers may give: their keys, types, ranges and built-in values, in one place.

Sections of `config/defaults.yaml` carry the names below. In a scenario `concurrent_execution` and `retry_strategy`
stand below `deployment`; `inter_scenario`, `filters`, `execution` and `results` concern a whole run and stand in no scenario.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

from ..problems import KeyPath
from . import names
from .schema import Bool, Choice, Float, Int, Key, MapOf, Mapping, OneOf, Seq, Spec, Str
from .soak_spec import LONGEST_S, SOAK

_DAY_S = 86_400

_tag = Str(test=names.wrong_tag, rule=names.TAG)
_scenario = Str(max=255)
_path = Str(test=names.wrong_path, rule=names.RELATIVE_PATH)

SERVICE_HEALTH_CHECK = Mapping({
    "enabled": Key(Bool(), default=True),
    "strategy": Key(Choice("quick", "standard", "thorough"), default="standard"),
    "startup_timeout": Key(Int(1, _DAY_S, unit="seconds"), default=200),
    "max_retries": Key(Int(0, 100), default=4),
    "expected": Key(MapOf(Int(0, 10_000), key=Str(test=names.wrong_role, rule=names.ROLE))),
    "canary_timeout": Key(Int(1, 3600, unit="seconds"), default=20),
})  # fmt: skip

TEST_EXECUTION = Mapping({
    "node": Key(Str(max=255), default="local"),
    "script": Key(_path, default="run_test.sh"),
    "args": Key(Seq(Str(max=32_768, empty=True, lines=True)), default=[]),
    "timeout": Key(Int(1, LONGEST_S, unit="seconds"), default=2400),
    "grace": Key(Int(1, 3600, unit="seconds"), default=10),
    "result_paths": Key(
        Seq(Str(test=names.wrong_pattern, rule=names.PATTERN), min=1, max=100, unique=True), default=["results/"]
    ),
    "collection_mode": Key(Choice("basic", "standard", "comprehensive"), default="standard"),
    "on_service_death": Key(Choice("end_test", "continue"), default="end_test"),
    "env": Key(
        MapOf(Str(max=32_768, empty=True, lines=True), key=Str(test=names.wrong_env_name, rule=names.ENV_NAME))
    ),
})  # fmt: skip

CONCURRENT_EXECUTION = Mapping({
    "max_concurrent_services": Key(Int(0, 256), default=4),
    "max_concurrent_services_per_node": Key(Int(0, 256), default=0),
    "deployment_timeout": Key(Int(1, _DAY_S, unit="seconds"), default=450),
    "max_concurrent_health_checks": Key(Int(0, 256), default=7),
    "health_check_timeout": Key(Int(1, _DAY_S, unit="seconds"), default=300),
    "share_nodes": Key(Bool(), default=False),
})  # fmt: skip

ARTIFACTS_COLLECTION = Mapping({
    "keep_raw_logs": Key(Bool(), default=False),
    "local_node": Mapping({
        "enabled": Key(Bool(), default=True),
        "base_path": Key(Str(test=names.wrong_base_path, rule=names.BASE_PATH)),
    }),
    "remote_node": Mapping({
        "enabled": Key(Bool(), default=True),
        "ssh_retry_count": Key(Int(0, 20), default=3),
        "transfer_timeout": Key(Int(1, _DAY_S, unit="seconds"), default=300),
        "integrity_check": Key(OneOf(Choice("full", "size", "off"), Bool()), default="full"),
    }),
})  # fmt: skip

RETRY_STRATEGY = Mapping({
    "service_level_retries": Key(Int(0, 10), default=0),
    "retry_delay": Key(Int(0, 3600, unit="seconds"), default=30),
    "retry_only_failed": Key(Bool(), default=True),
})  # fmt: skip

RECOVERY = Mapping({
    "restart_services": Key(Int(0, 10), default=0),
    "set_aside_nodes": Key(Int(0, 10), default=0),
})  # fmt: skip

VALIDITY = Mapping({
    "min_completed_ratio": Key(Float(0, 1), default=1.0),
    "min_tokens": Key(Int(1, 10**12), default=1),
    "max_schedule_delay_ms_p95": Key(Float(0, 3_600_000, unit="ms"), default=100.0),
    "max_error_ratio": Key(Float(0, 1), default=0.0),
    "min_rate_ratio": Key(Float(0, 1), default=0.9),
})  # fmt: skip

INTER_SCENARIO = Mapping({
    "wait_between_scenarios": Key(Int(0, _DAY_S, unit="seconds"), default=0),
    "continue_on_failure": Key(Bool(), default=True),
    "retry_count": Key(Int(0, 10), default=0),
})  # fmt: skip

FILTERS = Mapping({
    "include_tags": Key(Seq(_tag, unique=True), default=[]),
    "exclude_tags": Key(Seq(_tag, unique=True), default=[]),
    "only_scenarios": Key(Seq(_scenario, unique=True), default=[]),
    "skip_scenarios": Key(Seq(_scenario, unique=True), default=[]),
})  # fmt: skip

CUSTOM_ORDER_ENTRY = Mapping({
    "name": _scenario,
    "directory": _scenario,
    "enabled": Key(Bool(), default=True),
    "description": Str(max=4096, empty=True, lines=True),
})  # fmt: skip

EXECUTION = Mapping({
    "execution_mode": Key(Choice("auto", "directory", "custom"), default="auto"),
    "scenarios_root": Key(Str(test=names.wrong_base_path, rule=names.BASE_PATH), default="scenarios"),
    "custom_order": Key(Seq(CUSTOM_ORDER_ENTRY), default=[]),
})  # fmt: skip

RESULTS = Mapping({
    "warn_free_percent": Key(Int(0, 100, unit="percent"), default=10),
    "warn_share_percent": Key(Int(0, 100, unit="percent"), default=50),
    "database_url": Key(Str(max=4096, empty=True), default=""),
})  # fmt: skip

SECTIONS: dict[str, Mapping] = {
    "service_health_check": SERVICE_HEALTH_CHECK,
    "test_execution": TEST_EXECUTION,
    "concurrent_execution": CONCURRENT_EXECUTION,
    "artifacts_collection": ARTIFACTS_COLLECTION,
    "retry_strategy": RETRY_STRATEGY,
    "recovery": RECOVERY,
    "validity": VALIDITY,
    "soak": SOAK,
    "inter_scenario": INTER_SCENARIO,
    "filters": FILTERS,
    "execution": EXECUTION,
    "results": RESULTS,
}
GLOBAL = Mapping(SECTIONS)
IN_SCENARIO = ("service_health_check", "test_execution", "artifacts_collection", "recovery", "validity", "soak")
IN_DEPLOYMENT = ("concurrent_execution", "retry_strategy")


@cache
def leaf_specs() -> MappingProxyType[KeyPath, Key]:
    """Return every setting by its path; a mapping with free keys (`env`, `expected`) is one setting."""
    return MappingProxyType(_leaves(GLOBAL, ()))


def _leaves(spec: Spec, path: KeyPath) -> dict[KeyPath, Key]:
    if not isinstance(spec, Mapping):
        return {}
    found: dict[KeyPath, Key] = {}
    for name, key in spec.keyed().items():
        found |= _leaves(key.spec, (*path, name)) or {(*path, name): key}
    return found
