# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether ssh could reach the nodes from this machine: their keys, and what it knows of their host keys."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..node.ssh import CHECKING_KEYS, SshSettings, ask_ssh
from ..problems import Problem
from ..scenario.known_hosts import lookup_name, names_host, wrong_known_hosts
from ..scenario.ssh_key import wrong_key_file
from .inventory import INVENTORY, Hosts, by_ssh, first_of, host_of, is_template, port_of, wrong_address

KEY_KEYS = ("ansible_ssh_private_key_file", "ansible_private_key_file")
ARGUMENT_KEYS = ("ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args")
_NOT_STRICT = ("no", "off", "false", "accept-new")
ASKED_AT_ONCE = 8


@dataclass(frozen=True)
class Access:
    """What this machine has to reach nodes with. base: where relative paths start; agent: an ssh agent holds keys.

    host_key_checking: hosts whose key is not known are refused, unless a host or ssh itself says otherwise.
    """

    base: Path
    home: str
    agent: bool
    host_key_checking: bool = True
    ask: Callable[[Sequence[str]], SshSettings] = ask_ssh


def access_of(environ: Mapping[str, str], base: Path) -> Access:
    """Return what a process with this environment has. Steps check host keys whatever Ansible's own setting is."""
    home = environ.get("HOME") or os.path.expanduser("~")
    return Access(base, home, bool(environ.get("SSH_AUTH_SOCK")))


def access_problems(hosts: Hosts, access: Access) -> Iterator[Problem]:
    """Yield why ssh would not let us in, for each host that it reaches: a key that it cannot use, a host key unknown."""
    reached = {name: facts for name, facts in hosts.items() if by_ssh(facts)}
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        unknown = dict(
            zip(reached, pool.map(lambda name: _unknown_host(name, reached[name], access), reached), strict=True)
        )
    for name, facts in reached.items():
        key = next((key for key in KEY_KEYS if facts.get(key)), "")
        wrong = _wrong_key(str(facts[key]), access) if key and not is_template(facts[key]) else ""
        if wrong:
            yield Problem(INVENTORY, key=f"{name}.{key}", message=wrong)
        if unknown[name]:
            yield Problem(INVENTORY, key=f"{name}.ansible_host", message=unknown[name])


def _wrong_key(written: str, access: Access) -> str:
    expanded = f"{access.home}{written[1:]}" if written.startswith("~/") else written
    return wrong_key_file(access.base / expanded, agent=access.agent)


def _unknown_host(name: str, facts: Mapping[str, Any], access: Access) -> str:
    host, port = host_of(name, facts), port_of(facts)
    if is_template(host) or wrong_address(host) or not port.isdigit() or not _checked(facts, access):
        return ""
    settings = access.ask([*_arguments(facts), "-p", port, "--", host])
    files = _files(settings)
    if not files or settings.get("stricthostkeychecking", "").lower() in _NOT_STRICT or _by_other_means(settings):
        return ""
    looked_up = settings.get("hostkeyalias") or lookup_name(settings.get("hostname", host), int(port))
    if any(names_host(file, looked_up) for file in files):
        return ""
    return wrong_known_hosts(files[0], host, int(port))


def _checked(facts: Mapping[str, Any], access: Access) -> bool:
    own = first_of(facts, CHECKING_KEYS)
    return access.host_key_checking if own is None else str(own).lower() not in ("false", "no", "0")


def _arguments(facts: Mapping[str, Any]) -> list[str]:
    """Return the words that Ansible adds to ssh's command line; those that cannot be split are left out."""
    texts = [str(facts[key]) for key in ARGUMENT_KEYS if facts.get(key) and not is_template(facts[key])]
    try:
        return [word for text in texts for word in shlex.split(text)]
    except ValueError:
        return []


def _files(settings: SshSettings) -> list[Path]:
    written = f"{settings.get('userknownhostsfile', '')} {settings.get('globalknownhostsfile', '')}".split()
    return [Path(os.path.expanduser(text)) for text in written if text != "none"]


def _by_other_means(settings: SshSettings) -> bool:
    """Tell whether ssh learns host keys in a way that no file shows."""
    return settings.get("knownhostscommand", "none") != "none" or settings.get("verifyhostkeydns", "false") == "true"
