# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a node could not be reached, by what ssh and Ansible say (failure taxonomy, patterns 1 to 19)."""

from __future__ import annotations

# The first match wins, so the specific stand before the general. Source: failure taxonomy section 4.
PATTERNS: tuple[tuple[str, str], ...] = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", "ssh_hostkey"),
    ("Host key verification failed", "ssh_hostkey"),
    ("host key is known for", "ssh_hostkey"),
    ("UNPROTECTED PRIVATE KEY FILE", "ssh_auth"),
    ("bad permissions", "ssh_auth"),
    ("Too many authentication failures", "ssh_auth"),
    ("no matching host key type", "ssh_auth"),
    ("Unable to negotiate", "ssh_auth"),
    ("Permission denied (", "ssh_auth"),
    ("Invalid/incorrect username/password", "ssh_auth"),
    ("Could not resolve hostname", "dns_failure"),
    ("Not allowed at this time", "ssh_refused"),
    ("Connection refused", "ssh_refused"),
    ("Connection timed out during banner exchange", "ssh_dropped"),
    ("timed out", "ssh_timeout"),
    ("No route to host", "ssh_timeout"),
    ("Network is unreachable", "ssh_timeout"),
    ("not responding", "ssh_timeout"),
    ("kex_exchange_identification", "ssh_dropped"),
    ("Connection reset by", "ssh_dropped"),
    ("read from master failed", "ssh_dropped"),
    ("Data could not be sent", "ssh_dropped"),
    ("privilege escalation prompt", "privilege"),
    ("sudo password", "privilege"),
    ("No space left on device", "disk_full"),
    ("Read-only file system", "fs_readonly"),
)


def connection_kind(message: str) -> str:
    """Return the error_kind of a connection failure; ssh_dropped when nothing more specific is said."""
    flat = " ".join(message.split())
    return next((kind for words, kind in PATTERNS if words in flat), "ssh_dropped")
