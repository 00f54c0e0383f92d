# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ssh is told for every connection of a run: to share none with anybody, and to end when the node is silent."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

# A shared connection outlives its run, and serves a key that the node would refuse by now. -S beats every
# ControlPath, and without one no other setting shares anything.
ALONE = ("-S", "none")
# A silent node is noticed after 8 s and tried once more for 5 s, which is less than the 15 s that noticing may take.
LIMITS = ("-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=3", "-o", "ConnectTimeout=5")
# What a host's own variables call it.
CHECKING_KEYS = ("ansible_host_key_checking", "ansible_ssh_host_key_checking")
# Twice as fast as what ssh takes by itself; all others stay allowed behind it.
FAST = "aes128-gcm@openssh.com"
FAST_CIPHER = ("-o", f"Ciphers=^{FAST}")
# A stream is compressed where that pays, which ssh cannot tell.
UNCOMPRESSED = ("-o", "Compression=no")
NO_FILES = ("-F", "none")
_ANSWER_WITHIN_S = 5

SshSettings = Mapping[str, str]


def arguments(given: str | None) -> str:
    """Return ssh_args with ours behind them. ssh takes the first value of an option: limits of the user's own count."""
    return " ".join([*([given] if given else []), *ALONE, *LIMITS])


def ask_ssh(words: Sequence[str]) -> SshSettings:
    """Return the settings that ssh would use with these arguments, {} when it cannot say; nothing is contacted."""
    try:
        done = subprocess.run(
            ["ssh", "-G", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    lines = done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else []
    return {key: value for key, _, value in (line.partition(" ") for line in lines)}


def uncompressed(options: Sequence[str]) -> list[str]:
    """Return options without `-C`, which Ansible gives by itself and which beats every setting of the same wherever it stands.

    It makes a stream of what cannot be compressed ten times slower.
    """
    return [option for option in options if option != "-C"]


def for_a_stream(
    options: Sequence[str], host: str, ask: Callable[[Sequence[str]], SshSettings] = ask_ssh
) -> tuple[str, ...]:
    """Return the options for a connection that carries much, to stand behind the given ones.

    The fast cipher is asked for only where this ssh knows it and neither user nor system has chosen ciphers.
    """
    with ThreadPoolExecutor(2) as pool:
        said = pool.map(ask, ((*options, host), (*NO_FILES, host)))
    chosen, by_itself = (settings.get("ciphers", "") for settings in said)
    fast = chosen == by_itself and FAST in by_itself.split(",")
    return (*UNCOMPRESSED, *(FAST_CIPHER if fast else ()))
