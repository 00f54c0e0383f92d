# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import needs, prep
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import StepFailure

V1 = [{"kind": "v1", "argv": ["docker-compose"], "version": "1.29.2"}]
PLUGIN = [{"kind": "plugin", "argv": ["docker", "compose"], "version": "2.26.1"}]
CARD = {"memory_total_bytes": 1 << 34}
FACTS = {
    "time_unix": 1000.0,
    "engine": {"ok": True, "version": "20.10.24", "runtimes": ["runc"]},
    "compose": V1,
    "disks": [],
    "listening": [],
    "gpus": [CARD] * 4,
    "gpu_error": "",
    "leftovers": [],
    "wants": {"binds": {"/data": "directory"}, "networks": {"lab": True}, "volumes": {"models": True}},
}
BAD = [
    pytest.param(
        {"networks": ["lab"]},
        {"wants": {"networks": {"lab": False}}},
        "compose_invalid",
        "external network lab, which service a uses, does not exist there; make it with: docker network create lab",
        id="B48-network",
    ),
    pytest.param(
        {"volumes": ["models"]},
        {"wants": {"volumes": {"models": False}}},
        "compose_invalid",
        "external volume models, which service a uses, does not exist there",
        id="B48-volume",
    ),
    pytest.param(
        {"binds": ["/data"]},
        {"wants": {"binds": {"/data": ""}}},
        "mount_invalid",
        "/data, which service a mounts, does not exist there",
        id="B51",
    ),
    pytest.param({"gpus": 8}, {}, "gpu_missing", "service a asks for 8 GPU(s); it has 4", id="B55-count"),
    pytest.param(
        {"gpus": -1},
        {"gpus": [], "gpu_error": "nvidia-smi failed"},
        "gpu_missing",
        "service a asks for all GPUs; it has 0 (nvidia-smi failed)",
        id="B55-all-of-none",
    ),
    pytest.param(
        {"gpu_drivers": ["weird"]},
        {},
        "gpu_runtime_missing",
        "service a asks for the device driver weird; it has runc",
        id="B55-driver",
    ),
]


def needing(build, name, needs, node="n1"):
    return build.replace(build.service(name, node=node), needs=needs)


@pytest.mark.parametrize(("wanted", "facts", "kind", "text"), BAD)
def test_what_a_node_lacks_is_named_before_compose_is_called(make_cell, build, wanted, facts, kind, text):
    case = build.case(services=[needing(build, "a", wanted)])
    node = build.node(facts={**FACTS, **facts}, snapshot={})
    with pytest.raises(StepFailure) as refused:
        prep.check(make_cell(case, client=node))
    assert refused.value.kind == kind
    assert "node n1 cannot do the job: " in str(refused.value) and text in str(refused.value)


def test_keys_that_v1_refuses_are_named_with_node_version_and_line(make_cell, build):
    """B54"""
    case = build.case(services=[build.service("a")], v2_only=("docker-compose.yml:1: name",))
    node = build.node(facts=FACTS, snapshot={})
    with pytest.raises(StepFailure, match=r"n1 .* V1 \(1\.29\.2\), which does not know docker-compose\.yml:1: name"):
        prep.check(make_cell(case, client=node))


@pytest.mark.parametrize("compose", [PLUGIN, [*V1, *PLUGIN]])
def test_the_plugin_knows_all_keys(make_cell, build, compose):
    case = build.case(services=[build.service("a")], v2_only=("docker-compose.yml:1: name",))
    node = build.node(facts={**FACTS, "compose": compose}, snapshot={})
    assert prep.check(make_cell(case, client=node))["engine"] == "20.10.24"


def test_a_node_is_asked_for_what_its_own_services_take_for_granted(make_cell, build):
    services = [
        needing(build, "a", {"binds": ["/data"], "networks": ["lab"], "volumes": [], "gpus": 4}),
        needing(build, "b", {"binds": ["/data", "/x"], "gpu_drivers": ["nvidia"]}),
        needing(build, "c", {"binds": ["/elsewhere"], "gpus": 99}, node="n2"),
    ]
    found = {**FACTS, "wants": {"binds": {"/data": "directory", "/x": "file"}, "networks": {"lab": True}}}
    node = build.node(facts=found, snapshot={})
    prep.check(make_cell(build.case(services=services), client=node))
    op, args = node.calls[0]
    assert op == "facts"
    assert (args["binds"], args["networks"], args["volumes"]) == (["/data", "/x"], ["lab"], [])


def test_what_nobody_could_list_is_left_to_compose(build):
    case = build.case(services=[needing(build, "a", {"networks": ["lab"]})])
    facts = {**FACTS, "wants": {"networks": {"lab": None}}}
    assert list(needs.need_problems(facts, case, "n1")) == []
