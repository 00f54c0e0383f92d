# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.artifacts.staging import Staging


@pytest.fixture
def node(tmp_path):
    """A folder on the node."""
    path = tmp_path / "node"
    path.mkdir()
    return path


@pytest.fixture
def staging(tmp_path):
    """An empty staging folder."""
    made = Staging(tmp_path / ".to.staging")
    yield made
    made.close()
