# SPDX-License-Identifier: MIT
from __future__ import annotations

from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import child


def test_environment_is_a_few_names_of_the_caller_then_the_request_then_the_mark():
    given = {"HOME": "/h", "LANG": "C.UTF-8", "SECRET": "s", "ANSIBLE_CONFIG": "x", "TESTCELL_UNIT": "old"}
    got = child.environment(given, {"LANG": "de", "A": "1"}, {"TESTCELL_UNIT": "new"})
    assert got == {"PATH": child.PATH, "HOME": "/h", "LANG": "de", "A": "1", "TESTCELL_UNIT": "new"}


def test_reason_is_given_for_other_stages_too(tmp_path):
    assert child.explain("x", tmp_path, {}, "chdir", 13) == "'x' could not be started: Permission denied (chdir)"


def test_program_that_the_kernel_refuses_for_another_reason_keeps_that_reason(tmp_path):
    (tmp_path / "x").write_bytes(b"#!/bin/sh\n")
    (tmp_path / "x").chmod(0o755)
    assert child.explain("./x", tmp_path, {}, "exec", 26) == "'./x' could not be started: Text file busy"
