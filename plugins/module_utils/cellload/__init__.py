# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The load client: sends timed requests to an OpenAI-compatible server and writes what it measured.

Standard library only, packed as a zip and run by the node's own Python.
"""

NAME = "cellload"
VERSION = "1.0.0"
