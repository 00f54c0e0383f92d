# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Ansible knows of hosts, as plain values that the domain can take."""

from __future__ import annotations

import json
from typing import Any

CONNECTION_VARIABLES = (
    "ansible_host",
    "ansible_port",
    "ansible_user",
    "ansible_connection",
    "testcell_address",
    "testcell_enabled",
)


def plain(value: Any) -> Any:
    """Return value without what Ansible hangs on it, as JSON would carry it; data is never templated here."""
    return json.loads(json.dumps(value, default=str))


def hosts(task_vars: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the connection variables of every host in inventory order."""
    hostvars = task_vars["hostvars"]
    return {
        str(name): {key: plain(hostvars[name][key]) for key in CONNECTION_VARIABLES if key in hostvars[name]}
        for name in task_vars["groups"]["all"]
    }
