# SPDX-License-Identifier: MIT
"""The list beside a folder that was fetched without a run."""

from __future__ import annotations

import json

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts import alone

FILES = [{"path": 'a "b"', "size": 1}, {"path": "\u00e4\udcff\n", "size": 2}]


@pytest.mark.parametrize("files", [[], FILES[:1], FILES], ids=["none", "one", "several"])
def test_the_list_is_json_with_a_line_for_each_file(files):
    content = {"node": "n1", "bytes": 3}
    written = alone._document(content, [json.dumps(one, ensure_ascii=False) for one in files])
    assert json.loads(written) == {**content, "files": files}
    lines = [line.strip().rstrip(",") for line in written.decode().splitlines()]
    assert [json.loads(line) for line in lines if line.startswith('{"path"')] == files
