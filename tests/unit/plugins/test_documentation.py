# SPDX-License-Identifier: MIT
"""The documentation of the actions, as Ansible puts it together from plugins and fragments."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import yaml
from ansible.utils.plugin_docs import get_docstring

ROOT = Path(__file__).resolve().parents[3]
ACTIONS = sorted(path for path in (ROOT / "plugins" / "action").glob("[!_]*.py"))
INPUT_CHECKS = ("check_inventory", "check_limit", "resolve_run", "validate_scenarios")


class Fragments:
    """The collection's fragments by full name, as Ansible's loader gives them."""

    def get(self, name):
        package, _, stem = name.rpartition(".")
        if package != "enginelab.testcell":
            return None
        found = importlib.import_module(
            f"ansible_collections.{package}.plugins.doc_fragments.{stem}"
        ).ModuleDocFragment()
        found.ansible_name = name
        return found


def docstrings(path):
    """Return documentation, examples and results of an action."""
    return get_docstring(str(path), Fragments(), collection_name="enginelab.testcell", plugin_type="action")[:3]


@pytest.mark.parametrize("path", ACTIONS, ids=lambda path: path.stem)
def test_documentation_comes_together(path):
    doc = docstrings(path)[0]
    assert doc["name"] == path.stem
    assert all(option["description"] for option in doc.get("options", {}).values())


@pytest.mark.parametrize("name", INPUT_CHECKS)
def test_checks_of_input_say_that_no_node_is_contacted(name):
    doc = docstrings(ROOT / "plugins" / "action" / f"{name}.py")[0]
    assert "No node is contacted." in doc["notes"]
    assert doc["attributes"]["check_mode"]["support"] == "full"


def test_what_checks_of_input_share_is_said_in_one_place():
    said = [ROOT.joinpath("plugins", "action", f"{name}.py").read_text() for name in INPUT_CHECKS]
    assert not [text for text in said if "No node is contacted" in text or "  project_dir:" in text]
    assert "project_dir" in docstrings(ROOT / "plugins/action/validate_scenarios.py")[0]["options"]
    assert "project_dir" in docstrings(ROOT / "plugins/action/resolve_run.py")[0]["options"]


@pytest.mark.parametrize("path", ACTIONS, ids=lambda path: path.stem)
def test_examples_and_results_are_yaml(path):
    _doc, examples, returned = docstrings(path)
    assert yaml.safe_load(examples)
    assert all(entry["description"] and entry["type"] for entry in returned.values())
