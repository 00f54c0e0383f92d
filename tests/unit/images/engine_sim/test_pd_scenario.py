# SPDX-License-Identifier: MIT
"""The scenario 002_pd_disaggregated: its files agree, and its services work as its compose file sets them up."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine_sim.settings import parse_settings

SCENARIO = Path(__file__).parents[4] / "scenarios" / "002_pd_disaggregated"
COMPOSE = yaml.safe_load((SCENARIO / "docker-compose.yml").read_text())
METADATA = yaml.safe_load((SCENARIO / "metadata.yml").read_text())
CONFIG = json.loads((SCENARIO / "test_config.json").read_text())
PORTS = {name: int(service["ports"][0].partition(":")[0]) for name, service in COMPOSE["services"].items()}


def filled(text: str, variables: dict[str, str]) -> str:
    """Return a compose value with its ${NAME:-DEFAULT} variables filled in."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: variables.get(match[1]) or match[2], text)


def environment(service: str, variables: dict[str, str]) -> dict[str, str]:
    """Return a service's environment as compose would give it."""
    return {name: filled(value, variables) for name, value in COMPOSE["services"][service]["environment"].items()}


def test_each_service_has_a_port_of_its_own_inside_and_outside() -> None:
    assert len(set(PORTS.values())) == len(PORTS) == 5
    for name, service in COMPOSE["services"].items():
        assert service["ports"] == [f"{PORTS[name]}:{PORTS[name]}"]
        assert service["environment"]["SIM_PORT"] == str(PORTS[name])
        assert f"127.0.0.1:{PORTS[name]}/health" in service["healthcheck"]["test"][-1]


def test_metadata_compose_and_load_agree() -> None:
    services = {service["name"]: service for service in METADATA["deployment"]["services"]}
    assert set(services) == set(COMPOSE["services"])
    for name, service in services.items():
        assert service["role"] == COMPOSE["services"][name]["environment"]["SIM_ROLE"]
        assert environment(name, {})["SIM_NAME"] == name
    assert services["router"]["depends_on"] == list(COMPOSE["services"]["router"]["depends_on"])
    assert METADATA["benchmark"]["port"] == PORTS["router"]
    assert CONFIG["base_url"] == f"http://127.0.0.1:{PORTS['router']}"
    expected = METADATA["service_health_check"]["expected"]
    assert expected == {role: sum(s["role"] == role for s in services.values()) for role in ("prefill", "decode")}


def test_a_soak_reads_the_reports_of_every_service_where_its_node_keeps_them() -> None:
    reports = {one["service"]: one for one in METADATA["soak"]["reports"]}
    assert list(reports) == list(COMPOSE["services"])
    for name, service in COMPOSE["services"].items():
        (source, target), folder = service["volumes"][0].split(":"), environment(name, {})["SIM_REPORT_DIR"]
        assert folder.startswith(target) and (SCENARIO / source).is_dir()
        assert reports[name]["path"] == f"{folder.replace(target, source.removeprefix('./'))}/epoch-*.json"
    (metrics,) = METADATA["soak"]["metrics"]
    assert (metrics["service"], metrics["port"]) == ("router", PORTS["router"])


@pytest.mark.parametrize(
    ("variables", "address"),
    [({}, "http://decode-2:18122"), ({"TESTCELL_HOST_DECODE_2": "10.0.0.7"}, "http://10.0.0.7:18122")],
)
def test_addresses_are_service_names_unless_told_otherwise(variables: dict[str, str], address: str) -> None:
    for service in ("router", "prefill-1", "prefill-2"):
        settings = parse_settings([], environment(service, variables))
        assert dict(settings.decode)["decode-2"] == address


def test_faults_reach_every_service() -> None:
    variables = {"TESTCELL_SIM_FAULTS": "crash_after_s@decode-2%0.5=2:139", "TESTCELL_SIM_FAULT_SEED": "7"}
    for service in COMPOSE["services"]:
        (fault,) = parse_settings([], environment(service, variables)).faults
        assert (fault.target, fault.probability, fault.seed, fault.second) == ("decode-2", 0.5, 7, 139.0)


def start_all(sims: Any, faults: str = "") -> Any:
    """Start the five services with the environment of the compose file, on free ports; return the router."""
    places: dict[str, str] = {}
    for name in ("decode-1", "decode-2", "prefill-1", "prefill-2", "router"):
        environ = environment(name, {"TESTCELL_SIM_FAULTS": faults})
        for known, url in places.items():
            environ = {key: value.replace(f"http://{known}:{PORTS[known]}", url) for key, value in environ.items()}
        sim = sims.start_settings(parse_settings(["--host", "127.0.0.1", "--port", "0"], environ))
        places[name] = sim.url
    sims.probe(sim)
    return sim


def test_the_scenario_answers_through_every_pair(sims: Any) -> None:
    router = start_all(sims)
    assert router.service.settings.role == "router"
    assert router.ask("/workers").json["counts"]["prefill"] == {"registered": 2, "healthy": 2}
    pairs = [f"prefill-{p},decode-{d}" for p in (1, 2) for d in (1, 2)]
    answers = [router.complete(tokens=2, headers={"X-Testcell-Pair": pair}) for pair in pairs]
    assert [answer.json["usage"]["completion_tokens"] for answer in answers] == [2] * 4
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_the_script_runs_the_load_in_any_shell(tmp_path: Path, shell: str) -> None:
    launcher = tmp_path / "load client"
    launcher.write_text('#!/bin/sh\necho "$@" > "$SCENARIO_RESULT_PATH/argv"\nexit 7\n')
    launcher.chmod(0o755)
    results = tmp_path / "some results"
    environ = {"PATH": os.environ["PATH"], "TESTCELL_LOAD": str(launcher), "SCENARIO_PATH": str(SCENARIO)}
    ended = subprocess.run(
        [shell, str(SCENARIO / "run_test.sh")],
        env={**environ, "SCENARIO_RESULT_PATH": str(results)},
        timeout=10,
        check=False,
    )
    assert ended.returncode == 7
    assert (results / "argv").read_text() == f"--config {SCENARIO}/test_config.json --out {results}\n"
    assert os.access(SCENARIO / "run_test.sh", os.X_OK)


def test_the_script_fails_without_its_environment() -> None:
    ended = subprocess.run(
        [str(SCENARIO / "run_test.sh")], env={"PATH": os.environ["PATH"]}, capture_output=True, timeout=10, check=False
    )
    assert ended.returncode != 0
