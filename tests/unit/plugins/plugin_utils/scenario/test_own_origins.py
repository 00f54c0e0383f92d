# SPDX-License-Identifier: MIT
from __future__ import annotations

from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.own_origins import own_origins
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.strict_yaml import parse

TEXT = """\
name: a
tags: [x, y]
resource_requirements: {min_gpu_memory: 24GB}
test_execution: {timeout: 5}
deployment:
  services:
    - {name: s}
  retry_strategy: {retry_delay: 1}
"""


def test_each_leaf_outside_of_the_layers_has_its_line_and_is_shown_as_written():
    document = parse(TEXT, "metadata.yml")
    data = document.data | {"resource_requirements": {"min_gpu_memory": 24 * 10**9}}
    found = {origin.key: (origin.value, origin.layer, origin.line) for origin in own_origins(document, data)}
    assert found["name"] == ("a", "scenario", 1)
    assert found["tags"] == (["x", "y"], "scenario", 2)
    assert found["resource_requirements.min_gpu_memory"] == ("24GB", "scenario", 3)
    assert found["deployment.services[0].name"] == ("s", "scenario", 7)
    assert found["enabled"] == (True, "built-in", 0)
    assert not any(key.startswith(("test_execution", "deployment.retry", "retry")) for key in found)
