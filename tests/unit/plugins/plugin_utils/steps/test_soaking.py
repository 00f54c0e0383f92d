# SPDX-License-Identifier: MIT
"""What a soak does on a node beside the test: units that begin and end, faults that excuse what they hit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy.board import Board
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.kinds_table import KINDS
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import clocks, salvage, script, soaking
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import StepFailure
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.soaking import Soaking

CALM = {"unit": None, "died": [], "unhealthy": []}
SETTINGS = {
    "sample_interval_secs": 1,
    "duration_secs": 60,
    "negative_control": False,
    "reports": [{"service": "a", "path": "reports/*.json", "progress": "height"}, {"service": "b", "path": "x"}],
    "metrics": [{"service": "a", "port": 8000, "path": "/metrics", "names": ["up"]}],
}


def fault(kind="kill", node="n2", service="a", **params):
    return {
        "id": f"{kind}.0",
        "kind": kind,
        "at_s": 5.0,
        "duration_s": 3.0,
        "node": node,
        "service": service,
        "params": params,
        "recovery_s": 30.0,
        "expected": True,
    }


def line(phase, **more):
    return {"id": "kill.0", "kind": "kill", "target": {"service": "a"}, "phase": phase, **more}


class Chaos:
    """What the node says of its faults: felt and lines for one status after the other, and what is left at the end."""

    def __init__(self, *statuses, left=(), lacking=None, library=""):
        self.statuses = list(statuses)
        self.left, self.lacking, self.library, self.since = list(left), lacking or {}, library, []

    def __call__(self, action, **args):
        if action == "check":
            asked = [one["kind"] for one in args["kinds"]]
            return {"lacking": {kind: self.lacking.get(kind, "") for kind in asked}, "library": self.library}
        if action == "status":
            self.since.append(args["since"])
            felt, lines = self.statuses.pop(0) if self.statuses else ([], [])
            return {"felt": felt, "lines": lines, "next": args["since"] + len(lines)}
        return {"begin": {}, "end": {"left": self.left}}[action]


@pytest.fixture
def soak(make_cell, build):
    """Return a function that makes the cell of a soak on n2, where service a runs; the test is on local."""

    def make(chaos=None, schedule=(), follow=None, node="n2", **changed):
        case = build.case(services=[build.service("a", node="n2"), build.service("b")])
        case = build.replace(
            case, soak={"settings": {**SETTINGS, **changed}, "schedule": list(schedule), "topology": "x", "seed": 1}
        )
        cell = make_cell(case, node=node)
        answers = {"soak": {}, "chaos": chaos or Chaos(), "supervise": {"state": "running"}}
        cell.client = build.node(**answers, **({"follow": follow} if follow else {}))
        cell.client.line = None
        return cell

    return make


def asked(cell, op):
    return [args["action"] for name, args in cell.client.calls if name == op]


def events(cell):
    return [entry["message"] for entry in journal.read(cell.plan.run_dir) if entry["phase"] == "event"]


def test_an_ordinary_case_asks_nothing_of_its_nodes(make_cell, build):
    cell = make_cell(build.case(services=[build.service("a")]))
    beside = Soaking(cell)
    for work in (
        beside.prepare,
        beside.begin,
        beside.await_others,
        beside.tell_begin,
        beside.show,
        beside.end,
        beside.give_up,
    ):
        work()
    assert (beside.hit(), soaking.cannot(cell), cell.client.calls) == (frozenset(), [], [])


def test_a_node_samples_its_own_services_only(soak):
    cell = soak()
    Soaking(cell).prepare()
    ((_, args),) = cell.client.calls
    assert args["services"] == ["a"]
    assert args["reports"] == [{"service": "a", "path": "reports/*.json"}]
    assert (args["metrics"], args["test_unit"]) == (SETTINGS["metrics"], "")


def test_the_controller_that_goes_on_with_a_soak_begins_nothing_again(soak):
    cell = soak(schedule=[fault()])
    Soaking(cell).prepare()
    Soaking(cell).prepare()
    assert (asked(cell, "soak"), asked(cell, "chaos")) == (["begin"], ["begin"])


@pytest.mark.parametrize("comes", ["sampling", "failure", ""], ids=["it samples", "it fails", "no word of it"])
def test_the_load_waits_until_the_other_nodes_sample(soak, comes):
    cell = soak(node="local")
    for name in ("local", "n1"):
        cell.board.post(f"soak-started.{name}", {"t": 0.0})
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3 and comes:
            cell.board.post("soak-started.n2" if comes == "sampling" else "failure", {"t": 1.0})

    cell = replace(cell, sleep=sleep, clock=lambda: sum(waits))
    Soaking(cell).await_others()
    assert len(waits) == 3 if comes else soaking.OTHERS_S <= sum(waits) < soaking.OTHERS_S + 1


@pytest.mark.parametrize("lives", [True, pytest.param(False, id="F63-its-controller-is-gone")])
def test_only_a_worker_with_a_controller_ends_a_soak_whose_test_has_failed(soak, lives):
    cell = soak()
    cell.board.post("soak-started.n2", {"t": 0.0})
    cell = replace(cell, board=Board(cell.board.folder, lambda: lives))
    Soaking(cell).give_up()
    assert asked(cell, "soak") == (["end"] if lives else [])


def test_a_node_gets_the_faults_that_are_its_own(soak):
    cell = soak(schedule=[fault(), fault("pause", node="n1", service="b")])
    Soaking(cell).prepare()
    (begun,) = [args for op, args in cell.client.calls if op == "chaos"]
    assert [one["id"] for one in begun["schedule"]] == ["kill.0"]
    assert list(begun["checks"]) == ["a"]


@pytest.mark.parametrize(("negative", "hit"), [(False, {"a"}), (True, set())])
def test_a_negative_control_injects_and_excuses_nothing(soak, negative, hit):
    cell = soak(Chaos((["a"], [])), [fault()], negative_control=negative)
    cell.board.post("begun", {"t": 1.0})
    beside = Soaking(cell)
    beside.prepare()
    beside.begin()
    (begun,) = [args for op, args in cell.client.calls if op == "chaos"]
    assert (begun["negative_control"], beside.hit()) == (negative, hit)


def test_the_load_has_begun_on_a_node_once_the_test_was_started(soak):
    cell = soak()
    beside = Soaking(cell)
    beside.prepare()
    beside.begin()
    assert asked(cell, "soak") == ["begin"]
    cell.board.post("begun", {"t": 1.0})
    beside.begin()
    beside.begin()
    assert asked(cell, "soak") == ["begin", "mark"]


@pytest.mark.parametrize(
    ("now", "ago_s"),
    [(1.0, 0.0), (6.5, 5.5), (900.0, 60), (0.5, 0.0)],
    ids=["at once", "F63 later", "after all", "before"],
)
def test_a_node_that_is_told_late_knows_when_the_load_began(soak, now, ago_s):
    cell = replace(soak(), clock=lambda: now)
    cell.board.post("begun", {"t": 1.0})
    Soaking(cell).begin()
    ((_, args),) = cell.client.calls
    assert (args["action"], args["ago_s"], args["duration_s"]) == ("mark", ago_s, 60)


@pytest.mark.parametrize(("felt", "hit"), [([], set()), (["a"], {"a"}), (["other"], {"other"}), ([""], {"a", ""})])
def test_services_are_excused_while_a_fault_is_felt(soak, felt, hit):
    cell = soak(Chaos((felt, [])), [fault()])
    cell.board.post("begun", {"t": 1.0})
    beside = Soaking(cell)
    beside.prepare()
    beside.begin()
    assert beside.hit() == hit


def test_faults_are_shown_once_and_not_at_every_look(soak):
    chaos = Chaos(([], [line("planned"), line("injected")]), ([], [line("recovered", rto_s=2.34)]))
    cell = soak(chaos, [fault()])
    cell.board.post("begun", {"t": 1.0})
    beside = Soaking(cell)
    beside.prepare()
    beside.begin()
    for _ in range(3):
        beside.show()
    cell.sleep(soaking.SHOWN_EVERY_S)
    beside.show()
    assert chaos.since == [0, 2]
    assert events(cell) == [
        "chaos kill.0: kill of a injected",
        "chaos kill.0: kill of a recovered after 2.3 s",
    ]


def test_f67_a_fault_that_a_node_cannot_do_is_refused_before_the_run(soak):
    chaos = Chaos(lacking={"network_loss": "the kernel has no statistic match", "kill": ""})
    cell = soak(chaos, [fault(), fault("network_loss", loss_pct=5)])
    ((kind, said),) = soaking.cannot(cell)
    assert kind == "chaos_unsupported"
    assert said.startswith("it cannot do the fault network_loss: the kernel has no statistic match; it can do: kill,")


LIBRARY = "/usr/lib/x/faketime/libfaketimeMT.so.1"


def test_what_lets_a_clock_jump_is_in_the_containers_of_the_services_that_need_it(soak):
    cell = soak(Chaos(lacking={"clock_jump": ""}, library=LIBRARY), [fault("clock_jump", jump_s=60)])
    assert soaking.cannot(cell) == []
    assert clocks.folders(cell) == ["clock/a"]
    (service, more), *others = clocks.preloads(cell, "/case").items()
    assert (service, others) == ("a", [])
    assert more["environment"]["LD_PRELOAD"] == "/testcell-libfaketime.so"
    assert more["volumes"] == [f"{LIBRARY}:/testcell-libfaketime.so:ro", "/case/clock/a:/testcell-clock:ro"]


def test_f67_a_node_whose_clocks_cannot_jump_is_refused_before_the_run(soak):
    cell = soak(Chaos(lacking={"clock_jump": "no libfaketime here"}), [fault("clock_jump", jump_s=60)])
    ((kind, said),) = soaking.cannot(cell)
    assert (kind, said.partition(";")[0]) == (
        "chaos_unsupported",
        "it cannot do the fault clock_jump: no libfaketime here",
    )
    assert cell.board.read("clock.n2") is None


def test_a_node_that_cannot_do_a_kind_says_which_it_can(soak):
    """B73"""
    lacking = {kind: f"no {kind}" if kind.startswith("network") else "" for kind in KINDS if kind != "pressure"}
    cell = soak(Chaos(lacking=lacking), [fault("network_cut"), fault("network_delay", delay_ms=5), fault()])
    able = "it can do: kill, stop, pause, restart, dockerd_restart, disk_fill, cpu_stress, memory_stress, clock_jump"
    assert [said for _, said in soaking.cannot(cell)] == [
        f"it cannot do the fault network_cut: no network_cut; {able}",
        f"it cannot do the fault network_delay: no network_delay; {able}",
    ]
    first, second = [[one["kind"] for one in args["kinds"]] for _, args in cell.client.calls]
    assert first == ["network_cut", "network_delay", "kill"]
    assert second == [kind for kind in KINDS if kind != "pressure"]


def test_clocks_that_nothing_sets_are_left_alone(soak):
    cell = soak(Chaos(lacking={"kill": ""}), [fault(), fault("clock_jump", node="n1", service="b", jump_s=60)])
    assert soaking.cannot(cell) == []
    assert (clocks.folders(cell), clocks.preloads(cell, "/case")) == ([], {})


@pytest.mark.parametrize(
    ("service", "url"),
    [("a", "http://10.0.0.2:8000"), ("b", "http://127.0.0.1:8000"), ("", None)],
    ids=["on-another-node", "on-the-test-s", "nobody-named"],
)
def test_extra_load_goes_where_that_of_the_test_goes(soak, build, service, url):
    """F67: sent to nowhere it would press nothing."""
    cell = soak(
        schedule=[fault("pressure", node="n1", service="", requests_per_s=5), fault(node="n1", service="b")], node="n1"
    )
    cell.case = build.replace(
        cell.case, test=build.replace(cell.case.test, node="n1", service=service, port=8000, config_file="load.json")
    )
    cell.plan = build.replace(cell.plan, addresses={"n1": "10.0.0.1", "n2": "10.0.0.2"})
    Soaking(cell).prepare()
    (begun,) = [args for op, args in cell.client.calls if op == "chaos"]
    pressed, killed = [one["params"] for one in begun["schedule"]]
    assert pressed == {"requests_per_s": 5, "config": "scenario/load.json", **({"base_url": url} if url else {})}
    assert killed == {}


def test_extra_load_needs_the_client_that_is_not_there_yet(soak):
    cell = soak(schedule=[fault("pressure", service="", requests_per_s=5)])
    assert (soaking.cannot(cell), cell.client.calls) == ([], [])


def test_what_is_left_of_a_fault_fails_the_case(soak):
    cell = soak(Chaos(left=[{"id": "kill.0", "kind": "kill", "left": ["it does not run"]}]), [fault()])
    beside = Soaking(cell)
    beside.prepare()
    with pytest.raises(StepFailure, match=r"kill\.0 \(kill\): it does not run") as caught:
        beside.end()
    assert caught.value.kind == "chaos_not_reverted"
    assert asked(cell, "soak")[-1] == "end"


def test_the_failure_of_a_test_is_told_before_what_its_faults_have_left(soak):
    def gone(**_):
        raise NodeError("node_unreachable", "it is gone")

    cell = soak(Chaos(left=[{"id": "kill.0", "kind": "kill", "left": ["x"]}]), [fault()], follow=gone)
    with pytest.raises(NodeError, match="it is gone"):
        script.run(cell)
    assert asked(cell, "chaos") == ["begin", "end", "status"]


DIED = {**CALM, "died": [{"service": "a", "error_kind": "service_died", "exit_code": 137, "log_tail": []}]}


@pytest.mark.parametrize(("felt", "ended"), [(["a"], ""), ([], "a")], ids=["by-a-fault", "by-itself"])
def test_f30_only_a_death_that_no_fault_explains_ends_a_soak(soak, felt, ended):
    """A service that a fault has hit is looked at again once it has had the time to recover."""
    said = iter([DIED, CALM, CALM])
    known = []

    def follow(**args):
        known.append(list(args["known"]))
        reply = next(said, None)
        if reply is None:
            cell.board.post("test", {"state": "exited"})
        return reply or CALM

    chaos = Chaos((([]), []), (felt, []), (felt, []), ([], []))
    cell = soak(chaos, [fault()], follow)
    cell.client.answers["facts"] = {"engine": {"ok": True, "life": "1"}}
    cell.board.post("begun", {"t": 1.0})
    assert script.run(cell) == {"died": ended}
    if not ended:
        assert known[:3] == [[], ["a"], []]
        assert cell.board.read("died.a") is None


def test_a_soak_that_goes_on_is_not_collected_from(soak):
    cell = soak(schedule=[fault()])
    cell.board.post("begun", {"t": 1.0})
    assert salvage.gather_unless_going(cell) == {"goes_on": True}
    assert cell.client.calls == []
