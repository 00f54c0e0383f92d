# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import lease as cell_lease
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import journal, owner
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import lease, record
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import waiting as waiting_module
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.cell import StepFailure
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps.waiting import SLACK_S

NOTHING = {"removed": {"containers": 0}, "errors": []}


class Node:
    """A node that holders have until they give it back. shared: they let others in; leaves: after so many questions all are gone."""

    python, owner, line = "python3", "me", None

    def __init__(self, *holders, reaped=NOTHING, shared=False, leaves=None):
        self.holders, self.reaped, self.run, self.calls = list(holders), reaped, {"id": "mine"}, []
        self.shared, self.leaves = shared, leaves
        self.left = False

    def leave(self):
        self.left = True

    def call(self, op, **args):
        self.calls.append((op, args.get("action", ""), dict(self.run)))
        if op == "lease":
            return getattr(self, args["action"])(**args)
        if op == "reap" and isinstance(self.reaped, NodeError):
            raise self.reaped
        return {"reap": self.reaped, "clean": {"removed": {"containers": 2}, "errors": []}}[op]

    def acquire(self, shared=False, **_args):
        if self.leaves is not None and self.asked() > self.leaves:
            self.holders = []
        if self.holders and not (shared and self.shared):
            raise NodeError("lock_held", "held", {"holder": self.holders[0], "holders": list(self.holders)})
        return {"epoch": 8, "holders": [*self.holders, {"run": "mine", "owner": "me", "epoch": 8}]}

    def release(self, **_args):
        self.holders = [one for one in self.holders if one["run"] != self.run["id"]]

    def renew(self, **_args):
        return {}

    def asked(self):
        return [call[:2] for call in self.calls].count(("lease", "acquire"))

    def ops(self):
        return [call[0] for call in self.calls]


def held_by(pid, run="theirs", epoch=7):
    name = owner.name(owner.here(), pid)
    return {"owner": name, "run": run, "epoch": epoch, "shared": True, "expires_in_s": 99.5, "age_s": 40.0}


def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(timeout=30)
    return process.pid


def cell_with(make_cell, build, node, **fields):
    return make_cell(build.case(services=[build.service("a")], **fields), client=node)


def test_a_free_node_is_taken_and_its_epoch_goes_with_every_call(make_cell, build):
    node = Node()
    cell = cell_with(make_cell, build, node)
    assert lease.acquire(cell) == {"epoch": 8}
    assert node.run["epoch"] == 8 and cell.shared.read("lease.n1")["epoch"] == 8


def test_what_a_dead_run_left_is_reaped_and_told(make_cell, build):
    node = Node(reaped={"removed": {"containers": 2, "files": 0}, "errors": []})
    assert lease.acquire(cell_with(make_cell, build, node))["reaped"] == {"containers": 2, "files": 0}


def test_what_the_case_had_begun_with_before_is_removed_once_the_node_is_ours(make_cell, build):
    node = Node()
    cell = cell_with(make_cell, build, node)
    cell.board.post("leavings.n1", {})
    lease.acquire(cell)
    assert node.calls[1] == ("clean", "", {"id": "mine", "epoch": 8})


def test_a_node_without_an_engine_is_taken_all_the_same_and_prep_judges_it(make_cell, build):
    node = Node(reaped=NodeError("docker_daemon_down", "no engine answers"))
    cell = cell_with(make_cell, build, node)
    assert lease.acquire(cell) == {"epoch": 8}
    node.reaped = {"removed": {"containers": 1}}
    lease.reap_if_due(cell)
    assert node.ops().count("reap") == 2


def test_what_else_keeps_dead_runs_from_being_reaped_is_an_error(make_cell, build):
    with pytest.raises(NodeError, match="denied"):
        lease.acquire(cell_with(make_cell, build, Node(reaped=NodeError("docker_permission", "denied"))))


def test_f11_a_living_holder_is_named_and_not_touched(make_cell, build):
    node = Node(held_by(os.getpid()))
    with pytest.raises(StepFailure) as caught:
        lease.acquire(cell_with(make_cell, build, node))
    at = owner.here()
    who = rf"{at.user} on {at.host} \(process {os.getpid()}\) for run theirs, taken 40 s ago, for at most 100 s more"
    assert caught.value.kind == "lock_held" and re.search(rf"node n1 is held by {who}", str(caught.value))
    assert node.ops() == ["lease"]


def test_f11_every_holder_in_the_way_is_named(make_cell, build):
    node = Node(held_by(os.getpid()), held_by(1, "others"))
    with pytest.raises(StepFailure, match=r"run theirs.*; and by .* run others.*; wait for it \(`--wait`\)"):
        lease.acquire(cell_with(make_cell, build, node))


def test_what_a_node_without_a_holder_says_is_told(make_cell, build):
    class Busy(Node):
        def acquire(self, **_args):
            raise NodeError("lock_held", "another process has been changing the lease, for 10 s now")

    with pytest.raises(StepFailure, match="node n1 is busy: another process has been changing"):
        lease.acquire(cell_with(make_cell, build, Busy()))


def test_f01_a_dead_holder_of_this_machine_is_finished_under_its_own_epoch(make_cell, build):
    node = Node(held_by(dead_pid()))
    lease.acquire(cell_with(make_cell, build, node))
    assert ("clean", "", {"id": "theirs", "epoch": 7}) in node.calls
    assert node.calls[-2][:2] == ("lease", "acquire") and node.run == {"id": "mine", "epoch": 8}


def test_a_dead_holder_that_somebody_else_finishes_meanwhile_is_no_failure(make_cell, build):
    class Raced(Node):
        def call(self, op, **args):
            if op == "clean":
                self.holders = []
                raise NodeError("lock_held", "it is not yours any more")
            return super().call(op, **args)

    node = Raced(held_by(dead_pid()))
    assert lease.acquire(cell_with(make_cell, build, node)) == {"epoch": 8}
    assert node.run == {"id": "mine", "epoch": 8}


def test_of_those_who_share_a_node_only_the_dead_are_finished(make_cell, build):
    node = Node(held_by(os.getpid(), "living"), held_by(dead_pid(), "dead", 6), shared=True)
    cell = cell_with(make_cell, build, node, shares_nodes=True)
    assert lease.acquire(cell) == {"epoch": 8}
    assert [one["run"] for one in node.holders] == ["living"]
    assert [call[2] for call in node.calls if call[0] == "clean"] == [{"id": "dead", "epoch": 6}]


@pytest.mark.parametrize(("cases", "shared"), [([True, True], True), ([True, False], False)], ids=["all", "not all"])
def test_a_run_shares_a_node_only_where_all_of_its_cases_there_allow_it(make_cell, build, tmp_path, cases, shared):
    made = [build.case(n, services=[build.service("a")], shares_nodes=one) for n, one in enumerate(cases)]
    node = Node(held_by(os.getpid()), shared=True)
    cell = make_cell(made[0], client=node, run=build.plan(tmp_path, *made))
    if shared:
        assert lease.acquire(cell) == {"epoch": 8}
    else:
        with pytest.raises(StepFailure, match="is held by"):
            lease.acquire(cell)


# --- waiting --------------------------------------------------------------------------------------------------------


def waiting(make_cell, build, tmp_path, node, name="n1", nodes=("n1",), wait_s=60, **fields):
    case = build.case(services=[build.service(f"s{n}", node=n) for n in nodes])
    return make_cell(case, name, client=node, run=build.plan(tmp_path, case, wait_s=wait_s, **fields))


def events(cell):
    return [entry for entry in journal.read(cell.plan.run_dir) if entry["phase"] == "event"]


def test_a_held_node_is_asked_again_every_second_until_it_is_free_and_the_holder_is_told_once(
    make_cell, build, tmp_path
):
    node = Node(held_by(os.getpid()), leaves=20)
    cell = waiting(make_cell, build, tmp_path, node)
    assert lease.acquire(cell) == {"epoch": 8}
    assert node.asked() == 21 and cell.clock() == pytest.approx(1020.0)
    (told,) = events(cell)
    assert (
        told["message"].startswith("waits for n1, at most 1 min 00 s: held by ") and "for run theirs" in told["message"]
    )
    assert told["holders"][0]["run"] == "theirs"


def test_a_new_holder_is_told_again(make_cell, build, tmp_path):
    class Queue(Node):
        def acquire(self, **args):
            if self.asked() == 5:
                self.holders = [held_by(os.getpid(), "next", 8)]
            return super().acquire(**args)

    cell = waiting(make_cell, build, tmp_path, Queue(held_by(os.getpid()), leaves=9))
    lease.acquire(cell)
    assert ["for run next" in entry["message"] for entry in events(cell)] == [False, True]


def test_f11_a_wait_that_is_over_names_the_holder_and_how_long_it_was(make_cell, build, tmp_path):
    node = Node(held_by(os.getpid()))
    cell = waiting(make_cell, build, tmp_path, node, wait_s=30)
    with pytest.raises(StepFailure, match=r"n1 is held by .* for run theirs.*; waited 30 s for it in vain") as caught:
        lease.acquire(cell)
    assert caught.value.kind == "lock_held" and node.asked() == 31


def test_a_node_is_asked_for_only_after_those_before_it_are_held(make_cell, build, tmp_path):
    node = Node()
    cell = waiting(make_cell, build, tmp_path, node, "n2", ("n3", "n2", "n1"))
    asked = []

    def sleep(seconds, sleep=cell.sleep):
        sleep(seconds)
        asked.append(node.asked())
        if cell.clock() > 1010 and not node.asked():
            cell.shared.post("lease.n1", {"epoch": 1})
        if cell.clock() > 1020:
            cell.shared.post("lease.n3", {"epoch": 1})

    cell.sleep = sleep
    assert lease.acquire(cell) == {"epoch": 8}
    assert asked[90] == 0 and asked[-1] == 1


def test_nodes_that_are_held_are_renewed_while_the_others_are_waited_for(make_cell, build, tmp_path):
    node = Node()
    cell = waiting(make_cell, build, tmp_path, node, "n1", ("n1", "n2"), wait_s=600, lease_ttl_s=60)
    renewed = []

    def sleep(seconds, sleep=cell.sleep):
        sleep(seconds)
        if node.calls[-1][:2] == ("lease", "renew") and len(node.calls) > len(renewed) + 2:
            renewed.append(cell.clock())
        if cell.clock() > 1300:
            cell.shared.post("lease.n2", {"epoch": 1})

    cell.sleep = sleep
    lease.acquire(cell)
    gaps = [after - before for before, after in zip([1000.0, *renewed], renewed, strict=False)]
    assert len(renewed) >= 15 and max(gaps) < 60 / 3
    assert node.calls[-1][2]["epoch"] == 8


@pytest.mark.parametrize(
    ("name", "holders", "expected"),
    [("n2", [], "dependency_failed"), ("n1", ["theirs"], "dependency_failed"), ("n1", [], "")],
    ids=["its turn never comes", "it asks", "it has the node"],
)
def test_nobody_waits_on_for_a_case_that_has_failed(make_cell, build, tmp_path, name, holders, expected):
    node = Node(*(held_by(os.getpid(), run) for run in holders))
    cell = waiting(make_cell, build, tmp_path, node, name, ("n1", "n2"), wait_s=600)

    def sleep(seconds, sleep=cell.sleep):
        sleep(seconds)
        cell.board.claim("failure", {"error_kind": "ssh_timeout"})

    cell.sleep = sleep
    if expected:
        with pytest.raises(StepFailure) as caught:
            lease.acquire(cell)
        assert caught.value.kind == expected
    else:
        assert lease.acquire(cell) == {"epoch": 8}
    assert cell.clock() < 1002


def test_nobody_waits_for_a_run_whose_controller_is_gone(make_cell, build, tmp_path):
    gone = owner.name(owner.here(), dead_pid())
    cell = waiting(make_cell, build, tmp_path, Node(held_by(os.getpid())), owner=gone)
    with pytest.raises(StepFailure) as caught:
        lease.acquire(cell)
    assert caught.value.kind == "controller_died" and cell.clock() == 1001.0


def test_a_worker_of_which_nothing_is_heard_is_not_waited_for_for_ever(make_cell, build, tmp_path):
    cell = waiting(make_cell, build, tmp_path, Node(), "n2", ("n1", "n2"), wait_s=60)
    with pytest.raises(StepFailure, match="no word of what holds them") as caught:
        lease.acquire(cell)
    assert caught.value.kind == "lock_held" and cell.clock() < 1000 + 60 + SLACK_S + 1


def test_a_run_that_waits_gives_its_nodes_back_after_each_case(make_cell, build, tmp_path):
    """Else two runs could each hold in one case what the other waits for in the next."""
    cases = [build.case(n, services=[build.service("a")]) for n in range(2)]
    run = build.plan(tmp_path, *cases, wait_s=60)
    node = Node()
    cell = make_cell(cases[0], client=node, run=run)
    lease.acquire(cell)
    lease.release(cell)
    assert node.calls[-1][:2] == ("lease", "release") and cell.shared.read("lease.n1") is None
    assert not node.left, "the next case asks the node again"


def test_the_lease_and_the_way_to_the_node_are_given_back_after_the_last_case_only(make_cell, build, tmp_path):
    cases = [build.case(n, services=[build.service("a")]) for n in range(2)]
    run = build.plan(tmp_path, *cases)
    for case, released in zip(cases, (False, True), strict=True):
        node = Node()
        cell = make_cell(case, client=node, run=run)
        cell.shared.post("lease.n1", {"epoch": 8})
        lease.release(cell)
        assert (("lease", "release") in [call[:2] for call in node.calls]) is node.left is released


def test_the_pause_between_scenarios_counts_from_the_end_of_the_last(make_cell, build):
    cell = make_cell(build.case(services=[build.service("a")], wait_before_s=30.0), client=Node())
    cell.shared.post("case-ended", {"t": cell.clock() - 10})
    lease.acquire(cell)
    assert cell.clock() == 1020.0


def test_a_quarantined_node_is_refused_by_the_quarantines_own_kind(make_cell, build):
    class Quarantined(Node):
        def call(self, op, **args):
            raise NodeError(
                "disk_full", "quarantined for 3.0 h more, since run r: no room", {"quarantine": {"run": "r"}}
            )

    with pytest.raises(
        StepFailure, match=r"node n1 is quarantined for 3\.0 h more, .*`testcell cleanup --all --lift`"
    ) as caught:
        lease.acquire(cell_with(make_cell, build, Quarantined()))
    assert caught.value.kind == "disk_full"


NEWER = {"holder": {"run": "x"}}
LOST = {
    "F10 refused after it was ours": (NodeError("lock_held", "no", NEWER), True, True),
    "F10 given back by another": (NodeError("lock_held", "no", {"holder": None}), True, True),
    "F10 told by a step": (StepFailure("lock_held", "no"), True, True),
    "refused when it was asked for": (NodeError("lock_held", "no", NEWER), False, False),
    "the file of the lease was busy": (NodeError("lock_held", "another process has it, for 10 s now"), True, False),
    "another error": (NodeError("docker_timeout", "no"), True, False),
}


@pytest.mark.parametrize(("refusal", "ours", "lost"), LOST.values(), ids=LOST)
def test_only_a_node_that_was_ours_can_be_lost(make_cell, build, refusal, ours, lost):
    cell = cell_with(make_cell, build, Node())
    if ours:
        cell.shared.post("lease.n1", {"epoch": 8})
    assert lease.is_lost(cell, refusal) == lost


def test_f10_a_lost_node_is_named_with_who_has_it_and_is_not_ours_to_clean(make_cell, build):
    cell = cell_with(make_cell, build, Node())
    cell.board.post("snapshot.n1", {})
    assert record.dirty_nodes(["n1"], cell.board) == ["n1"]
    failure = lease.lose(cell, NodeError("lock_held", "node is leased to run 'x' of 'anna@host:1'"))
    assert failure.kind == "controller_died" and "run 'x' of 'anna@host:1'" in str(failure)
    assert record.dirty_nodes(["n1"], cell.board) == []


class Program:
    """The node's program on a root of its own, called without a connection."""

    python, owner, line = "python3", "me", None

    def __init__(self, root, run):
        self.root, self.run = root, {"id": run}

    def leave(self):
        pass

    def call(self, op, **args):
        context = Context(self.root, RunRef(self.run["id"], epoch=self.run.get("epoch")), self.owner)
        if op == "reap":
            return NOTHING
        try:
            return cell_lease.op_lease(context, args)
        except CellError as exc:
            raise NodeError(exc.kind, exc.message, exc.detail) from None


def test_two_runs_that_wait_for_the_same_nodes_never_hold_half_of_them_each(make_cell, build, tmp_path, monkeypatch):
    """The second run's worker for n2 is there first: without an order it would take what the first waits for."""
    monkeypatch.setattr(waiting_module, "POLL_S", 0.01)
    monkeypatch.setattr(waiting_module, "BOARD_POLL_S", 0.01)
    case = build.case(services=[build.service(name, node=name) for name in ("n2", "n1")])
    ended = []

    def work(run, name, holding):
        plan = build.plan(tmp_path, case, run_id=run, wait_s=20)
        cell = make_cell(case, name, client=Program(tmp_path / name, run), run=plan)
        cell.clock, cell.sleep = time.time, time.sleep
        lease.acquire(cell)
        holding.wait(timeout=20)
        lease.release(cell)
        ended.append((run, name))

    for _ in range(10):
        barriers = {"one": threading.Barrier(2), "two": threading.Barrier(2)}
        workers = [
            threading.Thread(target=work, args=(run, name, barriers[run]), daemon=True)
            for run, name in (("two", "n2"), ("one", "n1"), ("two", "n1"), ("one", "n2"))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(timeout=30)
        assert sorted(ended) == [("one", "n1"), ("one", "n2"), ("two", "n1"), ("two", "n2")]
        ended.clear()


@pytest.mark.parametrize(
    ("line", "limits", "more_s", "expected"),
    [
        pytest.param("a link", {}, 0, 60, id="said-to-be-alive"),
        pytest.param(None, {"deployment_timeout_s": 600, "startup_timeout_s": 300}, 0, 960, id="nothing-says-so"),
        pytest.param("a link", {}, 900, 960, id="long-work"),
        pytest.param(None, {"deployment_timeout_s": 86_000, "startup_timeout_s": 86_000}, 900, 86_400, id="a-day"),
    ],
)
def test_a_lease_outlasts_the_work_that_gives_no_sign_of_life(make_cell, build, line, limits, more_s, expected):
    node = Node()
    node.line = line
    assert lease.ttl_s(make_cell(build.case(**limits), client=node), more_s) == expected
