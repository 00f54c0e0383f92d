# SPDX-License-Identifier: MIT
"""From the files of a project to the plan that people are shown and the steps are given."""

from __future__ import annotations

import json

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import opening, view

from testcell import starting

FOLDER = "scenarios/001_example"


@pytest.fixture
def project(tmp_path):
    """Return a project of one scenario that is right."""
    starting.start(tmp_path / "project")
    return tmp_path / "project"


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def decide(project):
    return opening.decide(opening.Asked(scenario="example", hosts={}), project, 1000.0, "me")


def test_each_case_of_a_matrix_is_asked_by_its_own_api(project):
    metadata = project / FOLDER / "metadata.yml"
    change(metadata, "  client: testcell\n", "  client: testcell\n  from_labels: {api: api}\n")
    metadata.write_text(metadata.read_text() + "matrix: {api: [completions, chat]}\n")
    cases = decide(project).cases
    assert [(case.config["api"], case.test.path) for case in cases] == [
        ("completions", "/v1/completions"),
        ("chat", "/v1/chat/completions"),
    ]


def test_a_note_and_a_warning_say_what_they_are_once(project):
    metadata, compose = project / FOLDER / "metadata.yml", project / FOLDER / "docker-compose.yml"
    change(metadata, "role: router", "role: worker")
    change(metadata, "  service: engine\n  port: 18100\n", "")
    metadata.write_text(metadata.read_text() + "service_health_check: {strategy: thorough}\n")
    change(compose, '    ports: ["18100:18100"]\n', "")
    plan = decide(project)
    told = [line.strip() for line in view.as_text(plan).splitlines() if str(project) in line]
    assert len(told) == len(plan.cases[0].warnings) >= 2
    words = [[word for word in ("note", "warning") if f"{word}:" in line or line.startswith(word)] for line in told]
    assert sorted(words) == [["note"], ["warning"]]
    assert json.dumps(view.as_data(plan)).count("asks nobody for a token") == 1


@pytest.mark.parametrize(("benchmark", "asked"), [("", ("", 0)), ("  port: 18100\n", ("engine", 18100))])
def test_an_entry_service_without_a_port_is_not_asked(project, benchmark, asked):
    metadata, compose = project / FOLDER / "metadata.yml", project / FOLDER / "docker-compose.yml"
    compose.write_text("services:\n  engine:\n    image: testcell/engine-sim:1\n    network_mode: host\n")
    change(metadata, "  service: engine\n  port: 18100\n", benchmark)
    metadata.write_text(metadata.read_text() + "service_health_check: {strategy: thorough}\n")
    (case,) = decide(project).cases
    assert (case.test.service, case.test.port) == asked
    assert any("asks nobody for a token" in warning for warning in case.warnings) == (not benchmark)


# --- the settings of a deployment ---------------------------------------------------------------------------------


def deployment_of(case):
    return {
        "limits": case.limits,
        "health_check_timeout_s": case.health_check_timeout_s,
        "retry": case.retry,
        "on_service_death": case.on_service_death,
        "recovery": case.recovery,
        "canary_retries": case.canary_retries,
    }


def test_a_deployment_has_the_built_in_settings_when_no_layer_gives_any(project):
    (project / "config/defaults.yaml").write_text("{}\n")
    assert deployment_of(decide(project).cases[0]) == {
        "limits": {"services": 4, "services_per_node": 0, "health_checks": 7},
        "health_check_timeout_s": 300,
        "retry": {"retries": 0, "delay_s": 30, "only_failed": True},
        "on_service_death": "end_test",
        "recovery": {"restart_services": 0},
        "canary_retries": 4,
    }


def test_the_settings_of_a_deployment_reach_the_plan_from_every_layer(project):
    (project / "config/defaults.yaml").write_text(
        "concurrent_execution: {max_concurrent_services: 1, max_concurrent_health_checks: 3}\n"
        "retry_strategy: {service_level_retries: 1, retry_delay: 5}\n"
        "service_health_check: {max_retries: 2}\n"
    )
    metadata = project / FOLDER / "metadata.yml"
    change(
        metadata,
        "deployment:\n",
        "recovery: {restart_services: 1}\ndeployment:\n"
        "  concurrent_execution: {max_concurrent_services: 8, health_check_timeout: 60}\n"
        "  retry_strategy: {retry_only_failed: false}\n",
    )
    variables = {"testcell_concurrent_execution_max_concurrent_services_per_node": "2"}
    overrides = {"test_execution.on_service_death": "continue", "testcell_retry_strategy": {"retry_delay": 7}}
    asked = opening.Asked(scenario="example", hosts={}, variables=variables, overrides=overrides)
    assert deployment_of(opening.decide(asked, project, 1000.0, "me").cases[0]) == {
        "limits": {"services": 8, "services_per_node": 2, "health_checks": 3},
        "health_check_timeout_s": 60,
        "retry": {"retries": 1, "delay_s": 7, "only_failed": False},
        "on_service_death": "continue",
        "recovery": {"restart_services": 1},
        "canary_retries": 2,
    }


@pytest.mark.parametrize(("written", "asked"), [("1ms", 0.02), ("500ms", 0.5), ("3h", 60.0)])
def test_a_probe_is_given_an_interval_that_a_node_can_keep(project, written, asked):
    compose = project / FOLDER / "docker-compose.yml"
    compose.write_text(
        "services:\n  engine:\n    image: testcell/engine-sim:1\n    ports: ['18100:18100']\n"
        f"    healthcheck: {{test: x, interval: {written}}}\n"
    )
    (engine,) = decide(project).cases[0].services
    assert engine.check["interval_s"] == asked


@pytest.mark.parametrize(
    ("compose", "metadata", "check"),
    [
        ("", "", {"kind": "container", "port": 18100}),
        ("    healthcheck: {disable: true}\n", "", {"kind": "container", "port": 18100}),
        ("", "service_health_check: {enabled: false}\n", {"kind": "running"}),
    ],
)
def test_a_service_under_test_without_a_check_is_waited_for_at_its_port(project, compose, metadata, check):
    text = f"services:\n  engine:\n    image: testcell/engine-sim:1\n    ports: ['18100:18100']\n{compose}"
    path = project / FOLDER / "metadata.yml"
    change(path, "deployment:\n  services:\n", "deployment:\n  services:\n    - name: other\n")
    path.write_text(path.read_text() + metadata)
    (project / FOLDER / "docker-compose.yml").write_text(f"{text}  other:\n    image: testcell/engine-sim:1\n{compose}")
    checks = {service.name: service.check for service in decide(project).cases[0].services}
    assert checks == {"engine": check, "other": {"kind": check["kind"]}}


ASKED_AT = "      health_check: {kind: tcp, port: 18101}\n"


@pytest.mark.parametrize(
    ("network", "asked_at", "ports"),
    [
        ("ports: ['18100:18100', '18200:1']", "", (18100, 18200)),
        ("ports: ['18100:18100']", ASKED_AT, (18100,)),
        ("network_mode: host", "", (18100,)),
        ("network_mode: host", ASKED_AT, (18101, 18100)),
    ],
)
def test_a_service_takes_the_ports_that_it_publishes_or_is_asked_at(project, network, asked_at, ports):
    compose, metadata = project / FOLDER / "docker-compose.yml", project / FOLDER / "metadata.yml"
    compose.write_text(f"services:\n  engine:\n    image: testcell/engine-sim:1\n    {network}\n")
    change(metadata, "      role: router\n", f"      role: router\n{asked_at}")
    (engine,) = decide(project).cases[0].services
    assert (engine.ports, engine.host_network) == (ports, "host" in network)


# --- what is kept of logs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [True, False])
def test_logs_that_keep_their_secrets_are_warned_of(project, raw):
    metadata = project / FOLDER / "metadata.yml"
    if raw:
        metadata.write_text(metadata.read_text() + "artifacts_collection: {keep_raw_logs: true}\n")
    case = decide(project).cases[0]
    assert case.keep_raw_logs is raw
    assert any("with the secrets that are in them" in warning for warning in case.warnings) is raw
