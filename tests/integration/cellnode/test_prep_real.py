# SPDX-License-Identifier: MIT
"""What a scenario takes for granted, from its file to the sentence, against the facts of a real node and engine.

Ids name the rows of the catalogue of bad inputs.
"""

from __future__ import annotations

import re

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import opening
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import needs, prep

from testcell import starting

pytestmark = pytest.mark.docker

FOLDER = "scenarios/001_example"
MORE_THAN_ANY = 1024
GPUS = "    deploy: {{resources: {{reservations: {{devices: [{{capabilities: [gpu], {}}}]}}}}}}\n"
LACKING = [
    pytest.param("", "", [], id="nothing"),
    pytest.param(
        "",
        "resource_requirements: {min_gpu_memory: 100TB}\n",
        [("gpu_missing", "are required|below the required")],
        id="B31-none-so-large",
    ),
    pytest.param(
        "    networks: [lab]\nnetworks: {lab: {external: true, name: none-of-tests}}\n",
        "",
        [("compose_invalid", "external network none-of-tests, which service engine uses, does not exist there")],
        id="B48-network",
    ),
    pytest.param(
        "    volumes: ['kept:/k']\nvolumes: {kept: {external: true, name: none-of-tests}}\n",
        "",
        [("compose_invalid", "external volume none-of-tests, .* make it with: docker volume create none-of-tests")],
        id="B48-volume",
    ),
    pytest.param(
        "    volumes: ['/nope-of-tests/x:/x']\n",
        "",
        [("mount_invalid", "/nope-of-tests/x, which service engine mounts, does not exist there")],
        id="B51",
    ),
    pytest.param(
        GPUS.format(f"count: {MORE_THAN_ANY}"),
        "",
        [("gpu_missing", rf"service engine asks for {MORE_THAN_ANY} GPU\(s\); it has \d+")],
        id="B55-count",
    ),
    pytest.param(
        GPUS.format("driver: of-tests, count: 0"),
        "",
        [("gpu_runtime_missing", "service engine asks for the device driver of-tests; it has .*runc")],
        id="B55-driver",
    ),
]


@pytest.fixture
def reasons(tmp_path, cell, composes):
    """Return a function: why this machine cannot run a scenario with these lines more in its two files."""
    if not composes:
        pytest.skip("no Compose answers here")

    def of(compose: str, metadata: str = "", kinds=("plugin", "v1")) -> list[tuple[str, str]]:
        starting.start(tmp_path / "project")
        folder = tmp_path / "project" / FOLDER
        (folder / "docker-compose.yml").write_text(f"services:\n  engine:\n    image: e:1\n{compose}")
        (folder / "metadata.yml").write_text((folder / "metadata.yml").read_text() + metadata)
        (case,) = opening.decide(opening.Asked("example", {}), tmp_path / "project", 0.0, "me").cases
        facts = cell.call("facts", paths=[], deep=True, **needs.wanted(case, "local"))
        facts["compose"] = [one for one in facts["compose"] if one["kind"] in kinds]
        return prep.node_problems(facts, case, "local", 0)

    return of


@pytest.mark.parametrize(("compose", "metadata", "expected"), LACKING)
def test_what_this_node_lacks_is_named_before_compose_is_called(reasons, compose, metadata, expected, cell, nothing):
    found = reasons(compose, metadata)
    assert [kind for kind, _ in found] == [kind for kind, _ in expected]
    for (_, said), (_, words) in zip(found, expected, strict=True):
        assert re.search(words, said)
    assert cell.left() == nothing


def test_keys_that_the_compose_of_this_node_refuses_are_named_with_version_and_line(reasons, composes):
    """B54"""
    if "v1" not in {one.kind for one in composes}:
        pytest.skip("Compose V1 does not answer here")
    ((kind, said),) = reasons("name: x\n", kinds=("v1",))
    assert kind == "docker_api_mismatch"
    assert said.startswith("its Compose is V1 (1.") and "does not know docker-compose.yml:4: name;" in said
