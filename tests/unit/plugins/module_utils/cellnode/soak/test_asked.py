# SPDX-License-Identifier: MIT
"""What samples are asked to hold: checked by key, and the same again on the other side of the unit's argument."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.soak import asked

METRICS = {"service": "router", "port": 18100, "path": "/metrics", "names": ["vllm:num_requests_*"]}
REPORTS = {"service": "sim", "path": "reports/*.json", "progress": "node.height"}
FULL = {
    "interval_s": 2,
    "duration_s": 60,
    "services": ["sim", "router"],
    "reports": [REPORTS],
    "metrics": [METRICS],
    "test_unit": "test",
    "cap_bytes": 8192,
}


def test_the_unit_is_asked_what_the_operation_was_asked():
    wanted = asked.parse(FULL)
    run = RunRef("r1", "001_x", "tp=2", 3, 7)
    assert asked.unpacked(asked.packed(wanted, "/somewhere", run)) == ("/somewhere", run, wanted)


def test_what_is_left_out_has_its_default():
    found = asked.parse({})
    assert (found.interval_s, found.services, found.test_unit, found.cap_bytes) == (1.0, (), "", 64 << 20)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"interval_s": 0}, "args.interval_s is 0"),
        ({"services": "sim"}, "args.services is 'sim'"),
        ({"services": ["x"] * 1001}, "args.services is 1001; allowed: at most 1000 entries"),
        ({"reports": [{"service": "sim", "path": "../x.json"}]}, "climbs with `..`"),
        ({"reports": [{"service": "a/b", "path": "x.json"}]}, "args.service is 'a/b'"),
        ({"metrics": [{**METRICS, "port": 0}]}, "args.port is 0"),
        ({"metrics": [{**METRICS, "path": "/x y"}]}, "args.metrics.path is '/x y'"),
        ({"metrics": [{**METRICS, "path": "/x\r\nHost: y"}]}, "args.metrics.path is"),
        ({"metrics": [{**METRICS, "names": []}]}, "args.metrics.names is []"),
        ({"metrics": [METRICS, METRICS]}, "each service once"),
        ({"cap_bytes": 1}, "args.cap_bytes is 1"),
    ],
)
def test_a_wrong_value_is_named(change, named):
    with pytest.raises(CellError) as caught:
        asked.parse({**FULL, **change})
    assert named in caught.value.message
