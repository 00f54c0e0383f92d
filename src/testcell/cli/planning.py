# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""The plan of a run, made here as the playbook makes it, so that wrong input is named before Ansible starts."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import typer

from testcell.cli import execution, inputs
from testcell.cli.errors import CliError, usage
from testcell.cli.settings import Settings
from testcell.exits import Exit

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.plan import RunPlan

    from testcell.inventory import Inventory


def decide(
    ctx: typer.Context,
    settings: Settings,
    request: execution.Request,
    found: Inventory,
    *,
    limit: str = "",
    dry_run: bool = False,
) -> RunPlan:
    """Return the plan of what is asked for; CliError with all that is wrong. dry_run: whether ssh would get in is not asked."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.deploy import placement
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import opening
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run.inventory import Scope

    kept = frozenset(name for name in (*found.names, placement.LOCAL) if name not in request.excluded)
    asked = inputs.asked(
        settings.project(),
        found,
        request.overrides,
        reach=not dry_run,
        scenario=request.scenario,
        tags=request.tags,
        skip_tags=request.skip_tags,
        cases=request.cases,
        soak_profile=request.soak_profile,
        results_dir=str(request.results_dir),
        scope=Scope(limit, kept) if limit else None,
        forks=len(found.nodes) + 1,
    )
    try:
        return inputs.checked(lambda: opening.decide(asked, settings.project().root, time.time(), _owner()))
    except CliError as exc:
        if exc.code == Exit.USAGE and settings.form == "table":
            usage(ctx, exc.message)
        raise


def show(settings: Settings, plan: RunPlan) -> None:
    """Show a plan."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import view

    data: dict[str, Any] = view.as_data(plan)
    settings.emit(data, lambda: [view.as_text(plan)])


def _owner() -> str:
    return f"{os.environ.get('USER') or os.getuid()}@{os.uname().nodename}:{os.getpid()}"
