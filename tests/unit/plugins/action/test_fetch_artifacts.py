# SPDX-License-Identifier: MIT
"""What may be given to the action."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.action import fetch_artifacts

ARGS = {"src": "/x", "patterns": ["**"], "max_files": 1, "max_bytes": 0, "retries": 0, "timeout": 1}


@pytest.mark.parametrize(
    ("dest", "said"),
    [
        ("home", ""),
        ("absent", ""),
        ("", "dest is ''; it must name a folder of its own"),
        ("/", "dest is '/'; it must name a folder of its own"),
        (".", "dest is '.'; it must name a folder of its own"),
        ("../", "dest is '../'; it must name a folder of its own"),
        ("file", "dest is 'file', which is a link or a file"),
        ("link", "dest is 'link', which is a link or a file"),
        ("dangling", "dest is 'dangling', which is a link or a file"),
    ],
)
def test_a_destination_that_cannot_be_one_is_refused_before_anything_is_sent(tmp_path, dest, said):
    (tmp_path / "home").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("home")
    (tmp_path / "dangling").symlink_to("nowhere")
    told = fetch_artifacts._wrong({**ARGS, "dest": dest}, tmp_path / dest)
    assert told.startswith(said) and bool(told) is bool(said)
