# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ssh is told for every connection of a run: to share none with anybody, and to end when the node is silent."""

from __future__ import annotations

# A shared connection outlives its run, and serves a key that the node would refuse by now. -S beats every
# ControlPath, and without one no other setting shares anything.
ALONE = ("-S", "none")
# A silent node is noticed after 8 s and tried once more for 5 s, which is less than the 15 s that noticing may take.
LIMITS = ("-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=3", "-o", "ConnectTimeout=5")
# What a host's own variables call it.
CHECKING_KEYS = ("ansible_host_key_checking", "ansible_ssh_host_key_checking")


def arguments(given: str | None) -> str:
    """Return ssh_args with ours behind them. ssh takes the first value of an option: limits of the user's own count."""
    return " ".join([*([given] if given else []), *ALONE, *LIMITS])
