# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nodes of a run as the inventory describes them: names, addresses, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..deploy.placement import LOCAL
from ..problems import Problem, describe, in_order, nearest, show
from ..scenario.known import Known
from ..scenario.node_names import RULE_NODE, RULE_USER, is_ipv6, wrong_host, wrong_node_name, wrong_user
from . import install_variables

INVENTORY = "inventory"
CONTROLLER = "localhost"
# A variable of all hosts: the problems of a nodes.yml, since Ansible goes on with the next plugin when one refuses a file.
REFUSED = "testcell_inventory_problems"
PORTS = range(1, 65536)
RULE_ADDRESS = "a host name of ASCII letters, digits, '-', '_', '.', or an IP address, IPv6 without brackets"
# Ansible knows each of these under two names.
HOST_KEYS = ("ansible_host", "ansible_ssh_host")
PORT_KEYS = ("ansible_port", "ansible_ssh_port")
USER_KEYS = ("ansible_user", "ansible_ssh_user")
ENABLED = "testcell_enabled"

Hosts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class NodeEntry:
    """A node of the inventory. address: how other nodes reach it, "" where nothing says it."""

    name: str
    address: str
    local: bool


@dataclass(frozen=True)
class Scope:
    """The part of an inventory that a run may use. limit: the pattern of --limit; names: the hosts that it matches."""

    limit: str
    names: frozenset[str]


@dataclass(frozen=True)
class Found:
    """What an inventory says. nodes: those in use, in its order; left_out: the others with the reason."""

    nodes: tuple[NodeEntry, ...]
    left_out: Mapping[str, str]
    hosts: frozenset[str]
    problems: tuple[Problem, ...]

    @property
    def known(self) -> Known:
        """Return what scenarios may name."""
        return Known(tuple(node.name for node in self.nodes), self.left_out, self.hosts)


def examine(hosts: Hosts, scope: Scope | None = None, avoid: Sequence[str] = ()) -> Found:
    """Return the nodes of an inventory with all that is wrong with them. hosts: name -> host variables; avoid: nodes to leave out.

    `localhost` is Ansible's own host and no node; the controller as a node is called `local`, and it is the one node
    of an inventory that names no other host. scope: None for the whole inventory.
    """
    named = {name: facts for name, facts in hosts.items() if name != CONTROLLER}
    left_out = {name: why for name, facts in named.items() if (why := _left_out(name, facts, scope, avoid))}
    if scope is not None and LOCAL not in (*named, *scope.names):
        left_out[LOCAL] = f"--limit {show(scope.limit)}"
    nodes = {name: facts for name, facts in named.items() if name not in left_out}
    problems = [problem for name, facts in nodes.items() for problem in _host_problems(name, facts)]
    problems += [*_twice(nodes), *_not_there(avoid, named)]
    entries = tuple(NodeEntry(name, address_of(name, facts), is_local(facts)) for name, facts in nodes.items())
    addresses = {text for name, facts in nodes.items() for text in _hosts_of(name, facts)}
    return Found(
        nodes=entries or (NodeEntry(LOCAL, "127.0.0.1", True),),
        left_out=left_out,
        hosts=frozenset(addresses),
        problems=in_order(problems),
    )


def addresses(nodes: Sequence[NodeEntry]) -> dict[str, str]:
    """Return node -> address; the controller that nobody gave an address is reached on loopback, by itself only."""
    return {LOCAL: "127.0.0.1", **{node.name: node.address for node in nodes}}


def is_enabled(facts: Mapping[str, Any]) -> bool:
    """Tell whether an inventory host takes part as a node."""
    return str(facts.get(ENABLED, True)).lower() not in install_variables.FALSE


def is_local(facts: Mapping[str, Any]) -> bool:
    """Tell whether the host is the controller itself."""
    return _connection(facts) == "local"


def by_ssh(facts: Mapping[str, Any]) -> bool:
    """Tell whether the host is reached by ssh."""
    return _connection(facts) in ("ssh", "smart")


def host_of(name: str, facts: Mapping[str, Any]) -> str:
    """Return where ssh finds the host."""
    return str(first_of(facts, HOST_KEYS) or ("127.0.0.1" if is_local(facts) else name))


def port_of(facts: Mapping[str, Any]) -> str:
    """Return the port of the host's sshd as text."""
    return str(first_of(facts, PORT_KEYS) or 22)


def address_of(name: str, facts: Mapping[str, Any]) -> str:
    """Return how other nodes reach the host."""
    return str(facts.get("testcell_address") or host_of(name, facts))


def first_of(facts: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """Return the value of the first of the keys that the host has, None when it has none of them."""
    return next((facts[key] for key in keys if facts.get(key) is not None), None)


def is_template(value: Any) -> bool:
    """Tell whether a value is a template that only Ansible can fill in."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def _hosts_of(name: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names and addresses by which a node's ports may be reached."""
    found = (address_of(name, facts), host_of(name, facts))
    return found if is_local(facts) else (name, *found)


def _connection(facts: Mapping[str, Any]) -> str:
    return str(facts.get("ansible_connection", "ssh")).rpartition(".")[2]


def _left_out(name: str, facts: Mapping[str, Any], scope: Scope | None, avoid: Sequence[str]) -> str:
    """Return why the run does not use a host, "" when it does."""
    if not is_enabled(facts):
        return f"testcell_enabled={str(facts['testcell_enabled']).lower()}"
    if name in avoid:
        return "avoid_nodes"
    return f"--limit {show(scope.limit)}" if scope is not None and name not in scope.names else ""


def _host_problems(name: str, facts: Mapping[str, Any]) -> Iterator[Problem]:
    """Hold one host's variables against what ssh would do with them; a leading dash would be an option to it."""
    if name == LOCAL and not is_local(facts):
        yield _problem(name, "ansible_connection", "is the controller's name; give the node another name", "", "local")
    wrong = "" if name == LOCAL else wrong_node_name(name)
    if wrong:
        yield Problem(INVENTORY, key=name, message=wrong, got=describe(name), allowed=RULE_NODE)
    for key in (*HOST_KEYS, "testcell_address"):
        yield from _checked(name, facts, key, wrong_address, RULE_ADDRESS)
    for key in USER_KEYS:
        yield from _checked(name, facts, key, wrong_user, RULE_USER)
    for key in PORT_KEYS:
        yield from _checked(name, facts, key, _wrong_port, f"{PORTS[0]}..{PORTS[-1]}")
    known = {key: value for key, value in facts.items() if not is_template(value)}
    enabled = known.get(ENABLED)
    if enabled is not None and str(enabled).lower() not in install_variables.WORDS:
        yield _problem(name, ENABLED, "must be true or false", describe(enabled), "true, false")
    yield from install_variables.problems(known, INVENTORY, f"{name}.")


def _checked(name: str, facts: Mapping[str, Any], key: str, rule: Any, allowed: str) -> Iterator[Problem]:
    value = facts.get(key)
    given = value is not None and not (value == "" and key in USER_KEYS)
    wrong = rule(str(value)) if given and not is_template(value) else ""
    if wrong:
        yield _problem(name, key, wrong, describe(int(value) if isinstance(value, int) else str(value)), allowed)


def wrong_address(text: str) -> str:
    """Return why this is no address in an inventory, where an IPv6 address stands without brackets."""
    if is_ipv6(text):
        return ""
    if text.startswith("["):
        return "an IPv6 address stands without brackets in an inventory"
    return "has a ':' but is no IPv6 address; a port is given with ansible_port" if ":" in text else wrong_host(text)


def _wrong_port(text: str) -> str:
    return "" if text.isascii() and text.isdigit() and int(text) in PORTS else "is no port"


def _twice(nodes: Hosts) -> Iterator[Problem]:
    """Report nodes that are one machine under two names."""
    seen: dict[tuple[str, str], str] = {}
    for name, facts in nodes.items():
        place = (host_of(name, facts).lower(), port_of(facts))
        if not by_ssh(facts) or is_template(place[0]):
            continue
        first = seen.setdefault(place, name)
        if first != name:
            message = f"is the same machine as node {show(first)}: {place[0]}:{place[1]}"
            yield _problem(name, "ansible_host", message, "", "")


def _not_there(avoid: Sequence[str], named: Hosts) -> Iterator[Problem]:
    """Report nodes that are to be left out and are not there."""
    for name in avoid:
        if name not in named:
            message = f"the inventory has no node {show(name)}"
            yield Problem("-e", key="avoid_nodes", message=message, suggestion=nearest(name, named))


def _problem(name: str, key: str, message: str, got: str, allowed: str) -> Problem:
    return Problem(INVENTORY, 0, 0, f"{name}.{key}", message, got, allowed)
