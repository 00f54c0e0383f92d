# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of verdicts, for whoever reads one and decides none."""

from __future__ import annotations

VERDICTS = ("pass", "fail", "invalid", "no_data", "flaky", "error", "cancelled", "skipped")
