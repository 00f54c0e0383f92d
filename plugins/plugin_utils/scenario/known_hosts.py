# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells whether a known_hosts file names a host, plain, by pattern or hashed, the way ssh looks it up."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
from pathlib import Path

_MOST_BYTES = 4 * 1024 * 1024


def wrong_known_hosts(path: Path, host: str, port: int) -> str:
    """Return why ssh would not know the node at host and port, with the command that adds its key, or ""."""
    name = lookup_name(host, port)
    add = f"ssh-keyscan -p {port} -t ed25519 {host} >> {path}"
    advice = f"add its key with: {add}, after comparing the fingerprint with the one the node shows"
    try:
        with path.open("rb") as stream:
            lines = stream.read(_MOST_BYTES).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return f"known_hosts file {path} does not exist; {advice}"
    except OSError as exc:
        return f"known_hosts file {path} cannot be read: {exc.strerror}"
    return "" if any(names(line, name) for line in lines) else f"{path} has no key of {name}; {advice}"


def names_host(path: Path, name: str) -> bool:
    """Tell whether the file at path holds a key of the host called name; a file that cannot be read holds none."""
    try:
        with path.open("rb") as stream:
            lines = stream.read(_MOST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return False
    return any(names(line, name) for line in lines)


def lookup_name(host: str, port: int) -> str:
    """Return the name that ssh looks up: the host alone on port 22, else `[host]:port`."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def names(line: str, name: str) -> bool:
    """Tell whether a line of a known_hosts file holds a usable key of the host called name."""
    words = line.split()
    if words and words[0] == "@cert-authority":
        words = words[1:]
    if len(words) < 3 or words[0].startswith(("#", "@")):
        return False
    patterns = words[0].lower().split(",") if not words[0].startswith("|") else [words[0]]
    if any(p.startswith("!") and _matches(p[1:], name) for p in patterns):
        return False
    return any(_matches(pattern, name) for pattern in patterns)


def _matches(pattern: str, name: str) -> bool:
    if not pattern.startswith("|1|"):
        return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))
    try:
        salt, digest = (base64.b64decode(part) for part in pattern.split("|")[2:4])
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)
