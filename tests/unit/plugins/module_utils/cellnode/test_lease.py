# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import lease
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.lease import Corrupt, Lease, Now

NOW = Now(boottime=1000.0, boot_id="boot-1", unix=5_000_000.0)
HELD = Lease(7, "run-a", "anna", 60.0, "boot-1", 1030.0, 4_999_970.0)


@dataclass(frozen=True)
class Hands(Clock):
    """A clock whose hands are set by a test. hands: [seconds since boot, seconds since 1970]."""

    hands: tuple[list[float], list[float]] = ([1000.0], [5_000_000.0])

    def boottime(self) -> float:
        return self.hands[0][0]


class Node:
    """A node root with a clock to turn."""

    def __init__(self, root):
        self.root, self.boottime, self.wall = root, [1000.0], [5_000_000.0]

    def context(self, run="run-a", epoch=None, owner="anna", check=False):
        clock = Hands(unix=lambda: self.wall[0], hands=(self.boottime, self.wall))
        return Context(self.root, RunRef(run, epoch=epoch), owner, check, clock=clock)

    def do(self, action, run="run-a", epoch=None, owner="anna", check=False, **args):
        return lease.OPS["lease"](self.context(run, epoch, owner, check), {"action": action, **args})

    def fence(self, run="run-a", epoch=1):
        lease.check_fence(self.context(run, epoch))

    @property
    def file(self):
        return self.root / "lease.json"


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path / "root")


@pytest.mark.parametrize(
    ("record", "run", "owner", "epoch"),
    [
        pytest.param(None, "run-b", "bert", 1, id="first"),
        pytest.param(HELD, "run-a", "anna", 7, id="same-run-again"),
        pytest.param(replace(HELD, expires_boottime=1000.0), "run-a", "anna", 8, id="same-run-after-expiry"),
        pytest.param(replace(HELD, expires_boottime=999.0), "run-b", "bert", 8, id="F12-after-expiry"),
        pytest.param(replace(HELD, boot_id="boot-0", expires_boottime=9e9), "run-b", "bert", 8, id="after-a-restart"),
        pytest.param(replace(HELD, released=True), "run-b", "bert", 8, id="after-release"),
        pytest.param(Corrupt("bad", NOW.unix - 61), "run-b", "bert", int(NOW.unix), id="corrupt-and-old"),
    ],
)
def test_node_is_given_to_whoever_may_have_it(record, run, owner, epoch):
    got = lease.decide(record, run, owner, 60.0, NOW)
    carries = HELD.carries if epoch == HELD.epoch else epoch
    assert got == Lease(epoch, run, owner, 60.0, "boot-1", 1060.0, NOW.unix, carries=carries)


@pytest.mark.parametrize(
    ("record", "run", "owner", "left"),
    [
        pytest.param(HELD, "run-b", "bert", 30.0, id="F11-other-run"),
        pytest.param(HELD, "run-a", "bert", 30.0, id="F11-same-run-id-of-somebody-else"),
        pytest.param(Corrupt("bad", NOW.unix - 20), "run-a", "anna", 40.0, id="corrupt-and-young"),
        pytest.param(Corrupt("bad", NOW.unix + 9e6), "run-a", "anna", 60.0, id="corrupt-with-a-future-time-stamp"),
    ],
)
def test_held_node_is_refused_and_its_holder_named(record, run, owner, left):
    with pytest.raises(CellError) as caught:
        lease.decide(record, run, owner, 60.0, NOW)
    assert caught.value.kind == "lock_held"
    holder = caught.value.detail["holder"]
    assert holder["expires_in_s"] == left
    if record is HELD:
        assert (holder["run"], holder["owner"], holder["epoch"]) == ("run-a", "anna", 7)
        assert "'run-a'" in caught.value.message


def test_acquire_renew_and_release_tell_the_same_story(node):
    taken = node.do("acquire", ttl_s=60)
    assert taken == {
        "held": True, "state": "held", "epoch": 1, "run": "run-a", "owner": "anna",
        "ttl_s": 60.0, "expires_in_s": 60.0, "previous": None,
    }  # fmt: skip
    node.boottime[0] += 50
    assert node.do("show")["expires_in_s"] == 10.0
    assert node.do("renew", epoch=1)["expires_in_s"] == 60.0
    assert node.do("renew", epoch=1, ttl_s=90)["expires_in_s"] == 90.0
    assert node.do("release", epoch=1)["state"] == "released"
    assert node.do("release", epoch=1)["held"] is False
    assert node.do("show")["held"] is False


def test_epoch_only_grows(node):
    epochs = []
    for run in ("run-a", "run-b", "run-a"):
        epochs.append(node.do("acquire", run=run)["epoch"])
        node.do("release", run=run)
    assert epochs == [1, 2, 3]


def test_taken_over_lease_is_described(node):
    node.do("acquire", ttl_s=60)
    node.boottime[0] += 61
    previous = node.do("acquire", run="run-b", owner="bert")["previous"]
    assert (previous["state"], previous["run"], previous["owner"], previous["epoch"]) == ("expired", "run-a", "anna", 1)


@pytest.mark.parametrize("jump", [7200.0, -7200.0, 86400.0], ids=["F60-forward", "F60-back", "F61-a-day"])
def test_wall_clock_moves_no_expiry(node, jump):
    node.do("acquire", ttl_s=60)
    node.wall[0] += jump
    assert node.do("show")["expires_in_s"] == 60.0
    with pytest.raises(CellError):
        node.do("acquire", run="run-b")
    node.boottime[0] += 60
    assert node.do("acquire", run="run-b")["epoch"] == 2


def test_fence_renews_the_lease_of_its_own_epoch(node):
    node.do("acquire", ttl_s=60)
    node.boottime[0] += 59
    node.fence(epoch=1)
    assert node.do("show")["expires_in_s"] == 60.0


def test_fence_accepts_a_lapsed_lease_that_nobody_took(node):
    node.do("acquire", ttl_s=60)
    node.boottime[0] += 600
    node.fence(epoch=1)
    assert node.do("show")["held"] is True


def _take_over(node):
    node.do("acquire", ttl_s=60)
    node.boottime[0] += 61
    node.do("acquire", run="run-b", owner="bert", ttl_s=60)


@pytest.mark.parametrize(
    ("before", "word"),
    [
        pytest.param(_take_over, "'run-b' of 'bert' (epoch 2)", id="F10-other-run"),
        pytest.param(lambda node: [node.do("acquire"), node.do("release")], "released", id="released"),
        pytest.param(lambda node: node.do("show"), "holds no lease", id="never-acquired"),
    ],
)
def test_fence_refuses_who_does_not_own_the_node(node, before, word):
    before(node)
    with pytest.raises(CellError) as caught:
        node.fence(epoch=1)
    assert caught.value.kind == "lock_held"
    assert word in caught.value.message


def test_fence_refuses_an_old_epoch_of_the_same_run(node):
    node.do("acquire", ttl_s=60)
    node.boottime[0] += 61
    assert node.do("acquire", ttl_s=60)["epoch"] == 2
    with pytest.raises(CellError, match="epoch 2"):
        node.fence(epoch=1)


def test_fence_is_open_for_requests_without_an_epoch(node):
    lease.check_fence(node.context(epoch=None))
    assert not node.root.exists()


@pytest.mark.parametrize("action", ["renew", "release"])
def test_lease_of_another_run_is_neither_renewed_nor_released(node, action):
    node.do("acquire")
    with pytest.raises(CellError, match="'run-a' of 'anna'"):
        node.do(action, run="run-b")
    assert node.do("show")["run"] == "run-a"


def test_check_mode_changes_nothing(node):
    assert node.do("acquire", check=True)["held"] is False
    assert not node.file.exists()


GOOD = {
    "epoch": 7, "run": "run-a", "owner": "anna", "ttl_s": 60, "boot_id": "b", "expires_boottime": 9.5,
    "renewed_unix": 1.0, "released": False,
}  # fmt: skip


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"\xff", id="not-utf8"),
        pytest.param(json.dumps({**GOOD, "epoch": "7"}).encode(), id="wrong-type"),
        pytest.param(json.dumps({**GOOD, "epoch": True}).encode(), id="bool-for-number"),
        pytest.param(json.dumps({**GOOD, "released": 0}).encode(), id="number-for-bool"),
        pytest.param(json.dumps({key: GOOD[key] for key in GOOD if key != "run"}).encode(), id="key-missing"),
        pytest.param(b"{" + b" " * 100_000 + b"}", id="too-long"),
    ],
)
def test_unreadable_lease_counts_as_held_for_one_ttl_and_is_kept_as_evidence(node, raw):
    node.root.mkdir(mode=0o700)
    node.file.write_bytes(raw)
    os.utime(node.file, (node.wall[0] - 30, node.wall[0] - 30))
    assert node.do("show")["state"] == "corrupt"
    for action in ("acquire", "renew"):
        with pytest.raises(CellError, match="cannot be read"):
            node.do(action, ttl_s=60)
    with pytest.raises(CellError, match="cannot be read"):
        node.fence()
    node.wall[0] += 31
    taken = node.do("acquire", ttl_s=60)
    assert (taken["held"], taken["previous"]["state"]) == (True, "corrupt")
    assert taken["epoch"] > 1_000_000
    assert (node.root / "lease.json.corrupt").read_bytes() == raw[: lease.FILE_LIMIT + 1]


def test_link_in_place_of_the_lease_is_not_followed(node, tmp_path):
    node.root.mkdir(mode=0o700)
    target = tmp_path / "target"
    target.write_text(json.dumps(GOOD))
    node.file.symlink_to(target)
    assert node.do("show")["state"] == "corrupt"
    os.utime(node.file, (0, 0), follow_symlinks=False)
    node.do("acquire")
    assert not node.file.is_symlink()
    assert json.loads(target.read_text()) == GOOD


def test_root_that_is_a_link_is_refused(node, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    node.root.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CellError, match="a link is refused"):
        node.do("acquire")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_root_of_somebody_else_is_refused(node):
    node.root.mkdir()
    os.chown(node.root, 12345, -1)
    with pytest.raises(CellError) as caught:
        node.do("acquire")
    assert (caught.value.kind, "12345" in caught.value.message) == ("privilege", True)


def test_files_of_the_lease_are_private_and_no_temp_stays(node):
    node.do("acquire")
    node.fence(epoch=1)
    assert sorted(os.listdir(node.root)) == ["lease.json", "lease.lock"]
    assert {path.stat().st_mode & 0o777 for path in node.root.iterdir()} == {0o600}
    assert node.root.stat().st_mode & 0o777 == 0o700


def test_unknown_action_lists_the_known_ones(node):
    with pytest.raises(CellError, match="acquire, renew, release, show"):
        node.do("steal")


def test_of_20_processes_that_acquire_at_once_one_wins_F11(cell):
    begun = []
    for number in range(20):
        cell.run["id"], cell.owner = f"run-{number}", f"owner-{number}"
        begun.append(cell.begin("lease", action="acquire", ttl_s=600))
    answers = [cell.answer(process) for process in begun]
    won = [answer["result"] for answer in answers if "result" in answer]
    lost = [answer["error"] for answer in answers if "error" in answer]
    assert (len(won), len(lost)) == (1, 19)
    assert won[0]["epoch"] == 1
    assert {error["kind"] for error in lost} == {"lock_held"}
    assert {error["detail"]["holder"]["run"] for error in lost} == {won[0]["run"]}


def test_fenced_operation_of_a_lost_lease_is_refused_by_the_program_F10(cell, eventually):
    cell.run["epoch"] = cell.call("lease", action="acquire", ttl_s=0.2)["epoch"]
    first, cell.run = cell.run, {**cell.run, "id": "other", "epoch": None}
    eventually(lambda: "result" in cell.answer(cell.begin("lease", action="acquire", ttl_s=600)), "it is taken over")
    cell.run = first
    error = cell.fail("supervise", action="start", name="test", argv=["true"])
    assert (error["kind"], error["detail"]["holder"]["run"]) == ("lock_held", "other")
    assert not cell.case_dir.exists()
