# SPDX-License-Identifier: MIT
from __future__ import annotations

from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import mounts
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.mounts import Mount

TEXT = """\
22 1 0:20 / /proc rw,nosuid - proc proc rw
33 31 0:30 / /mnt/with\\040space rw,relatime shared:9 master:1 - tmpfs none rw,size=1k
cut line
"""


def test_mounts_are_read_with_escapes_and_optional_fields():
    assert mounts.parse(TEXT) == (
        Mount("/proc", "proc", "proc", ("rw",)),
        Mount("/mnt/with space", "tmpfs", "none", ("rw", "size=1k")),
    )


def test_this_process_sees_its_own_mounts():
    assert "/proc" in {one.point for one in mounts.current()}
