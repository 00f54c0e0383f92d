# SPDX-License-Identifier: MIT
"""A link of one process's own, with real holders and the real program at its other end."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode import lease
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node import link, own_line, package
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.client import NodeClient, Output
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.link import LinkError

# Answers the first request and is silent from then on.
ONCE = """
import json, sys, time
print("@cell " + json.dumps({"id": json.loads(sys.stdin.readline())["id"], "result": {}}), flush=True)
for line in sys.stdin: pass
"""


def execute(command, stdin):
    done = subprocess.run(["sh", "-c", command], input=stdin, capture_output=True, timeout=60, check=False)
    return Output(done.returncode, done.stdout.decode(), done.stderr.decode())


def running(marker):
    """Return the processes whose arguments name this test's folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if marker in words:
            found.append(words)
    return found


@pytest.fixture
def line(tmp_path):
    """Return a function that makes a line to a Python program; every line is let go with the test."""
    made = []

    def make(program, within_s):
        argv = [sys.executable, "-I", "-S", "-c", program, str(tmp_path)]
        made.append(own_line.OwnLine(lambda: argv, within_s))
        return made[-1]

    yield make
    for one in made:
        one.lose()


def test_the_program_is_brought_there_and_answers_many_questions_over_one_link(tmp_path):
    node = NodeClient(execute, package.build("cellnode"), sys.executable, root=str(tmp_path / "root"), check=True)
    node.line = own_line.OwnLine(lambda: ["sh", "-c", node.serving()], 20.0)
    try:
        answers = [node.call("lease", action="show")["state"] for _ in range(3)]
        assert answers == ["free"] * 3 and len(running(f"{tmp_path}/root/cellnode-")) >= 1
    finally:
        node.line.lose()
    assert running(f"{tmp_path}/root/cellnode-") == [], "the program on the node ends with the line"


def test_a_node_stays_the_run_s_while_one_operation_lasts_longer_than_its_lease(tmp_path, monkeypatch):
    monkeypatch.setattr(link, "BEAT_S", 0.1)
    root = tmp_path / "root"
    node = NodeClient(execute, package.build("cellnode"), sys.executable, root=str(root), run={"id": "r"})
    node.line = own_line.OwnLine(lambda: ["sh", "-c", node.serving()], 20.0)
    try:
        epoch = node.run["epoch"] = node.call("lease", action="acquire", ttl_s=4.0)["epoch"]
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(node.call, "follow", services=[], wait_s=5.0)
            seen = set()
            while not work.done():
                seen.add(lease.claim(root, "r", epoch, lease.present(Context(root)))[0])
                time.sleep(0.02)
        assert seen == {"ours"}
    finally:
        node.line.lose()


def test_an_answer_that_does_not_come_is_waited_for_no_longer_than_the_limit(line, tmp_path):
    way = line(ONCE, 0.3)
    first = way.link()
    list(first.answers(first.send({"op": "a"})))
    name, began = first.send({"op": "b"}), time.monotonic()
    with pytest.raises(LinkError, match=r"not responding: no answer within 0\.3 s"):
        list(first.answers(name))
    assert time.monotonic() - began < 5
    way.lose()
    assert running(str(tmp_path)) == []


def test_a_silent_node_is_one_that_timed_out(line):
    node = NodeClient(execute, package.build("cellnode"), sys.executable, line=line("import time; time.sleep(60)", 0.2))
    with pytest.raises(NodeError) as caught:
        node.call("health")
    assert caught.value.kind == "ssh_timeout"


TRIES = [
    (["ssh_dropped"], 2, 1, None),
    (["ssh_dropped", "ssh_dropped"], 2, 1, "ssh_dropped"),
    (["ssh_refused"], 1, 0, "ssh_refused"),
    (["ssh_timeout"], 1, 0, "ssh_timeout"),
]


@pytest.mark.parametrize(
    ("kinds", "tries", "made_again", "kind"), TRIES, ids=["broken", "broken twice", "refused", "late"]
)
def test_only_a_connection_that_broke_is_made_once_more(kinds, tries, made_again, kind):
    left, done, reconnected = list(kinds), [], []

    def work():
        done.append(1)
        if left:
            raise NodeError(left.pop(0), "x")
        return "fine"

    persist = own_line.OnceMore(lambda: reconnected.append(1))
    if kind:
        with pytest.raises(NodeError) as caught:
            persist(work)
        assert caught.value.kind == kind
    else:
        assert persist(work) == "fine"
    assert (len(done), len(reconnected)) == (tries, made_again)
