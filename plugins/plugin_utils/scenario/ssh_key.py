# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides whether a private key file can be used by ssh without asking anybody, and says how to mend it."""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from pathlib import Path

_MOST_BYTES = 64 * 1024
_MAGIC = b"openssh-key-v1\0"
_PUBLIC = re.compile(rb"\s*(?:ssh-|ecdsa-|sk-|---- BEGIN SSH2 PUBLIC KEY|-----BEGIN (?:RSA )?PUBLIC KEY)")
_PRIVATE = re.compile(rb"\s*-----BEGIN ([A-Z0-9 ]*)PRIVATE KEY-----")
_BODY = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", re.DOTALL)


def wrong_key_file(path: Path, *, agent: bool) -> str:
    """Return what is wrong with the private key file at path, with its mode and what to do, or "".

    agent: an ssh agent is there to hold keys that are encrypted.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return f"{path} is not a regular file"
        with path.open("rb") as stream:
            content = stream.read(_MOST_BYTES)
    except FileNotFoundError:
        return f"key file {path} does not exist; make one with: ssh-keygen -t ed25519 -f {path}"
    except OSError as exc:
        return f"key file {path} cannot be read: {os.strerror(exc.errno or 0)}"
    return _wrong_content(path, content, agent) or _wrong_mode(path, stat.S_IMODE(status.st_mode))


def _wrong_mode(path: Path, mode: int) -> str:
    if mode & 0o077 == 0:
        return ""
    return f"key file {path} has mode {mode:04o}, others may read it and ssh refuses it; run: chmod 600 {path}"


def _wrong_content(path: Path, content: bytes, agent: bool) -> str:
    if _PUBLIC.match(content):
        private = path.with_suffix("") if path.suffix == ".pub" else "the file without .pub"
        return f"{path} is a public key; name the private one ({private})"
    if content.startswith(b"PuTTY-User-Key-File"):
        return f"{path} is a PuTTY key; convert it with: puttygen {path} -O private-openssh -o KEY"
    if not _PRIVATE.match(content):
        return f"{path} is not a private key that ssh can read"
    if _is_encrypted(content) and not agent:
        return (
            f"key file {path} is encrypted and nobody is there to type its passphrase; start an agent and"
            f" run: ssh-add {path}, or use a key without passphrase for the nodes"
        )
    return ""


def _is_encrypted(content: bytes) -> bool:
    first_lines = content[:400]
    if b"Proc-Type: 4,ENCRYPTED" in first_lines or b"BEGIN ENCRYPTED PRIVATE KEY" in first_lines:
        return True
    body = _BODY.search(content)
    if body is None:
        return False
    try:
        raw = base64.b64decode(b"".join(body[1].split()))
    except binascii.Error:
        return False
    cipher = raw[len(_MAGIC) + 4 :][: int.from_bytes(raw[len(_MAGIC) : len(_MAGIC) + 4], "big")]
    return raw.startswith(_MAGIC) and cipher != b"none"
