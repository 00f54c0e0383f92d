# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables that compose files and the test script are given (design: script environment)."""

from __future__ import annotations

import re

from ..deploy import placement
from .cell import Cell


def case_variables(cell: Cell) -> dict[str, str]:
    """Return the variables that say which run, case and attempt this is, and the case's labels."""
    ref = cell.case.ref
    labels = {
        "TESTCELL_LABEL_" + re.sub(r"[^A-Za-z0-9]", "_", key).upper(): value for key, value in cell.case.labels.items()
    }
    return {
        **cell.plan.environment,
        "SCENARIO_NAME": ref.scenario,
        "TESTCELL_RUN_ID": cell.plan.run_id,
        "TESTCELL_CASE": ref.case,
        "TESTCELL_ATTEMPT": str(ref.attempt),
        **labels,
    }


def for_compose(cell: Cell) -> dict[str, str]:
    """Return the variables for Compose on the node of this cell."""
    addresses = placement.compose_addresses(cell.node, cell.case.services, cell.plan.addresses)
    return {**case_variables(cell), **addresses}


def for_test(cell: Cell, case_folder: str) -> dict[str, str]:
    """Return the variables for the test script; case_folder: absolute path of the case on the test node."""
    test = cell.case.test
    addresses = placement.host_addresses(cell.node, cell.case.placement, cell.plan.addresses)
    paths = ":".join(f"{case_folder}/work/{plain_part(path)}".rstrip("/") for path in test.result_paths)
    variables = {
        **case_variables(cell),
        **addresses,
        **test.environment,
        "SCENARIO_PATH": f"{case_folder}/scenario",
        "SCENARIO_RESULT_PATH": paths,
        "TESTCELL_LOAD": f"{case_folder}/bin/testcell-load",
        "TESTCELL_PACE": f"{case_folder}/bin/testcell-pace",
    }
    url = base_url(cell)
    return {**variables, "TESTCELL_BASE_URL": url} if url else variables


def plain_part(path: str) -> str:
    """Return a result path up to its first wildcard: the folder into which the script writes what a pattern means."""
    match = re.search(r"[*?\[]", path)
    return path[: path.rfind("/", 0, match.start()) + 1] if match else path


def base_url(cell: Cell) -> str:
    """Return the address of the service that answers requests, seen from the test node; "" when none is named."""
    test = cell.case.test
    if not test.service:
        return ""
    node = cell.case.placement[test.service]
    host = "127.0.0.1" if node == test.node else cell.plan.addresses[node]
    return f"http://{f'[{host}]' if ':' in host else host}:{test.port}"
