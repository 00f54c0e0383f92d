# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads the nodes a user wrote down (nodes.yml), with every problem at once and secrets from the environment only.

    nodes = load(Path("config/nodes.yml"), os.environ)                 # raises InputError with all problems
    found = read(path, os.environ, Policy(root_login=False))           # .nodes and .warnings

The form is `nodes: {NAME: {host, username, password: "${VARIABLE}", enabled, docker_compose_path, results_path}}`,
with `port`, `key_file`, `address` (for other nodes, when it is not `host`) and `extra` beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..problems import KeyPath, Problem, describe, is_secret_path, raise_if_errors
from . import schema, strict_yaml
from .known_hosts import lookup_name, wrong_known_hosts
from .node_names import RULE_HOST, RULE_NODE, RULE_USER, wrong_host, wrong_node_name, wrong_user
from .ssh_key import wrong_key_file
from .strict_yaml import Document
from .trust import distrust

REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_REFUSED_EXTRA = ("ansible_ssh_", "ansible_scp_", "ansible_sftp_", "ansible_connection", "ansible_host", "ansible_port")
_KEYS: dict[str, schema.Key | schema.Spec] = {
    "host": schema.Key(schema.Str(), required=True),
    "port": schema.Key(schema.Int(1, 65535), default=22),
    "username": schema.Str(max=256),
    "password": schema.Str(),
    "key_file": schema.Str(max=4096),
    "enabled": schema.Key(schema.Bool(), default=True),
    "docker_compose_path": schema.Key(schema.Str(max=4096), default=""),
    "results_path": schema.Key(schema.Str(max=4096), default=""),
    "address": schema.Str(),
    "extra": schema.Key(schema.MapOf(schema.Free()), default={}),
}
SPEC = schema.Mapping({"nodes": schema.Key(schema.MapOf(schema.Mapping(_KEYS)), required=True)})


@dataclass(frozen=True)
class Node:
    """One node. host: a name or address, an IPv6 address without brackets; user "": ssh decides."""

    name: str
    host: str
    port: int = 22
    user: str = ""
    password: str | None = field(default=None, repr=False)
    key_file: Path | None = None
    enabled: bool = True
    compose_path: str = ""
    results_path: str = ""
    address: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Policy:
    """What is allowed beyond the form. known_hosts: the file that must know the nodes; None: not checked."""

    root_login: bool = True
    known_hosts: Path | None = None
    user: int | None = None


@dataclass(frozen=True)
class NodesFile:
    """The nodes in the order of the file, and what is worth saying about them."""

    nodes: tuple[Node, ...]
    warnings: tuple[Problem, ...] = ()


def load(path: Path, environ: Mapping[str, str], policy: Policy = Policy()) -> tuple[Node, ...]:
    """Return the nodes of the file in its order, or raise InputError with all problems."""
    return read(path, environ, policy).nodes


def read(path: Path, environ: Mapping[str, str], policy: Policy = Policy()) -> NodesFile:
    """Return nodes and warnings, or raise InputError with all problems. environ: where `${VARIABLE}` comes from."""
    user = os.geteuid() if policy.user is None else policy.user
    raise_if_errors(distrust(path, user=user))
    checked = schema.check(strict_yaml.read(path), SPEC)
    reader = _Reader(checked, environ, policy, path)
    written = checked.data.get("nodes", {})
    nodes = tuple(reader.node(name, values) for name, values in written.items())
    reader.twins(nodes)
    if "nodes" in checked.data and not checked.document.data["nodes"]:
        reader.bad(("nodes",), "no node is defined", allowed="at least one")
    return NodesFile(nodes, raise_if_errors([*checked.problems, *reader.problems]))


class _Reader:
    """Makes nodes of checked values and gathers what the schema cannot know."""

    def __init__(self, checked: schema.Checked, environ: Mapping[str, str], policy: Policy, path: Path) -> None:
        self.problems: list[Problem] = []
        self._document: Document = checked.document
        self._environ, self._policy, self._path = environ, policy, path

    def bad(self, path: KeyPath, message: str, **details: Any) -> None:
        """Report a problem at the path."""
        self.problems.append(self._document.problem(path, message, **details))

    def node(self, name: str, values: dict[str, Any]) -> Node:
        """Return the node of one entry; what is wrong with it is reported."""
        at: KeyPath = ("nodes", name)
        wrong = wrong_node_name(name)
        if wrong:
            self.bad(at, wrong, got=describe(name), allowed=RULE_NODE, at="key")
        text = {key: self._filled((*at, key), values.get(key, ""), values["enabled"]) for key in _FILLED}
        self._check(at, text, wrong_host, "host", RULE_HOST)
        self._check(at, text, wrong_host, "address", RULE_HOST)
        self._check(at, text, wrong_user, "username", RULE_USER)
        self._check_extra((*at, "extra"), values["extra"])
        host = text["host"].strip("[]")
        node = Node(
            name=name,
            host=host,
            port=values["port"],
            user=text["username"],
            password=text["password"] or None,
            key_file=self._key_path(text["key_file"]),
            enabled=values["enabled"],
            compose_path=values["docker_compose_path"],
            results_path=values["results_path"],
            address=text["address"].strip("[]") or host,
            extra=values["extra"],
        )
        self._check_access(at, node)
        return node

    def _filled(self, path: KeyPath, text: str, enabled: bool) -> str:
        """Return text with each `${VARIABLE}` replaced by its value from the environment."""
        named = REFERENCE.findall(text)
        if "${" in REFERENCE.sub("", text):
            self.bad(path, "has a variable that is not of the form ${NAME}", got=describe(text, path))
        if not named and text and is_secret_path(path):
            self._warn_plain_secret(path)
        for variable in named if enabled else ():
            if not self._environ.get(variable):
                state = "is empty" if variable in self._environ else "is not set"
                self.bad(path, f"environment variable {variable} {state}; set it with: export {variable}=...")
        return REFERENCE.sub(lambda match: self._environ.get(match[1], ""), text)

    def _warn_plain_secret(self, path: KeyPath) -> None:
        variable = re.sub(r"[^A-Z0-9]+", "_", f"{path[1]}_{path[-1]}".upper())
        message = "secret written in plain text; put it into an environment variable and name that here"
        self.bad(path, message, suggestion=f'"${{{variable}}}"', severity="warning")
        mode = self._path.stat().st_mode & 0o777
        if mode & 0o077:
            advice = f"others may read this file with its secret (mode {mode:04o}); run: chmod 600 {self._path}"
            self.bad(path, advice, severity="warning")

    def _check(self, at: KeyPath, text: Mapping[str, str], rule: Any, key: str, allowed: str) -> None:
        path, written = (*at, key), self._document.node((*at, key))
        wrong = rule(text[key]) if text[key] else ""
        if wrong and written is not None:
            self.bad(path, wrong, got=describe(written.text, path), allowed=allowed)
        if key == "username" and text[key] == "root" and not self._policy.root_login:
            self.bad(path, "logging in as root is switched off by policy; name another user")

    def _check_extra(self, at: KeyPath, extra: Mapping[str, Any]) -> None:
        for name in extra:
            if not name.isidentifier() or name.startswith(_REFUSED_EXTRA):
                allowed = "letters, digits, '_'; nothing that steers the connection, that has keys of its own"
                self.bad((*at, name), "not allowed as a variable of a node", allowed=allowed, at="key")
            if is_secret_path((name,)) and isinstance(extra[name], str) and extra[name]:
                self.bad((*at, name), "secret written in plain text", severity="warning", at="key")

    def _key_path(self, text: str) -> Path | None:
        if not text:
            return None
        home = self._environ.get("HOME", "")
        expanded = f"{home}{text[1:]}" if text.startswith("~/") and home else text
        return self._path.parent / expanded

    def _check_access(self, at: KeyPath, node: Node) -> None:
        if node.key_file is not None and node.enabled:
            wrong = wrong_key_file(node.key_file, agent=bool(self._environ.get("SSH_AUTH_SOCK")))
            if wrong:
                self.bad((*at, "key_file"), wrong)
        if self._policy.known_hosts is not None and node.enabled and self._usable(node.host):
            unknown = wrong_known_hosts(self._policy.known_hosts, node.host, node.port)
            if unknown:
                self.bad((*at, "host"), unknown)

    @staticmethod
    def _usable(host: str) -> bool:
        return host != "" and not wrong_host(f"[{host}]" if ":" in host else host)

    def twins(self, nodes: tuple[Node, ...]) -> None:
        """Report nodes that are the same machine under two names."""
        seen: dict[str, str] = {}
        for node in nodes:
            where = lookup_name(node.host, node.port)
            first = seen.setdefault(where, node.name)
            if first != node.name and node.host:
                line, _ = self._document.key_mark(("nodes", first))
                message = f"the same host and port as node {first!r} of line {line}"
                self.bad(("nodes", node.name, "host"), message, got=describe(where))


_FILLED = ("host", "address", "username", "password", "key_file")
