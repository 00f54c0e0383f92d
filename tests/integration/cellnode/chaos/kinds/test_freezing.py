# SPDX-License-Identifier: MIT
"""A stop that meets a container which is frozen: nothing of it may come later, when the container goes on."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError

ASKS = ("python3", "-c", "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8000', timeout=10).status)")


def test_f66_a_stop_that_a_frozen_container_has_not_taken_is_taken_back(container, event, docker_cli, eventually):
    target = container()
    eventually(lambda: docker_cli("exec", target, *ASKS, check=False) == "200", "the service answers")
    stop = event("stop", target)
    stop.prepare()
    docker_cli("pause", target)
    with pytest.raises(CellError, match="or is frozen"):
        stop.inject()
    assert stop.left() != []
    stop.undo()
    assert stop.left() == []
    docker_cli("unpause", target)
    assert docker_cli("exec", target, *ASKS) == "200"


def test_f66_a_stop_of_a_frozen_container_is_refused(container, event, docker_cli):
    target = container()
    docker_cli("pause", target)
    with pytest.raises(CellError, match=r"container \S+ is paused: its processes cannot be stopped until it goes on"):
        event("stop", target).prepare()
    docker_cli("unpause", target)
