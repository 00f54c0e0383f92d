# SPDX-License-Identifier: MIT
from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import lease
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock, Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.holders import Corrupt, Holders, Lease, Now

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


SHARED = replace(HELD, shared=True)
OTHER = replace(SHARED, epoch=8, run="run-c", owner="carl")
GONE = replace(OTHER, expires_boottime=999.0)


def holders(*leases, epoch=0):
    return Holders(epoch or leases[-1].epoch, leases)


def decided(record, run, owner, shared=False):
    return lease.decide(record, lease.wanted(run, owner, 60.0, NOW, shared=shared), NOW)


@pytest.mark.parametrize(
    ("record", "run", "owner", "epoch"),
    [
        pytest.param(None, "run-b", "bert", 1, id="first"),
        pytest.param(holders(HELD), "run-a", "anna", 7, id="same-run-again"),
        pytest.param(holders(replace(HELD, expires_boottime=1000.0)), "run-a", "anna", 8, id="same-run-after-expiry"),
        pytest.param(holders(replace(HELD, expires_boottime=999.0)), "run-b", "bert", 8, id="F12-after-expiry"),
        pytest.param(
            holders(replace(HELD, boot_id="boot-0", expires_boottime=9e9)), "run-b", "bert", 8, id="after-a-restart"
        ),
        pytest.param(holders(replace(HELD, released=True)), "run-b", "bert", 8, id="after-release"),
        pytest.param(holders(SHARED, GONE, epoch=9), "run-a", "anna", 7, id="same-run-where-the-others-are-gone"),
        pytest.param(
            holders(replace(SHARED, expires_boottime=999.0), GONE), "run-b", "bert", 9, id="F12-after-all-have-expired"
        ),
        pytest.param(holders(replace(HELD, released=True), epoch=11), "run-b", "bert", 12, id="above-any-epoch-ever"),
        pytest.param(Corrupt("bad", NOW.unix - 61), "run-b", "bert", int(NOW.unix), id="corrupt-and-old"),
    ],
)
@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
def test_node_is_given_to_whoever_may_have_it(record, run, owner, epoch, shared):
    got, everybody = decided(record, run, owner, shared)
    taken = got.taken_boottime
    assert got == Lease(epoch, run, owner, 60.0, "boot-1", 1060.0, NOW.unix, shared=shared, taken_boottime=taken)
    assert everybody.leases == (got,) and everybody.epoch == max(epoch, getattr(record, "epoch", 0))


@pytest.mark.parametrize(
    ("record", "run", "epoch", "kept"),
    [
        pytest.param(holders(SHARED), "run-b", 8, [7, 8], id="second"),
        pytest.param(holders(SHARED, OTHER), "run-b", 9, [7, 8, 9], id="third"),
        pytest.param(holders(SHARED, epoch=20), "run-b", 21, [7, 21], id="after-others-have-left"),
        pytest.param(holders(SHARED, GONE), "run-b", 9, [7, 9], id="F12-over-an-expired-one"),
        pytest.param(holders(SHARED, OTHER), "run-a", 7, [7, 8], id="one-of-them-again"),
    ],
)
def test_a_node_that_all_share_is_given_to_one_more(record, run, epoch, kept):
    got, everybody = decided(record, run, "anna" if run == "run-a" else "bert", shared=True)
    assert (got.epoch, [one.epoch for one in everybody.leases]) == (epoch, kept)
    assert [one for one in everybody.leases if one is not got] == [
        one for one in record.leases if one.epoch in kept and one.run != run
    ]


@pytest.mark.parametrize(
    ("record", "run", "owner", "shared", "named"),
    [
        pytest.param(holders(HELD), "run-b", "bert", False, ["run-a"], id="F11-other-run"),
        pytest.param(holders(HELD), "run-a", "bert", False, ["run-a"], id="F11-same-run-id-of-somebody-else"),
        pytest.param(holders(HELD), "run-b", "bert", True, ["run-a"], id="who-shares-by-who-does-not"),
        pytest.param(holders(SHARED), "run-b", "bert", False, ["run-a"], id="who-does-not-share-by-who-does"),
        pytest.param(holders(SHARED, OTHER), "run-b", "bert", False, ["run-a", "run-c"], id="by-all-who-share"),
        pytest.param(holders(SHARED, OTHER), "run-a", "anna", False, ["run-c"], id="a-sharer-that-wants-it-alone"),
        pytest.param(holders(SHARED, OTHER), "run-a", "bert", True, ["run-a"], id="second-controller-of-a-sharer"),
        pytest.param(holders(SHARED, GONE), "run-b", "bert", False, ["run-a"], id="not-by-an-expired-one"),
    ],
)
def test_held_node_is_refused_and_every_holder_in_the_way_named(record, run, owner, shared, named):
    with pytest.raises(CellError) as caught:
        decided(record, run, owner, shared)
    assert caught.value.kind == "lock_held"
    told = caught.value.detail["holders"]
    assert [holder["run"] for holder in told] == named and told[0] == caught.value.detail["holder"]
    assert {holder["expires_in_s"] for holder in told} == {30.0}
    assert all(repr(one) in caught.value.message for one in named)


@pytest.mark.parametrize(
    ("record", "left"),
    [
        pytest.param(Corrupt("bad", NOW.unix - 20), 40.0, id="young"),
        pytest.param(Corrupt("bad", NOW.unix + 9e6), 60.0, id="with-a-future-time-stamp"),
    ],
)
def test_a_lease_that_cannot_be_read_counts_as_held(record, left):
    with pytest.raises(CellError) as caught:
        decided(record, "run-a", "anna")
    assert (caught.value.kind, caught.value.detail["holder"]["expires_in_s"]) == ("lock_held", left)


FIRST_FORMAT = {
    "epoch": 7, "run": "run-a", "owner": "anna", "ttl_s": 60.0, "boot_id": "boot-1", "expires_boottime": 1030.0,
    "renewed_unix": 4_999_970.0, "released": False,
}  # fmt: skip


def test_a_file_of_the_first_format_is_read_and_one_holder_is_written_so_that_it_reads_it():
    assert lease.parse(json.dumps(FIRST_FORMAT).encode()) == holders(HELD)
    written = holders(replace(HELD, taken_boottime=5.0)).as_dict()
    assert {key: written[key] for key in FIRST_FORMAT} == FIRST_FORMAT


@pytest.mark.parametrize(
    "record",
    [holders(HELD), holders(SHARED, OTHER), holders(SHARED, epoch=9), holders(replace(HELD, taken_boottime=1.5))],
    ids=["one", "two", "one-below-the-highest-epoch", "with-its-begin"],
)
def test_what_is_written_is_read_again(record):
    assert lease.parse(json.dumps(record.as_dict()).encode()) == record


def test_several_holders_are_no_file_of_the_first_format():
    assert not set(FIRST_FORMAT) <= set(holders(SHARED, OTHER).as_dict())


def test_acquire_renew_and_release_tell_the_same_story(node):
    taken = node.do("acquire", ttl_s=60)
    assert taken == {
        "held": True, "state": "held", "epoch": 1, "run": "run-a", "owner": "anna",
        "ttl_s": 60.0, "expires_in_s": 60.0, "shared": False, "previous": None,
        "holders": [
            {"run": "run-a", "owner": "anna", "epoch": 1, "shared": False, "expires_in_s": 60.0, "age_s": 0.0}
        ],
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
        pytest.param(json.dumps({"version": 3, "epoch": 7, "holders": [GOOD]}).encode(), id="version-to-come"),
        pytest.param(json.dumps({"version": 2, "epoch": 7, "holders": []}).encode(), id="no-holders"),
        pytest.param(json.dumps({"version": 2, "epoch": 7, "holders": [7]}).encode(), id="holder-is-no-object"),
        pytest.param(json.dumps({"version": 2, "epoch": 6, "holders": [GOOD]}).encode(), id="epoch-above-the-highest"),
        pytest.param(json.dumps({"version": 2, "epoch": 9, "holders": [GOOD, GOOD]}).encode(), id="epoch-twice"),
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
    assert sorted(os.listdir(node.root)) == ["lease.json", "lease.lock", "reap.lock"]
    assert {path.stat().st_mode & 0o777 for path in node.root.iterdir()} == {0o600}
    assert node.root.stat().st_mode & 0o777 == 0o700


def test_unknown_action_lists_the_known_ones(node):
    with pytest.raises(CellError, match="acquire, renew, release, show"):
        node.do("steal")


@pytest.fixture
def shared_node(node):
    """A node that run-a (epoch 1) and run-b (epoch 2) hold at the same time, for 60 s from now."""
    node.do("acquire", ttl_s=60, shared=True)
    node.boottime[0] += 10
    node.do("acquire", run="run-b", owner="bert", ttl_s=60, shared=True)
    return node


def test_who_shares_a_node_is_shown(shared_node):
    shown = shared_node.do("show")
    assert (shown["run"], shown["shared"], shown["expires_in_s"]) == ("run-a", True, 50.0)
    assert [(one["run"], one["epoch"], one["age_s"]) for one in shown["holders"]] == [
        ("run-a", 1, 10.0),
        ("run-b", 2, 0.0),
    ]


def test_each_holder_renews_and_proves_its_own_lease_only(shared_node):
    shared_node.boottime[0] += 20
    shared_node.fence("run-a", 1)
    assert shared_node.do("renew", run="run-b", epoch=2, ttl_s=90)["expires_in_s"] == 90.0
    assert [one["expires_in_s"] for one in shared_node.do("show")["holders"]] == [60.0, 90.0]
    with pytest.raises(CellError, match=r"'run-a' of 'anna' .*; and to run 'run-b' of 'bert'"):
        shared_node.fence("run-a", 2)


@pytest.mark.parametrize(("leaves", "stays"), [("run-a", "run-b"), ("run-b", "run-a")])
def test_one_gives_the_node_back_and_the_other_keeps_it(shared_node, leaves, stays):
    assert shared_node.do("release", run=leaves)["state"] == "released"
    assert [one["run"] for one in shared_node.do("show")["holders"]] == [stays]
    with pytest.raises(CellError, match=repr(stays)):
        shared_node.do("acquire", run="run-c", owner="carl")
    shared_node.do("release", run=stays)
    assert shared_node.do("acquire", run="run-c", owner="carl")["epoch"] == 3


def test_f12_an_expired_holder_is_taken_over_and_fenced_off_beside_one_that_lives(shared_node):
    shared_node.boottime[0] += 51
    taken = shared_node.do("acquire", run="run-c", owner="carl", shared=True)
    assert (taken["epoch"], taken["previous"]["run"], taken["previous"]["state"]) == (3, "run-a", "expired")
    assert [one["run"] for one in taken["holders"]] == ["run-b", "run-c"]
    shared_node.fence("run-b", 2)
    with pytest.raises(CellError) as caught:
        shared_node.fence("run-a", 1)
    assert caught.value.kind == "lock_held"


def test_an_expired_holder_that_nobody_has_taken_over_goes_on(shared_node):
    shared_node.boottime[0] += 51
    shared_node.fence("run-a", 1)
    assert [one["run"] for one in shared_node.do("show")["holders"]] == ["run-a", "run-b"]


def test_the_epochs_only_grow_whoever_leaves_last(shared_node):
    shared_node.do("release", run="run-b")
    assert shared_node.do("acquire", run="run-b", owner="bert", shared=True)["epoch"] == 3
    for run in ("run-b", "run-a"):
        shared_node.do("release", run=run)
    assert set(FIRST_FORMAT) <= set(json.loads(shared_node.file.read_text())), "nobody holds it: any version reads that"
    assert shared_node.do("acquire", run="run-d", owner="dora")["epoch"] > 3


def test_one_holder_is_written_in_the_first_format_again_once_the_newest_is_alone(shared_node):
    assert json.loads(shared_node.file.read_text())["version"] == 2
    shared_node.do("release", run="run-a")
    assert json.loads(shared_node.file.read_text()) == asdict(lease.parse(shared_node.file.read_bytes()).leases[0])


def test_nobody_joins_while_what_a_dead_run_left_is_removed(cell, eventually):
    with lease.reaping(cell.root):
        joining = cell.begin("lease", action="acquire", ttl_s=60)
        eventually(lambda: holds_open(joining.pid, cell.root / "reap.lock"), "it waits for the lock")
        assert cell.call("lease", action="show")["held"] is False
    assert cell.answer(joining)["result"]["held"] is True


def holds_open(pid, path):
    """Return whether a process has a file open."""
    with suppress(OSError):
        return any(os.readlink(f"/proc/{pid}/fd/{fd}") == str(path) for fd in os.listdir(f"/proc/{pid}/fd"))
    return False


RACES = 100
# Two processes on one node root, which meet before each of many starts: a whole program each time would hide the race.
RACER = """
import json, sys
from pathlib import Path
from cellnode.context import Context, RunRef
from cellnode.errors import CellError
from cellnode.lease import op_lease
root, name = Path(sys.argv[2]), sys.argv[3]
for line in sys.stdin:
    action, race = line.split()
    run = f"{name}-{race}"
    try:
        got = op_lease(Context(root, RunRef(run), f"{name}@host:1/boot"), {"action": action})
        print(json.dumps({"epoch": got["epoch"], "run": run}), flush=True)
    except CellError as exc:
        print(json.dumps({"kind": exc.kind, "holder": exc.detail["holder"]}), flush=True)
"""


def test_f11_of_two_that_start_at_once_one_runs_in_each_of_100_races(cell):
    program = f"import sys; sys.path.insert(0, sys.argv[1])\n{RACER}"
    racers = {
        name: subprocess.Popen(
            [sys.executable, "-I", "-S", "-E", "-c", program, str(cell.program), str(cell.root), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for name in ("one", "two")
    }  # fmt: skip

    def say(name, action, race):
        racers[name].stdin.write(f"{action} {race}\n")
        racers[name].stdin.flush()

    def hear(name):
        return json.loads(racers[name].stdout.readline())

    for race in range(RACES):
        for name in racers:
            say(name, "acquire", race)
        told = [hear(name) for name in racers]
        (won,), (lost,) = [one for one in told if "epoch" in one], [one for one in told if "kind" in one]
        assert (won["epoch"], lost["kind"], lost["holder"]["run"]) == (race + 1, "lock_held", won["run"])
        winner = won["run"].partition("-")[0]
        assert lost["holder"]["owner"] == f"{winner}@host:1/boot" and 0 <= lost["holder"]["age_s"] < 60
        say(winner, "release", race)
        assert hear(winner)["epoch"] == race + 1
    for racer in racers.values():
        racer.communicate(timeout=30)


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
