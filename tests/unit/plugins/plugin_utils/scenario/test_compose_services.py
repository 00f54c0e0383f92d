# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.compose_file import ComposeHealthCheck
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.compose_services import (
    health_check_of,
    read_all,
    replicas_of_roles,
)
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.model import HealthCheck, Service


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (None, None),
        (ComposeHealthCheck(()), None),
        (
            ComposeHealthCheck(("CMD", "a", "b"), 1.0, 2.0),
            HealthCheck("command", argv=("a", "b"), timeout_s=2.0, interval_s=1.0),
        ),
        (
            ComposeHealthCheck(("CMD-SHELL", "a || b"), 1.0, 2.0),
            HealthCheck("command", argv=("/bin/sh", "-c", "a || b"), timeout_s=2.0, interval_s=1.0),
        ),
    ],
)
def test_compose_health_checks_become_commands(check, expected):
    assert health_check_of(check) == expected


def test_replicas_count_for_their_role():
    services = [Service("a", role="decode"), Service("b", role="decode"), Service("c")]
    assert replicas_of_roles(services, {"a": 3}) == {"decode": 4, "": 1}


def test_files_are_read_together_with_the_places_of_their_services(tmp_path):
    (tmp_path / "a.yml").write_text('services:\n  x:\n    image: "e:1"\n')
    (tmp_path / "b.yml").write_text('services:\n\n  y:\n    image: "e:1"\n    deploy: {replicas: 2}\n')
    found = read_all(tmp_path, ["a.yml", "b.yml"], environ={})
    assert found.whole and found.replicas == {"x": 1, "y": 2}
    assert [(one.name, one.compose_file, one.line) for one in found.declared] == [("x", "a.yml", 2), ("y", "b.yml", 3)]


@pytest.mark.parametrize(
    "text", ["services: [", "services: {}\n", "include: [c.yml]\nservices:\n  x: {image: 'e:1'}\n"]
)
def test_files_that_do_not_say_all_are_not_whole(tmp_path, text):
    (tmp_path / "a.yml").write_text(text)
    (tmp_path / "c.yml").write_text("services:\n  y: {image: 'e:1'}\n")
    assert read_all(tmp_path, ["a.yml"], environ={}).whole is False
