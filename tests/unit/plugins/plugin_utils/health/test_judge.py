# SPDX-License-Identifier: MIT
"""What is wrong with a node: tables of facts and of the problems that they are."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import judge
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import kinds

GIB = 1 << 30
RUN = "20260101_000000"


def left(run, *types, ours=True):
    items = [{"type": kind, "id": f"{kind}-{number}", "name": "", "run": run} for number, kind in enumerate(types)]
    return [{**item, "age_s": 1.0, "ours": ours} for item in items]


ALONE = [
    pytest.param({}, [], id="healthy"),
    pytest.param(
        {"engine": {"ok": False, "version": "", "error": "no socket", "error_kind": "docker_daemon_down"}},
        [("error", "engine", "docker_daemon_down", "the Docker engine does not answer: no socket")],
        id="engine",
    ),
    pytest.param(
        {"engine": {"ok": False, "version": "", "error": "denied", "error_kind": "docker_permission"}},
        [("error", "engine", "docker_permission", "the Docker engine does not answer: denied")],
        id="permission",
    ),
    pytest.param(
        {"compose": []}, [("error", "compose", "docker_api_mismatch", "Docker Compose is absent; ")], id="compose"
    ),
    pytest.param(
        {"disks": [{"path": "/a", "free_bytes": GIB}, {"path": "/b", "free_bytes": GIB // 2}]},
        [("error", "disk", "disk_full", "/b has 0.50 GiB free, below 1.00 GiB")],
        id="disk",
    ),
    pytest.param(
        {"gpu_error": "nvidia-smi failed with exit code 18"},
        [("warning", "gpu", "gpu_missing", "nvidia-smi failed with exit code 18")],
        id="gpu",
    ),
    pytest.param(
        {
            "memory": {
                "quarantine": {"kind": "disk_full", "reason": "no room", "run": "r1", "since": 0.0, "until": 8200.0}
            }
        },
        [("error", "quarantine", "disk_full", "no run gets the node for 2.0 h more, since run r1: no room")],
        id="quarantine",
    ),
    pytest.param(
        {"leftovers": left("r1", "container", "container", "network", "process")},
        [("warning", "leftover", "docker_leftover", "run r1 has left 2 containers, 1 network, 1 process")],
        id="leftovers-of-one-run",
    ),
    pytest.param(
        {"leftovers": [*left("r1", "process", "process"), *left("r2", "folder")]},
        [
            ("warning", "leftover", "docker_leftover", "run r1 has left 2 processes"),
            ("warning", "leftover", "docker_leftover", "run r2 has left 1 folder"),
        ],
        id="leftovers-of-two-runs",
    ),
    pytest.param(
        {"leftovers": left("r3", "container", ours=False)},
        [("warning", "leftover", "docker_leftover", "run r3, which has its files elsewhere, has 1 container here")],
        id="a-run-of-somebody-else",
    ),
    pytest.param(
        {"leftovers_error": "timed out", "services_error": "timed out"},
        [
            ("warning", "service", "docker_timeout", "services cannot be listed: timed out"),
            ("warning", "leftover", "docker_timeout", "cannot be listed: timed out"),
        ],
        id="lists",
    ),
    pytest.param(
        {
            "lease": {
                "held": True,
                "state": "corrupt",
                "why": "no JSON",
                "run": "",
                "owner": "",
                "holders": [],
                "expires_in_s": 9.0,
            }
        },
        [("warning", "lease", "lock_held", "the file of the lease cannot be read: no JSON")],
        id="corrupt-lease",
    ),
]


def general(facts, offset_s=0.0, dead=()):
    return judge.general(facts, GIB, offset_s, lambda owner: owner in dead)


def short(problem):
    return problem["level"], problem["what"], problem["error_kind"], problem["detail"]


@pytest.mark.parametrize(("changes", "wanted"), ALONE)
def test_what_is_wrong_is_named(said, changes, wanted):
    found = [short(problem) for problem in general(said(**changes))]
    assert [one[:3] for one in found] == [one[:3] for one in wanted]
    assert all(detail.startswith(begin) for (*_, detail), (*_, begin) in zip(found, wanted, strict=True))


@pytest.mark.parametrize(("offset_s", "count"), [(5.0, 0), (-5.1, 1), (86400.0, 1)])
def test_a_clock_that_is_off_is_a_warning_with_how_to_set_it(said, offset_s, count):
    found = general(said(), offset_s)
    assert [(p["level"], p["error_kind"]) for p in found] == [("warning", "clock_skew")] * count
    assert all(f"{offset_s:+.1f} s off" in p["detail"] and "chrony" in p["next"] for p in found)


SERVICES = [
    pytest.param({}, "", "", id="well"),
    pytest.param({"health": ""}, "", "", id="without-a-check"),
    pytest.param({"health": "starting"}, "", "", id="starting"),
    pytest.param({"state": "created", "health": ""}, "", "", id="created"),
    pytest.param({"health": "unhealthy"}, "service_unhealthy", "is unhealthy", id="unhealthy"),
    pytest.param({"state": "exited", "exit_code": 0}, "", "", id="completed"),
    pytest.param({"state": "exited", "exit_code": 3}, "container_exited", "has ended with exit code 3", id="exited"),
    pytest.param(
        {"state": "exited", "exit_code": 137, "oom": True}, "container_oom", "was killed for memory", id="oom"
    ),
    pytest.param(
        {"state": "restarting", "restarts": 4}, "service_flapping", "again and again (4 times so far)", id="restarting"
    ),
]


@pytest.mark.parametrize(("changes", "kind", "words"), SERVICES)
def test_a_service_of_the_run_that_goes_on_is_judged_by_its_state(said, entry, changes, kind, words):
    facts = said(lease=entry["held"], services=[{**entry["service"], **changes}])
    found = general(facts)
    assert [(p["level"], p["error_kind"]) for p in found] == ([("warning", kind)] if kind else [])
    assert all(f"service router of run {RUN} {words}" in p["detail"] or words in p["detail"] for p in found)
    assert all(p["next"] == "docker logs p-router-1" for p in found)


def test_a_service_of_a_dead_run_is_a_leftover_and_not_judged(said, entry):
    facts = said(services=[{**entry["service"], "health": "unhealthy"}], leftovers=left(RUN, "container"))
    assert [p["what"] for p in general(facts)] == ["leftover"]


def test_each_holder_of_a_shared_node_is_judged_by_itself(said, entry):
    theirs = {**entry["service"], "run": entry["other"]["run"], "health": "unhealthy"}
    things = [*left(RUN, "container"), *left(entry["other"]["run"], "volume")]
    facts = said(lease=entry["shared"], services=[entry["service"], theirs], leftovers=things)
    (service,) = general(facts)
    assert service["detail"] == f"service router of run {entry['other']['run']} is unhealthy"
    (_service, gone) = sorted(general(facts, dead=[entry["other"]["owner"]]), key=lambda p: p["what"] == "lease")
    assert (gone["error_kind"], gone["next"]) == ("controller_died", f"testcell cleanup {entry['other']['run']}")


@pytest.mark.parametrize(("shares", "wanted"), [(False, 2), (True, 0)], ids=["alone", "shared"])
def test_who_shares_a_node_is_in_the_way_of_a_case_that_does_not(said, build, entry, shares, wanted):
    found = judge.of_scenario(said(lease=entry["shared"]), case_of(build, shares_nodes=shares), "n1", GIB)
    assert [p["error_kind"] for p in found] == ["lock_held"] * wanted
    assert all(p["detail"].startswith("the node is held by run 20260101_00000") for p in found)


def test_what_the_run_that_holds_the_node_has_there_is_no_leftover(said, entry):
    facts = said(lease=entry["held"], leftovers=left(RUN, "container", "folder"))
    assert general(facts) == [] and judge.dead_leftovers(facts) == []


def test_a_run_whose_controller_is_gone_is_named_with_how_to_clean_up(said, entry):
    (found,) = general(said(lease=entry["held"]), dead=[entry["held"]["owner"]])
    assert (found["error_kind"], found["next"]) == ("controller_died", f"testcell cleanup {RUN}")
    assert found["detail"] == f"run {RUN} holds the node, and its controller me@box:7 is gone"


CARD = {"memory_total_bytes": 16 * GIB}
TAKEN = {"port": 8000, "address": "0.0.0.0", "pid": 7, "program": "nginx"}
PROXY = {**TAKEN, "program": "docker-proxy"}
NEEDS = [
    pytest.param({}, {}, [], id="nothing-in-the-way"),
    pytest.param({}, {"listening": [TAKEN]}, [("error", "port_conflict", "by nginx (pid 7)")], id="port-of-a-stranger"),
    pytest.param(
        {"min_gpu_memory_bytes": 24 * GIB},
        {"gpus": [CARD]},
        [("error", "gpu_missing", "its GPU memory is 16.0 GiB, below the required 24.0 GiB")],
        id="gpu-memory",
    ),
    pytest.param(
        {"v2_only": ("docker-compose.yml:1: name",)},
        {"compose": [{"kind": "v1", "version": "1.29.2"}]},
        [("error", "docker_api_mismatch", "its Compose is V1 (1.29.2)")],
        id="compose-version",
    ),
    pytest.param(
        {},
        {"wants": {"binds": {"/data": ""}, "networks": {"lab": False}, "volumes": {"models": False}}},
        [
            ("error", "mount_invalid", "/data, which service a mounts, does not exist there"),
            ("error", "compose_invalid", "external network lab"),
            ("error", "compose_invalid", "external volume models"),
        ],
        id="mounts-networks-volumes",
    ),
]
WANTED = {"binds": ["/data"], "networks": ["lab"], "volumes": ["models"]}


def case_of(build, **fields):
    service = build.replace(build.service("a", ports=(8000,)), needs=WANTED)
    return build.case(services=[service], **fields)


@pytest.mark.parametrize(("fields", "changes", "wanted"), NEEDS)
def test_a_node_is_held_against_what_a_case_needs(said, build, fields, changes, wanted):
    found = judge.of_scenario(said(**changes), case_of(build, **fields), "n1", GIB)
    assert [(p["level"], p["error_kind"]) for p in found] == [one[:2] for one in wanted]
    assert all(words in p["detail"] for p, (*_, words) in zip(found, wanted, strict=True))
    assert {p["scenario"] for p in found} <= {"s"}


def test_what_is_wrong_for_every_case_is_not_said_again_for_each(said, build):
    facts = said(engine={"ok": False, "error": "x"}, compose=[], disks=[{"path": "/", "free_bytes": 0}])
    assert judge.of_scenario(facts, case_of(build), "n1", GIB) == []


PORTS = [
    pytest.param(True, [], [("port_conflict", "wait for that run"), ("lock_held", "wait for that run")], id="going-on"),
    pytest.param(False, left(RUN, "container"), [("port_conflict", f"testcell cleanup {RUN}")], id="dead"),
]


@pytest.mark.parametrize(("alive", "leftovers", "wanted"), PORTS)
def test_f40_a_port_that_a_run_of_ours_has_is_a_warning_with_the_way_to_have_it_back(
    said, build, entry, alive, leftovers, wanted
):
    lease = entry["held"] if alive else entry["free"]
    facts = said(lease=lease, services=[entry["service"]], listening=[PROXY], leftovers=leftovers)
    found = judge.of_scenario(facts, case_of(build), "n1", GIB)
    assert [(p["error_kind"], p["next"]) for p in found] == wanted
    assert {p["level"] for p in found} == {"warning"}
    assert found[0]["detail"] == f"port 8000 is taken by service router of run {RUN}"


def test_a_port_that_a_run_of_somebody_else_has_is_a_stranger_s(said, build, entry):
    foreign = left(RUN, "container", ours=False)
    facts = said(services=[entry["service"]], listening=[PROXY], leftovers=foreign)
    (found,) = judge.of_scenario(facts, case_of(build), "n1", GIB)
    assert (found["level"], found["error_kind"]) == ("error", "port_conflict")
    assert "taken by docker-proxy (pid 7)" in found["detail"]


def test_a_node_that_only_runs_the_test_is_held_against_no_port(said, build):
    case = build.case(services=[build.service("a", node="n2", ports=(8000,))], nodes=("n1", "n2"))
    assert judge.of_scenario(said(listening=[TAKEN]), case, "n1", GIB) == []
    assert judge.wanted_ports([case, case], "n2") == [8000]


def test_every_kind_that_is_named_is_one_of_the_taxonomy(said, entry):
    facts = said(
        engine={"ok": True}, compose=[], gpu_error="x", lease=entry["held"], services_error="x", leftovers_error="x"
    )
    found = general(facts, 9.0, [entry["held"]["owner"]])
    assert len(found) == 6 and {p["error_kind"] for p in found} <= set(kinds.KINDS)
