# SPDX-License-Identifier: MIT

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from testcell import ini_inventory

SIMPLE = """
# a comment
lone ansible_host=192.0.2.1
[engines]
node1 ansible_host=192.0.2.11 ansible_port=2222   # behind
node2 ansible_user="two words" note='a=b'
[engines:vars]
ansible_user=bench
where = rack 7
[big:children]
engines
[big:vars]
where=room
[all:vars]
testcell_execution_scenarios_root=cases
"""


def test_simple_form_is_read_as_ansible_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(SIMPLE)
    program = Path(sys.executable).parent / "ansible-inventory"
    done = subprocess.run([program, "-i", path, "--list"], capture_output=True, check=True, timeout=60, cwd=tmp_path)
    theirs = json.loads(done.stdout)["_meta"]["hostvars"]
    ours = ini_inventory.parse(SIMPLE)
    assert ours is not None
    assert ours.pop("localhost") == {"testcell_execution_scenarios_root": "cases"}
    assert {name: {k: str(v) for k, v in facts.items()} for name, facts in theirs.items()} == ours
    assert list(ours) == ["lone", "node1", "node2"]


@pytest.mark.parametrize(
    "text",
    ["[a]\nnode[1:3]", "[a:strange]\nx", "node1 word", "[a:vars]\nword", "node1:2222", 'node1 x="open', "[a b]\nnode1"],
    ids=["range", "unknown-section", "bare-word", "variable-without-value", "port-in-name", "open-quote", "odd-group"],
)
def test_more_than_the_simple_form_is_left_to_ansible(text: str) -> None:
    assert ini_inventory.parse(text) is None


def test_a_child_beats_its_parent_and_a_host_beats_both() -> None:
    text = "[c]\nh1 v=host\nh2\n[p:children]\nc\n[c:vars]\nv=child\nw=child\n[p:vars]\nv=parent\nw=parent\nx=parent"
    assert ini_inventory.parse(text) == {
        "h1": {"v": "host", "w": "child", "x": "parent"},
        "h2": {"v": "child", "w": "child", "x": "parent"},
    }
