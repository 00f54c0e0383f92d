# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import prep
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import StepFailure

GIB = 1 << 30
GOOD = {
    "time_unix": 1000.0,
    "engine": {"ok": True, "version": "20.10.24"},
    "compose": [{"kind": "v1", "argv": ["docker-compose"], "version": "1.29.2"}],
    "disks": [{"path": "/", "free_bytes": 10 * GIB, "total_bytes": 20 * GIB}],
    "listening": [{"port": 22, "pid": 1, "program": "sshd"}],
    "gpus": [],
    "gpu_error": "nvidia-smi is absent",
    "leftovers": [],
}
BAD = [
    (
        "engine",
        {"engine": {"ok": False, "error_kind": "docker_permission", "error": "denied"}},
        {},
        "docker_permission",
        "denied",
    ),
    ("compose", {"compose": []}, {}, "docker_api_mismatch", "Compose is absent"),
    ("disk", {"disks": [{"path": "/d", "free_bytes": GIB // 2}]}, {}, "disk_full", r"/d has 0\.50 GiB free"),
    (
        "F40 port",
        {"listening": [{"port": 80, "pid": 7, "program": "nginx"}]},
        {},
        "port_conflict",
        r"port 80 is taken by nginx \(pid 7\); end it or choose another port",
    ),
    (
        "F40 port of a container",
        {"listening": [{"port": 80, "pid": 7, "program": "docker-proxy", "container": "web"}]},
        {},
        "port_conflict",
        "port 80 is taken by container web; end it",
    ),
    ("B31 no gpu", {}, {"min_gpu_memory_bytes": 24 * GIB}, "gpu_missing", r"no GPU \(nvidia-smi is absent\); 24 GiB"),
    (
        "B31 small gpu",
        {"gpus": [{"memory_total_bytes": 16 * GIB}]},
        {"min_gpu_memory_bytes": 24 * GIB},
        "gpu_missing",
        "16.0 GiB",
    ),
]


@pytest.mark.parametrize(("facts", "fields", "kind", "text"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_node_that_cannot_do_the_job_is_named_with_the_reason(make_cell, build, facts, fields, kind, text):
    case = build.case(services=[build.service("a", ports=(80,))], **fields)
    node = build.node(facts={**GOOD, **facts}, snapshot={})
    cell = make_cell(case, client=node)
    cell.plan = build.replace(cell.plan, min_free_bytes=GIB)
    with pytest.raises(StepFailure, match=text) as caught:
        prep.check(cell)
    assert caught.value.kind == kind
    assert "n1" in str(caught.value)


def test_all_reasons_are_named_at_once():
    from types import SimpleNamespace

    service = SimpleNamespace(ports=(22, 80), needs={})
    case = SimpleNamespace(services_on=lambda node: [service], min_gpu_memory_bytes=GIB, v2_only=())
    facts = {**GOOD, "compose": [], "listening": [{"port": 22}, {"port": 80}]}
    kinds = [kind for kind, _ in prep.node_problems(facts, case, "n1", 100 * GIB)]
    assert kinds == ["docker_api_mismatch", "port_conflict", "port_conflict", "gpu_missing", "disk_full"]


def test_a_node_that_only_runs_the_test_needs_no_engine(make_cell, build):
    case = build.case(services=[build.service("a", node="n2")], nodes=("n1", "n2"))
    node = build.node(facts={**GOOD, "engine": {"ok": False, "error": "absent"}, "compose": []}, snapshot={"n": 1})
    cell = make_cell(case, client=node)
    assert prep.check(cell)["compose"] == "none"
    assert cell.board.read("snapshot.n1") == {"n": 1}


ABSENT = {"engine": {"ok": False, "installed": False, "error_kind": "docker_daemon_down", "error": "no socket"}}
ADVICE = [
    ("not asked for", {"compose": []}, None, "V1\\); testcell_install=true would install compose$"),
    ("not asked for, engine", ABSENT, None, "no socket; testcell_install=true would install engine$"),
    (
        "failed",
        {"compose": []},
        {"packages": [], "changed": False, "error": "no package x"},
        "Compose is absent.*; installing what is missing failed: no package x$",
    ),
    (
        "without effect",
        {"compose": []},
        {"packages": ["docker-compose"], "changed": False, "error": ""},
        "Compose is absent.*; docker-compose is installed already$",
    ),
]


@pytest.mark.parametrize(("facts", "kept", "text"), [row[1:] for row in ADVICE], ids=[row[0] for row in ADVICE])
def test_what_is_missing_is_named_together_with_what_became_of_installing_it(make_cell, build, facts, kept, text):
    cell = make_cell(build.case(services=[build.service("a")]), client=build.node(facts={**GOOD, **facts}))
    if kept:
        cell.board.post("install.n1", kept)
    with pytest.raises(StepFailure, match=text):
        prep.check(cell)


@pytest.mark.parametrize(("starts_at", "ready"), [(1010.0, True), (9999.0, False)], ids=["in time", "never"])
def test_an_engine_that_was_just_installed_is_given_time_to_start(make_cell, build, starts_at, ready):
    cell = make_cell(build.case(services=[build.service("a")]), step="prep")

    def facts(**_):
        return GOOD if cell.clock() >= starts_at else {**GOOD, **ABSENT}

    cell.client = build.node(facts=facts, snapshot={})
    cell.board.post("install.n1", {"packages": ["docker.io"], "changed": True, "error": ""})
    if ready:
        assert prep.check(cell)["engine"] == "20.10.24"
    else:
        with pytest.raises(StepFailure, match=r"no socket; installed docker\.io"):
            prep.check(cell)
        assert cell.clock() == pytest.approx(1000.0 + prep.ENGINE_START_S, abs=1)


def test_what_a_dead_run_left_is_reaped_once_an_engine_answers(make_cell, build):
    node = build.node(facts=GOOD, snapshot={}, reap={"removed": {"containers": 2}})
    cell = make_cell(build.case(services=[build.service("a")]), client=node)
    cell.board.post("unreaped.n1", {"message": "no engine"})
    prep.check(cell)
    assert [op for op, _ in node.calls] == ["facts", "reap", "snapshot"]


def test_f61_a_clock_that_is_off_is_a_warning(make_cell, build):
    node = build.node(facts={**GOOD, "time_unix": 1000.0 + 86400}, snapshot={})
    cell = make_cell(build.case(services=[build.service("a")]), client=node)
    prep.check(cell)
    assert "+86400.0 s off" in cell.board.read("facts.n1")["warnings"][0]


def test_the_plugin_is_taken_before_v1():
    facts = {
        "compose": [
            {"kind": "v1", "argv": ["docker-compose"], "version": "1"},
            {"kind": "plugin", "argv": ["docker", "compose"], "version": "2"},
        ]
    }
    assert prep.compose_choice(facts) == facts["compose"][1]
    assert prep.compose_title(facts) == "plugin 2"
