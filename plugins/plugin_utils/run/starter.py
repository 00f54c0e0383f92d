# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run ends with the command that has started it, also where that was killed and could tell nobody.

Ansible takes no notice when its terminal is gone. It would go on unseen and hold the nodes, or wait for ever for a thread
of its own that died when it could show nothing.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Mapping

# The process that starts Ansible and wants this gives its number here.
VARIABLE = "TESTCELL_STARTER"
PR_SET_PDEATHSIG = 1


def end_with(environ: Mapping[str, str]) -> None:
    """Have the kernel send SIGTERM to this process when its starter is gone, where one has said that it wants this."""
    number = environ.get(VARIABLE, "")
    if not number.isdigit():
        return
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is None:
        return
    prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(number):  # it was gone before the kernel was asked
        os.kill(os.getpid(), signal.SIGTERM)
