# SPDX-License-Identifier: MIT
"""Ways from the controller to the lab's nodes that lose packets, are slow, or are late."""

from __future__ import annotations

import re
from contextlib import ExitStack, closing, contextmanager

from cellruns import NODES, on_node
from wire import Wire

# The node itself takes its rules back after so long, for a test that is killed before it does.
AT_MOST_S = 290
TAG = "testcell-loss"
NODE_LINE = re.compile(r"^(?P<name>\S+) ansible_host=(?P<host>\S+)", re.MULTILINE)


@contextmanager
def losing(chance):
    """Have each packet of ssh be lost with this chance on its way to each node, and on its way back."""
    lost = f"-m statistic --mode random --probability {chance} -m comment --comment {TAG} -j DROP"
    rules = [f"INPUT -p tcp --dport 22 {lost}", f"OUTPUT -p tcp --sport 22 {lost}"]
    spoil = "; ".join(f"iptables -I {rule}" for rule in rules)
    mend = "; ".join(f"while iptables -D {rule} 2>/dev/null; do :; done" for rule in rules)
    in_time = f"(sleep {AT_MOST_S}; {mend}) >/dev/null 2>&1 & echo $! >/tmp/{TAG}"
    try:
        for node in NODES:
            on_node(node, f"{in_time}; {spoil}")
        yield
    finally:
        for node in NODES:  # without its sleep, whatever waits there mends and ends
            on_node(node, f"{mend}; pkill -P $(cat /tmp/{TAG}); rm -f /tmp/{TAG}")


def lost_packets(node):
    """Return how many packets of ssh were lost so far, to the node and from it."""
    return [int(count) for count in on_node(node, f"iptables -nvxL | awk '/{TAG}/ {{print $1}}'").split()]


@contextmanager
def through_wires(inventory, folder, **wire):
    """Give a copy of the lab's inventory in which each node is reached through a wire of its own. wire: see Wire."""
    with ExitStack() as stack:

        def rewired(found):
            made = stack.enter_context(closing(Wire((found["host"], 22), **wire)))
            host, port = made.address
            key = f"ansible_ssh_extra_args='-o HostKeyAlias={found['host']}'"
            return f"{found['name']} ansible_host={host} ansible_port={port} {key}"

        copy = folder / "hosts"
        copy.write_text(NODE_LINE.sub(rewired, inventory.read_text()))
        yield copy
