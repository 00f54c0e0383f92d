# SPDX-License-Identifier: MIT
"""Reports of services: whole ones are copied as they appear, with the moment at which they were written."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak import reports
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak.asked import Reports
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak.reports import Copies

UNIX, BOOT = 1_700_000_000.0, 5000.0


class Set(Clock):
    """Clocks that a test moves: seconds that pass, and by how much the wall clock was set."""

    def __init__(self):
        super().__init__(unix=lambda: UNIX + self.state[0] + self.state[1])
        object.__setattr__(self, "state", [0.0, 0.0])

    def boottime(self):
        return BOOT + self.state[0]


@pytest.fixture
def world(tmp_path):
    """A scenario's folder, a place for copies, and clocks; a report is written at the moment of the wall clock."""

    class World:
        scenario, soak, clock = tmp_path / "scenario", tmp_path / "soak", Set()

        def copies(self, *wanted, **limits):
            wanted = wanted or (Reports("sim", "reports/*.json"),)
            return Copies(*self.fds, wanted, self.clock, **limits)

        def write(self, path, content, at=None):
            place = self.scenario / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content if isinstance(content, str) else json.dumps(content))
            moment = self.clock.unix() if at is None else at
            os.utime(place, (moment, moment))
            return place

        def copied(self):
            top = self.soak / "report"
            return {p.relative_to(top).as_posix(): p.read_text() for p in sorted(top.rglob("*")) if p.is_file()}

        def noted(self):
            lines = (self.soak / reports.INDEX).read_text().splitlines()
            return [(entry["f"], entry["b"]) for entry in map(json.loads, lines)]

    made = World()
    for folder in (made.scenario, made.soak):
        folder.mkdir()
    made.fds = tuple(os.open(folder, os.O_RDONLY) for folder in (made.scenario, made.soak))
    yield made
    for fd in made.fds:
        os.close(fd)


def test_reports_are_copied_as_they_appear_with_their_time(world):
    copies = world.copies()
    copies.look()
    for number in (1, 2):
        world.clock.state[0] = 10.0 * number
        world.write(f"reports/e{number}.json", {"n": number}, at=world.clock.unix() - 3)
        copies.look()
    assert world.copied() == {"sim/e1.json": '{"n": 1}', "sim/e2.json": '{"n": 2}'}
    assert world.noted() == [("sim/e1.json", BOOT + 7), ("sim/e2.json", BOOT + 17)]
    assert (world.soak / "report/sim/e1.json").stat().st_mtime == UNIX + 7
    assert copies.faults == {}


@pytest.mark.parametrize("by", [7200.0, -7200.0, 5.0, -5.0], ids=str)
def test_f60_the_moment_does_not_move_with_the_wall_clock(world, by):
    """F60"""
    copies = world.copies()
    world.clock.state[0] = 100.0
    copies.look()
    world.write("reports/before.json", {}, at=world.clock.unix() + 2)
    world.clock.state[:] = [105.0, by]
    world.write("reports/after.json", {}, at=world.clock.unix() - 1)
    copies.look()
    assert all(BOOT + 100 <= b <= BOOT + 105 for _, b in world.noted())


def test_g03_a_report_of_an_older_run_keeps_its_age(world):
    """G03"""
    copies = world.copies()
    copies.look()
    world.clock.state[0] = 5.0
    world.write("reports/old.json", {}, at=UNIX - 4000)
    copies.look()
    assert world.noted() == [("sim/old.json", BOOT - 4000)]


def test_a_report_that_is_written_anew_leaves_another_copy(world):
    copies = world.copies(Reports("sim", "reports/latest.json"))
    for number in (1, 1, 2, 3):
        world.clock.state[0] = 10.0 * number
        world.write("reports/latest.json", {"n": number})
        copies.look()
    assert world.copied() == {
        "sim/latest.json": '{"n": 1}',
        "sim/latest.2.json": '{"n": 2}',
        "sim/latest.3.json": '{"n": 3}',
    }


def test_of_a_path_the_part_with_wildcards_names_the_copy(world):
    others = ("out/n2/other/e1.json", "out/e1.json", "out/n2/epochs/.e2.json")
    for path in ("out/n1/epochs/e1.json", "out/n2/epochs/e1.json", *others):
        world.write(path, {})
    world.copies(Reports("sim", "out/n*/epochs/*.json"), Reports("b", "out/n2/other/e1.json")).look()
    assert list(world.copied()) == ["b/e1.json", "sim/n1__epochs__e1.json", "sim/n2__epochs__e1.json"]


@pytest.mark.parametrize("content", ["", '{"n": 1', "not JSON", "[" * 100_000])
def test_a_report_that_is_not_whole_is_waited_for_and_told_when_it_stays_so(world, content):
    copies = world.copies()
    place = world.write("reports/e1.json", content)
    copies.look()
    assert (world.copied(), copies.faults) == ({}, {})
    copies.look()
    assert copies.faults["report:sim/reports/e1.json"].startswith("it is no whole JSON: ")
    place.write_text("{}")
    copies.look()
    assert (world.copied(), copies.faults) == ({"sim/e1.json": "{}"}, {})


def test_what_is_no_plain_file_is_never_read(world, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    (world.scenario / "reports").mkdir()
    (world.scenario / "reports/link.json").symlink_to(secret)
    os.mkfifo(world.scenario / "reports/pipe.json")
    (world.scenario / "reports/folder.json").mkdir()
    (world.scenario / "outside").symlink_to(tmp_path)
    copies = world.copies(Reports("sim", "reports/*.json"), Reports("sim", "outside/*.json"))
    copies.look()
    assert not (world.soak / "report").exists()
    assert {name: why.split(" is ")[1][:15] for name, why in copies.faults.items()} == {
        "report:sim/reports/link.json": "a symbolic link",
        "report:sim/reports/pipe.json": "a fifo, not a r",
        "report:sim/reports/folder.json": "a folder, not a",
    }


def test_a_report_that_is_too_long_is_told(world):
    copies = world.copies()
    world.write("reports/e1.json", '"' + "x" * reports.LARGEST_BYTES + '"')
    copies.look()
    copies.look()
    assert copies.faults == {"report:sim/reports/e1.json": f"it is over the limit of {reports.LARGEST_BYTES} bytes"}


@pytest.mark.parametrize("limits", [(10, 1 << 20), (1000, 90)], ids=["files", "bytes"])
def test_the_first_and_the_newest_stay(world, limits):
    copies = world.copies(limits=limits)
    for number in range(40):
        world.clock.state[0] = 10.0 * number
        world.write(f"reports/e{number:02d}.json", '"1234567"')
        copies.look()
    kept = [int(name[5:7]) for name in world.copied()]
    assert kept == [0, 1, 2, 3, 4, 35, 36, 37, 38, 39]


def test_an_index_that_has_grown_too_long_keeps_what_is_there(world, monkeypatch):
    monkeypatch.setattr(reports, "MOST_INDEX_BYTES", 700)
    copies = world.copies(limits=(10, 1 << 20))
    for number in range(40):
        world.clock.state[0] = 10.0 * number
        world.write(f"reports/e{number:02d}.json", "{}")
        copies.look()
    assert (world.soak / reports.INDEX).stat().st_size <= 700
    assert {f"sim/e{number:02d}.json" for number in (0, 4, 35, 39)} <= dict(world.noted()).keys()


def test_too_many_files_are_told(world, monkeypatch):
    monkeypatch.setattr(reports, "MOST_SEEN", 2)
    for number in range(3):
        world.write(f"reports/e{number}.json", {})
    copies = world.copies()
    copies.look()
    assert copies.faults == {"reports:sim": "more than 2 files match 'reports/*.json'"}
    assert len(world.copied()) == 2


def test_old_files_are_not_looked_at_again(world, monkeypatch):
    monkeypatch.setattr(reports, "RECENT", 2)
    copies = world.copies()
    for number in range(4):
        world.write(f"reports/e{number}.json", {})
    copies.look()
    asked = []
    monkeypatch.setattr(copies, "_take", lambda folder_fd, key, fixed, now: asked.append(key[1]) or "")
    copies.look()
    assert asked == ["reports/e2.json", "reports/e3.json"]


def test_a_folder_that_is_not_there_yet_is_no_fault(world):
    copies = world.copies()
    copies.look()
    assert copies.faults == {}


def test_f26_a_disk_that_takes_no_note_leaves_the_copy_and_whole_notes(world, monkeypatch):
    """F26"""
    copies, write_all = world.copies(), reports.write_all

    def full(fd, data):
        if data.startswith(b'{"f"'):
            os.write(fd, data[:9])
            raise OSError(28, "No space left on device")
        write_all(fd, data)

    world.write("reports/e1.json", {})
    with monkeypatch.context() as patch:
        patch.setattr(reports, "write_all", full)
        copies.look()
    world.write("reports/e2.json", {})
    copies.look()
    assert (list(world.copied()), [name for name, _ in world.noted()]) == (
        ["sim/e1.json", "sim/e2.json"],
        ["sim/e2.json"],
    )
