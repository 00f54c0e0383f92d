# SPDX-License-Identifier: MIT
"""How often a lost connection is made again, by what was lost and how long each try took."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.errors import NodeError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.node.persistence import Persistence

FINE = ""

# What each try ends with and the seconds it takes; then what comes of it, how many tries that were, and the seconds in all.
COURSES = {
    "a broken connection is made again at once": ([("ssh_dropped", 0.1), (FINE, 0.1)], FINE, 2, 0.2),
    "a restarted sshd is back a little later": ([("ssh_refused", 0.0)] * 3 + [(FINE, 0.0)], FINE, 4, 3.0),
    "F19 nobody listens": ([("ssh_refused", 0.1)] * 9, "ssh_refused", 4, 3.4),
    "F19 a name that is not known": ([("dns_failure", 0.1)] * 9, "dns_failure", 4, 3.4),
    "F19 a key that is refused": ([("ssh_auth", 0.1)] * 9, "ssh_auth", 1, 0.1),
    "F19 another host key": ([("ssh_hostkey", 0.1)] * 9, "ssh_hostkey", 1, 0.1),
    "an error of the node's own": ([("disk_full", 0.1)] * 9, "disk_full", 1, 0.1),
    "F14 silence in the middle of a run": ([("ssh_timeout", 8.0), ("ssh_timeout", 5.0)] * 4, "ssh_timeout", 2, 13.0),
    "F14 silence behind a relay": ([("ssh_timeout", 8.0), ("ssh_dropped", 5.0)] * 4, "ssh_timeout", 2, 13.0),
    "F14 silence from the beginning": ([("ssh_timeout", 5.0)] * 9, "ssh_timeout", 2, 10.0),
    "a silence that ends": ([("ssh_timeout", 8.0), (FINE, 0.5)], FINE, 2, 8.5),
}


@pytest.mark.parametrize(("course", "kind", "tries", "seconds"), COURSES.values(), ids=COURSES)
def test_a_lost_connection_is_made_again_as_long_as_that_may_help(course, kind, tries, seconds):
    left, now, reconnected = list(course), [0.0], []

    def sleep(pause_s):
        now[0] += pause_s

    def work():
        failure, took = left.pop(0)
        now[0] += took
        if failure:
            raise NodeError(failure, "x", {"a": 1})
        return "fine"

    persist = Persistence("node1", lambda: reconnected.append(1), sleep, lambda: now[0])
    if kind:
        with pytest.raises(NodeError, match=r"^node node1: x$") as caught:
            persist(work)
        assert (caught.value.kind, caught.value.detail) == (kind, {"a": 1})
    else:
        assert persist(work) == "fine"
    assert (len(course) - len(left), len(reconnected)) == (tries, tries - 1)
    assert now[0] == pytest.approx(seconds)
