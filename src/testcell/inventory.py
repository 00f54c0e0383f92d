# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""The nodes of an inventory, read without Ansible where the file is simple, else by ansible-inventory."""

from __future__ import annotations

import configparser
import fnmatch
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testcell import ini_inventory
from testcell.project import Project

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import Problem

NODES_FILES = ("nodes.yml", "nodes.yaml")
CONTROLLER = "localhost"
Hosts = dict[str, dict[str, Any]]


class InventoryError(Exception):
    """An inventory cannot be read; the text names it and says why."""


@dataclass(frozen=True)
class Node:
    """A host of the inventory as a node."""

    name: str
    host: str
    port: int
    user: str
    connection: str
    address: str
    enabled: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the node as plain JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Inventory:
    """The nodes in the order of the inventory, where they were read, and what is worth saying about them.

    refused: what is wrong with sources whose nodes could not be read.
    """

    sources: tuple[str, ...]
    nodes: tuple[Node, ...]
    hosts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    refused: tuple[Problem, ...] = ()

    @property
    def names(self) -> list[str]:
        """Return the names of the enabled nodes in order."""
        return [node.name for node in self.nodes if node.enabled]

    @property
    def variables(self) -> dict[str, Any]:
        """Return the variables that hold for all hosts and are settings of ours."""
        everywhere = self.hosts.get(CONTROLLER, {})
        return {name: value for name, value in everywhere.items() if name.startswith("testcell_")}

    def outside(self, pattern: str) -> list[str]:
        """Return the enabled nodes that a limit leaves out: names and wildcards, comma separated, `!` in front excludes.

        Raise InventoryError when a part of the pattern matches no node, or nothing is left.
        """
        words = [word.strip() for word in pattern.replace(":", ",").split(",") if word.strip()]
        matched = {word: set(fnmatch.filter(self.names, word.lstrip("!"))) for word in words}
        for word, found in matched.items():
            if not found and word != "all":
                raise InventoryError(f"--limit {word!r} matches no node; nodes: {', '.join(self.names) or 'none'}")
        wanted = [word for word in words if not word.startswith("!")]
        kept = set(self.names) if not wanted or "all" in wanted else set().union(*(matched[word] for word in wanted))
        kept -= set().union(*(matched[word] for word in words if word.startswith("!")), set())
        if not kept:
            raise InventoryError(f"--limit {pattern!r} leaves no node; nodes: {', '.join(self.names) or 'none'}")
        return [name for name in self.names if name not in kept]


def load(project: Project, wanted: Sequence[str] = ()) -> Inventory:
    """Return the nodes of the wanted inventories, or of the project's own; see `read`. Nothing is wrong with them.

    Raise InputError with every problem of the nodes, InventoryError when a source cannot be read at all.
    """
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import inventory as rules
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import inventory_files

    found = read(project, wanted)
    problems = found.refused or inventory_files.placed(rules.examine(found.hosts).problems, found.sources)
    if problems:
        raise InputError(problems)
    return found


def read(project: Project, wanted: Sequence[str] = ()) -> Inventory:
    """Return the nodes of the wanted inventories, or of the project's own, whatever is wrong with them.

    Raise InventoryError when a source cannot be read at all.
    """
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError

    sources = resolve(project, wanted)
    hosts: Hosts = {}
    warnings: list[str] = []
    try:
        simple = [_simple(source, warnings) for source in sources]
    except InputError as exc:
        return Inventory(tuple(sources), (), {}, refused=exc.problems)
    if any(found is None for found in simple):
        hosts = _by_ansible(project, sources)
    else:
        for found in simple:
            for name, facts in (found or {}).items():
                hosts.setdefault(name, {}).update(facts)
    nodes = tuple(_node(name, facts) for name, facts in hosts.items() if name != CONTROLLER)
    return Inventory(tuple(sources), nodes, hosts, tuple(warnings))


def resolve(project: Project, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the inventories as absolute paths or as lists of hosts; InventoryError names one that is missing."""
    found = tuple(_absolute(source, Path.cwd()) for source in wanted) or _configured(project)
    for source in found:
        if not source.strip():
            raise InventoryError("an inventory was named with an empty text")
        if not _is_list(source) and not Path(source).exists():
            folder = project.root / "inventories"
            known = ", ".join(sorted(f"inventories/{p.name}" for p in folder.iterdir())) if folder.is_dir() else "none"
            raise InventoryError(f"inventory {source} does not exist; in this project: {known}")
    return found


def _configured(project: Project) -> tuple[str, ...]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read(project.root / "ansible.cfg", encoding="utf-8")
        text = parser.get("defaults", "inventory", fallback="")
    except (configparser.Error, OSError, UnicodeDecodeError) as exc:
        raise InventoryError(f"{project.root / 'ansible.cfg'}: cannot be read: {exc}") from None
    named = tuple(_absolute(part.strip(), project.root) for part in text.split(",") if part.strip())
    if named:
        return named
    if project.inventory is None:
        raise InventoryError(f"no inventory: {project.root} has no inventories/local; name one with --inventory")
    return (str(project.inventory),)


def _absolute(source: str, base: Path) -> str:
    return source if _is_list(source) or not source.strip() else str(base / Path(source).expanduser())


def _is_list(source: str) -> bool:
    return "," in source and not Path(source).exists()


def _simple(source: str, warnings: list[str]) -> Hosts | None:
    """Return the hosts of a source that needs no Ansible to be understood, else None."""
    if _is_list(source):
        return {name.strip(): {} for name in source.split(",") if name.strip()}
    path = Path(source)
    if path.name in NODES_FILES:
        return _of_nodes_file(path, warnings)
    beside = (path.parent / name for name in ("group_vars", "host_vars"))
    if not path.is_file() or path.suffix in (".yml", ".yaml", ".json", ".toml") or any(p.exists() for p in beside):
        return None
    return None if os.access(path, os.X_OK) else ini_inventory.parse(_text(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InventoryError(f"{path}: cannot be read: {exc}") from None


def _of_nodes_file(path: Path, warnings: list[str]) -> Hosts:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import nodes_file

    found = nodes_file.read(path, os.environ)
    warnings += [problem.render() for problem in found.warnings]
    return {
        node.name: {
            "ansible_host": node.host,
            "ansible_port": node.port,
            "ansible_user": node.user,
            "testcell_address": node.address,
            "testcell_enabled": node.enabled,
        }
        for node in found.nodes
    }


def _by_ansible(project: Project, sources: Sequence[str]) -> Hosts:
    from testcell import ansible_process

    try:
        return ansible_process.list_hosts(project, sources)
    except ansible_process.AnsibleError as exc:
        raise InventoryError(f"inventory {', '.join(sources)}: {exc}") from None


def _node(name: str, facts: Mapping[str, Any]) -> Node:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import inventory as rules

    port = rules.port_of(facts)
    return Node(
        name=name,
        host=rules.host_of(name, facts),
        port=int(port) if port.isdecimal() else 0,
        user=str(rules.first_of(facts, rules.USER_KEYS) or ""),
        connection=str(facts.get("ansible_connection", "ssh")).rpartition(".")[2],
        address=rules.address_of(name, facts),
        enabled=rules.is_enabled(facts),
    )
