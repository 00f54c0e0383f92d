# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The secret values of a case that the controller knows; what a container has in its environment the node knows itself."""

from __future__ import annotations

from pathlib import Path

from ...module_utils.cellnode import known
from ..run.plan import CasePlan, RunPlan

ENV_FILES = (".env", "*.env")


def values(plan: RunPlan, case: CasePlan) -> tuple[str, ...]:
    """Return the secret values that the caller gave, that the test is given, and of the scenario's `.env` files."""
    found = [*known.of_environment(plan.environment), *known.of_environment(case.test.environment)]
    for path in env_files(Path(case.directory)):
        found += known.of_env_file(path.read_text(encoding="utf-8", errors="surrogateescape"))
    return tuple(dict.fromkeys(found))


def env_files(directory: Path) -> list[Path]:
    """Return the scenario's files of variables."""
    return sorted({path for pattern in ENV_FILES for path in directory.rglob(pattern) if path.is_file()})
