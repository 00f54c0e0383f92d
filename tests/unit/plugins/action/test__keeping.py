# SPDX-License-Identifier: MIT
from __future__ import annotations

import os

import pytest
from ansible_collections.enginelab.testcell.plugins.action._keeping import keeping


class Report:
    def __init__(self, number):
        self.number = number

    @keeping("report")
    def run(self, tmp=None, task_vars=None):
        if self.number:
            raise OSError(self.number, os.strerror(self.number), "/results/summary.json")
        return {"changed": True}


def test_an_action_that_the_disk_refuses_nothing_is_as_it_was():
    assert Report(0).run() == {"changed": True}


@pytest.mark.parametrize(
    ("number", "kind"), [(28, "disk_full"), (5, "io_error"), (13, "privilege"), (2, "internal_error")]
)
def test_f08_an_action_that_cannot_write_names_the_file_and_the_kind(number, kind):
    result = Report(number).run()
    assert (
        result["failed"]
        and result["msg"] == f"the controller cannot write /results/summary.json: {os.strerror(number)}"
    )
    assert {key: result["failure"][key] for key in ("error_kind", "step", "node")} == {
        "error_kind": kind,
        "step": "report",
        "node": "local",
    }
