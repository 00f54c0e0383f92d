# SPDX-License-Identifier: MIT
"""The adapter lab_nodes: its documentation says what it takes, and values out of range are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.enginelab.testcell.plugins.module_utils.lab.errors import LabError
from ansible_collections.enginelab.testcell.plugins.modules import lab_nodes


def options(**changes: Any) -> dict[str, Any]:
    """Return the module's options with their defaults and the changes."""
    defaults = {name: spec.get("default") for name, spec in lab_nodes.ARGUMENTS.items()}
    return defaults | {"state_dir": "/x/.lab", "inventory": "/x/hosts"} | changes


def test_documentation_has_the_same_options_as_the_module() -> None:
    documented = yaml.safe_load(lab_nodes.DOCUMENTATION)["options"]
    without_text = {
        name: {key: value for key, value in spec.items() if key != "description"} for name, spec in documented.items()
    }
    assert without_text == lab_nodes.ARGUMENTS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nodes": 0}, "nodes is 0; it must be 1 to 20"),
        ({"nodes": 21}, "nodes is 21; it must be 1 to 20"),
        ({"first_host": 1}, "first_host is 1; it must be 2 to 235"),
        ({"first_host": 236}, "first_host is 236; it must be 2 to 235"),
        ({"name": "My-Lab"}, "name is 'My-Lab'; it must be small letters, digits and underscores"),
        ({"name": ""}, "name is ''; it must be"),
    ],
)
def test_value_out_of_range_is_named_with_what_is_allowed(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(LabError, match=message):
        lab_nodes.wanted_of(options(**changes))


def test_paths_are_made_absolute_through_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    wanted = lab_nodes.wanted_of(options(state_dir=str(tmp_path / "link" / ".." / ".lab")))
    assert wanted.state_dir == tmp_path / ".lab"
