# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The unit under which the test runs on its node: its name there, and the states that the supervisor tells of it."""

from __future__ import annotations

UNIT = "test"
# Note of the case that the unit was started.
BEGUN = "begun"
GOING = ("starting", "running")
# Ended by itself or by its own limit, which is a result; the other ends are none.
OWN_END = ("exited", "timed_out")
ENDED = (*OWN_END, "killed", "lost")
