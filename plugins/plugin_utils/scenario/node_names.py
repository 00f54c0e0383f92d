# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules for what stands in a node's entry and later on an ssh command line; each returns what is wrong, or ""."""

from __future__ import annotations

import ipaddress
import re
import unicodedata

from ..problems import escape

RULE_NODE = "letters, digits, '_', '-', '.'; a letter or digit first; 1..63 characters; not local, auto, all"
RULE_HOST = "a host name of ASCII letters, digits, '-', '_', '.', an IPv4 address, or an IPv6 address in [brackets]"
RULE_USER = "letters, digits, '_', '-', '.'; a letter or '_' first; 1..32 characters"

_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_NUMBERS_AND_DOTS = re.compile(r"[0-9.]+")
_RESERVED = ("local", "auto", "all", "localhost", "ungrouped")
_LONGEST_HOST = 253


def wrong_node_name(name: str) -> str:
    """Return why a node cannot have this name."""
    if name.lower() in _RESERVED:
        return f"the name {name} has a meaning of its own"
    return "" if _NODE.fullmatch(name) and ".." not in name else "not a valid node name"


def wrong_user(name: str) -> str:
    """Return why this is no user name for ssh."""
    return "" if _USER.fullmatch(name) else "not a valid user name"


def wrong_host(host: str) -> str:
    """Return why this cannot be handed to ssh as a host."""
    if host.startswith("-"):
        return "a host cannot start with '-', ssh would take it as an option"
    if not host.isascii():
        char = next(char for char in host if ord(char) > 127)
        name = unicodedata.name(char, "unnamed")
        return f"has a character that is not ASCII, U+{ord(char):04X} {name}, that may look like another one"
    if any(char.isspace() or not char.isprintable() for char in host):
        return "has a space or a control character"
    return _wrong_ipv6(host) if ":" in host or "[" in host else _wrong_name(host)


def is_host_name(text: str) -> bool:
    """Tell whether text has the form of a host name or an IPv4 address."""
    return len(text) <= _LONGEST_HOST and _HOST.fullmatch(text) is not None


def _wrong_ipv6(host: str) -> str:
    if host.startswith("["):
        return "" if is_ipv6(host[1:-1]) and host.endswith("]") else "not a valid IPv6 address in brackets"
    if is_ipv6(host):
        return f"an IPv6 address is written in brackets, [{escape(host)}]"
    return "a port is given with the key 'port', not in the host"


def _wrong_name(host: str) -> str:
    if _NUMBERS_AND_DOTS.fullmatch(host) and not _is_ipv4(host):
        return "not a valid IPv4 address"
    return "" if is_host_name(host) else "not a valid host name"


def _is_ipv4(text: str) -> bool:
    try:
        return bool(ipaddress.IPv4Address(text))
    except ValueError:
        return False


def is_ipv6(text: str) -> bool:
    """Tell whether text is an IPv6 address without brackets."""
    try:
        return bool(ipaddress.IPv6Address(text))
    except ValueError:
        return False
