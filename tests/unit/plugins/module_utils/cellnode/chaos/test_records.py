# SPDX-License-Identifier: MIT
"""Records are whole or not there, are undone newest first, and none that cannot be read counts as nothing."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import durable
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import contact, records
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


@pytest.fixture
def kept(scene):
    return scene.kept


def test_a_record_is_read_as_it_was_written(kept, record):
    one = record(undo={"env": {"A": "\udcff"}}, epoch=3)
    kept.save(one)
    assert kept.load("e") == one
    assert kept.load("other") is None
    assert kept.names() == ["e"]


def test_the_newest_is_undone_first(kept, record):
    for name in ("a", "c", "b"):
        kept.save(record(name))
    kept.save(replace(kept.load("c"), state="undone"))
    assert [one.id for one in kept.open()] == ["b", "a"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": "e"}', "null x"])
def test_a_record_that_cannot_be_read_is_refused(kept, record, scene, text):
    kept.save(record())
    (kept.folder / "e.json").write_text(text)
    with pytest.raises(CellError) as caught:
        records.every_open(scene.ctx.root)
    assert caught.value.kind == "chaos_not_reverted"
    assert str(kept.folder / "e.json") in caught.value.message


@pytest.mark.parametrize("name", ["../e", "", "e/f", "e.json", "e.lock", "e.d"])
def test_a_name_that_would_be_another_file_is_refused(kept, record, name):
    with pytest.raises(CellError) as caught:
        kept.save(record(name))
    assert caught.value.kind == "config_invalid"


@pytest.mark.parametrize(
    ("state", "boot", "now", "by", "is_overdue"),
    [
        ("injected", "", 999.0, 0.0, False),
        ("injected", "", 1000.5, 0.0, True),
        ("armed", "", 1000.5, 0.0, True),
        ("injected", "", 1001.0, 2.0, False),
        ("injected", "", 1002.5, 2.0, True),
        ("undone", "", 9999.0, 0.0, False),
        ("injected", "another boot", 1.0, 2.0, True),
    ],
)
def test_a_fault_is_overdue_after_its_expiry_or_a_boot(record, state, boot, now, by, is_overdue):
    one = record(state=state, **({"boot_id": boot} if boot else {}))
    assert one.overdue(now, by) is is_overdue


def test_a_change_of_what_is_undone_changes_nothing(kept, record):
    kept.save(record(state="undone"))
    kept.change("e", lambda one: records.longer(one, 9e9))
    assert kept.load("e").expires == 1000.0


def test_nothing_is_forgotten_while_something_is_open(kept, record, scene):
    kept.save(record("a", state="undone"))
    kept.save(record("b"))
    kept.forget()
    assert kept.names() == ["a", "b"]
    kept.save(record("b", state="undone"))
    with kept.locked("b"):
        pass
    kept.forget()
    assert not (scene.ctx.root / "chaos").exists()


def test_what_a_writer_that_was_killed_has_left_is_forgotten_too(kept, record, scene):
    """F63"""
    kept.save(record("a", state="undone"))
    (kept.folder / durable.half("a.json")).write_text("{")
    kept.forget()
    assert not (scene.ctx.root / "chaos").exists()


def test_a_contact_undoes_the_newest_first_and_tells_what_is_left(kept, record, scene):
    """F64, F66"""
    scene.fake.world[:] = ["a", "b"]
    kept.save(record("a"))
    kept.save(record("b"))
    (kept.folder / "broken.json").write_text("{")
    report = contact.undo(scene.ctx, None, ["r1"])
    assert [one["id"] for one in report.undone] == ["b", "a"]
    assert [one["id"] for one in report.left] == ["broken"]
    assert report.errors()[0]["error_kind"] == "chaos_not_reverted"
    assert scene.fake.world == []
    assert [line["by"] for line in scene.lines("a")] == ["contact", "contact"]
    (kept.folder / "broken.json").unlink()
    assert contact.undo(scene.ctx, None, ["r1"]).as_dict() == {"undone": [], "left": []}
    assert not kept.folder.exists()


def test_a_line_after_a_torn_one_is_whole(scene, record):
    log = scene.ctx.case_dir / "soak" / "chaos.jsonl"
    log.write_text('{"id": "e", "phase": "inj')
    scene.kept.save(record())
    contact.undo(scene.ctx, None, ["r1"])
    lines = log.read_text().splitlines()
    assert [json.loads(line)["phase"] for line in lines[1:]] == ["undone", "verified"]


def test_a_case_folder_that_is_gone_keeps_no_fault(scene, record):
    scene.kept.save(record(log="runs/r1/gone/a1/soak/chaos.jsonl"))
    assert contact.undo(scene.ctx, None, ["r1"]).left == []
