# SPDX-License-Identifier: MIT
"""The Docker engine of a lab node, killed, frozen, or killed again and again. The node itself ends each of these in time."""

from __future__ import annotations

import time
from contextlib import contextmanager

from cellruns import on_node
from deployments import wait_until

ENGINE = "$(pgrep -x dockerd)"
KEEPER = "$(pgrep -f '^/bin/sh /opt/testcell/entry')"  # starts the engine again when it dies
OURS = "$(docker ps -q --filter label=testcell.run)"
PING = "curl -fs --max-time 2 --unix-socket /run/docker.sock http://localhost/_ping >/dev/null"
# Not on the disk, where it would be a leaving of the run.
NOTE = "/run/testcell-fault"
# The longest that all of a fault may take, and one start of the engine, in tenths of a second.
FAULT_LIMIT_S = 240
START_LIMIT_DS = 300


def engine_answers(node):
    return on_node(node, "docker ps >/dev/null 2>&1 && echo yes || true") != ""


def wait_for_engine(node):
    wait_until(lambda: engine_answers(node), f"the engine of {node}")


@contextmanager
def engine_down(node):
    """Kill the engine and let nobody start it again; at the end it is back."""
    on_node(node, f"kill -STOP {KEEPER}; kill -KILL {ENGINE}")
    try:
        yield
    finally:
        on_node(node, f"kill -CONT {KEEPER}")
        wait_for_engine(node)


@contextmanager
def engine_frozen(node):
    """Stop the engine, which goes on at the end."""
    on_node(node, f"kill -STOP {ENGINE}")
    try:
        yield
    finally:
        on_node(node, f"kill -CONT {ENGINE}")


def told_by(node, note, what):
    """Return what a node has noted in a file, as soon as it has, and remove that."""
    words = f"[ ! -e {note} ] || {{ cat {note}; rm {note}; }}"
    return wait_until(lambda: on_node(node, words), what, FAULT_LIMIT_S)


def freeze_engine(node, seconds):
    """Stop the engine, which goes on after so many seconds. Return what waits for that and gives when it was, since 1970."""
    later = f"sleep {seconds}; kill -CONT {ENGINE}; date +%s.%N >{NOTE}.new; mv {NOTE}.new {NOTE}"
    on_node(node, f"rm -f {NOTE}; kill -STOP {ENGINE}; ({later}) >/dev/null 2>&1 &")
    return lambda: float(told_by(node, NOTE, "the engine goes on"))


def resurrect(node):
    """Have the engine start the containers of runs again whenever it is started itself."""
    on_node(node, f"docker update --restart=always {OURS} >/dev/null")


def kill_again_and_again(node, times):
    """Kill the engine so many times, each time it answers, while the caller goes on.

    Return what waits for the end of it and gives how many containers of runs ran at each death, and when the engine was back.
    """
    answers = f"i=0; until {PING}; do i=$((i+1)); [ $i -lt {START_LIMIT_DS} ] || exit 1; sleep 0.1; done"
    kill = f"docker ps -q --filter label=testcell.run | wc -l >>{NOTE}.new; kill -KILL {ENGINE}"
    loop = f"n=0; while [ $n -lt {times} ]; do n=$((n+1)); {answers}; {kill}; done; mv {NOTE}.new {NOTE}"
    on_node(node, f"rm -f {NOTE} {NOTE}.new; ({loop}) >/dev/null 2>&1 &")

    def over():
        found = told_by(node, NOTE, "the last death")
        wait_for_engine(node)
        return [int(line) for line in found.split()], time.time()

    return over
