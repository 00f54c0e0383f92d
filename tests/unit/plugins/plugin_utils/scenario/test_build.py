# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import fields

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import build, layers
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.model import (
    CollectionSpec,
    DeploymentLimits,
    HealthSpec,
    RecoverySpec,
    RetrySpec,
    Service,
    TestSpec,
    ValiditySpec,
)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (build.test_spec, TestSpec()),
        (build.health_spec, HealthSpec()),
        (build.limits, DeploymentLimits()),
        (build.retry_spec, RetrySpec()),
        (build.recovery_spec, RecoverySpec()),
        (build.validity_spec, ValiditySpec()),
        (build.collection_spec, CollectionSpec()),
    ],
)
def test_built_in_settings_equal_the_defaults_of_the_model(make, expected):
    made = make(layers.built_in())
    assert made == expected
    assert all(type(getattr(made, one.name)) is type(getattr(expected, one.name)) for one in fields(made))


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        ([Service("a", role="worker"), Service("b", role="coordinator"), Service("c", role="router")], "b"),
        ([Service("a", ports=(80,))], "a"),
        ([Service("a")], None),
        ([Service("a", ports=(80,)), Service("b", ports=(81,))], None),
        ([], None),
    ],
)
def test_entry_service_is_the_router_or_the_only_one_with_a_port(services, expected):
    assert build.entry_service(services) == expected


def test_what_the_metadata_says_about_the_benchmark_stands():
    data = {"client": "script", "service": "a", "port": 81, "path": "/x", "model": "m", "config_file": "c.json"}
    found = build.benchmark_spec(data, [Service("a", ports=(80, 81))], {"model": "other", "api": "chat"})
    assert (found.client, found.service, found.port, found.path, found.model, found.config_file) == tuple(data.values())
