# SPDX-License-Identifier: MIT
"""The house rules: who may import whom, the five links, and roles whose argument specs equal their defaults."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "ansible_collections.enginelab.testcell.plugins."
LINKS = ("galaxy.yml", "meta", "playbooks", "plugins", "roles")
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def python_files(folder):
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def imports(path):
    """Return the dotted names that a file imports; relative ones are made absolute below plugins or src."""
    base = path.relative_to(ROOT).parent.parts
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            prefix = ".".join(base[: len(base) - node.level + 1]) if node.level else ""
            name = ".".join(part for part in (prefix, node.module or "") if part)
            found += [name, *(f"{name}.{alias.name}" for alias in node.names)]
    return [name.removeprefix("ansible_collections.enginelab.testcell.") for name in found]


def starts(name, *packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


ARROWS = [
    ("plugins/plugin_utils", ("ansible", "ansible_runner", "testcell", "pydantic"), "the domain knows no Ansible"),
    (
        "plugins/plugin_utils",
        ("plugins.action", "plugins.filter", "plugins.callback", "plugins.modules"),
        "nothing upward",
    ),
    (
        "plugins/module_utils",
        ("ansible", "testcell", "plugins.plugin_utils", "yaml", "jinja2"),
        "nodes have only Python",
    ),
    ("plugins/modules", ("plugins.plugin_utils", "plugins.action", "testcell"), "modules use module_utils"),
    ("plugins", ("testcell",), "the collection works without the Python package"),
    (
        "src/testcell",
        ("ansible", "plugins.action", "plugins.modules", "plugins.module_utils"),
        "src uses the domain only",
    ),
]


@pytest.mark.parametrize(("folder", "forbidden", "why"), ARROWS, ids=[f"{a[0]}: {a[2]}" for a in ARROWS])
def test_imports_follow_the_arrows(folder, forbidden, why):
    files = python_files(folder)
    assert files, f"{folder} holds no Python file"
    wrong = [(str(f.relative_to(ROOT)), n) for f in files for n in imports(f) if starts(n, *forbidden)]
    assert wrong == [], why


def test_only_the_runner_calls_ansible_runner():
    users = {
        f.relative_to(ROOT).as_posix() for f in python_files("src") for n in imports(f) if starts(n, "ansible_runner")
    }
    assert users == {"src/testcell/runner.py"}


def test_the_collection_is_five_relative_links_in_a_real_folder():
    folder = ROOT / "collections/ansible_collections/enginelab/testcell"
    assert not folder.is_symlink() and folder.is_dir()
    entries = {path.name: path for path in folder.iterdir()}
    assert set(entries) == set(LINKS)
    for name, path in entries.items():
        assert path.is_symlink(), f"{path} is no link; a checkout without support for links cannot run (core.symlinks)"
        assert path.readlink() == Path("../../../..") / name
        assert path.resolve() == ROOT / name


@pytest.mark.parametrize("role", ROLES)
def test_every_role_has_the_same_inner_shape(role):
    for name in ("tasks/main.yml", "defaults/main.yml", "meta/main.yml", "meta/argument_specs.yml"):
        assert (ROOT / "roles" / role / name).is_file(), f"{role} has no {name}"


@pytest.mark.parametrize("role", ROLES)
def test_argument_specs_equal_defaults_in_keys_and_values(role):
    folder = ROOT / "roles" / role
    defaults = yaml.safe_load((folder / "defaults/main.yml").read_text()) or {}
    options = yaml.safe_load((folder / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    assert {key: spec["default"] for key, spec in options.items() if "default" in spec} == defaults
    required = {key for key, spec in options.items() if spec.get("required")}
    assert set(options) == set(defaults) | required
    listed = set(re.findall(r"^# (\w+): required", (folder / "defaults/main.yml").read_text(), re.MULTILINE))
    assert listed == required


@pytest.mark.parametrize("role", ROLES)
def test_a_role_uses_its_own_variables_only(role):
    prefixes = [f"{other}_" for other in ROLES if other != role and not role.startswith(other)]
    text = "\n".join(path.read_text() for path in (ROOT / "roles" / role / "tasks").rglob("*.yml"))
    used = set(re.findall(r"\b_{0,2}([a-z][a-z0-9_]+)\b", " ".join(re.findall(r"{{(.*?)}}", text, re.DOTALL))))
    assert not {word for word in used if word.startswith(tuple(prefixes))}
    assert not {word for word in used if word.startswith("groups")}


def awx_sees_a_playbook(path):
    """AWX's own rule: a YAML file with a line that starts with hosts:, include: or import_playbook:."""
    skipped = {"roles", "tasks", "group_vars", "host_vars"}
    parts = path.relative_to(ROOT).parts
    if any(part in skipped or part.startswith(".") for part in parts[:-1]):
        return False
    rule = re.compile(r"^\s*(-\s+)?(\S+\.)?(hosts|include|import_playbook):", re.MULTILINE)
    return bool(rule.search(path.read_text(errors="replace")))


def test_awx_offers_playbooks_and_nothing_else():
    tracked = [p for s in ("*.yml", "*.yaml") for d in (".", "playbooks", "scenarios", "config", "inventories", "meta", "changelogs")
               for p in (ROOT.glob(s) if d == "." else (ROOT / d).rglob(s)) if (ROOT / "inventories/lab") not in p.parents]  # fmt: skip
    offered = {path.relative_to(ROOT).as_posix() for path in tracked if awx_sees_a_playbook(path)}
    assert offered == {"site.yml", *(f"playbooks/{path.name}" for path in (ROOT / "playbooks").glob("*.yml"))}


def test_every_source_file_names_its_licence():
    for path in [*python_files("plugins"), *python_files("src"), *python_files("tests"), *python_files("images")]:
        head = path.read_text()[:400]
        wanted = "GPL-3.0-or-later" if path.is_relative_to(ROOT / "plugins") else "MIT"
        assert f"SPDX-License-Identifier: {wanted}" in head or not path.read_text().strip(), path
