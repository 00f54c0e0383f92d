# SPDX-License-Identifier: MIT
"""What a refusal of the system means for the database."""

from __future__ import annotations

import errno
import os

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import errors

KINDS = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EIO: "io_error",
    errno.EMFILE: "resource_limit",
    errno.EACCES: "db_readonly",
    errno.EROFS: "db_readonly",
    errno.ELOOP: "db_readonly",
}


@pytest.mark.parametrize(("number", "kind"), KINDS.items(), ids=[errno.errorcode[number] for number in KINDS])
def test_a_refusal_of_the_system_has_its_kind_and_names_the_file(tmp_path, number, kind):
    found = errors.of_system(OSError(number, os.strerror(number)), tmp_path / "testcell.db")
    assert (
        found.kind == kind and str(found).startswith(f"{tmp_path}/testcell.db: ") and os.strerror(number) in str(found)
    )
