# SPDX-License-Identifier: MIT


"""Variables given with -e: playbook variables and settings that beat every layer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import typer

from testcell.cli.errors import usage

ExtraOption = Annotated[
    list[str] | None,
    typer.Option(
        "--extra", "-e", metavar="KEY=VALUE", help="A setting (test_execution.timeout=600) or variable; repeatable."
    ),
]
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
# Given by options of their own, or decided by the command.
RESERVED = {
    "scenario": "give the names as arguments",
    "scenario_tags": "use --tags",
    "skip_tags_scenarios": "use --skip-tags",
    "cases": "use --case",
    "avoid_nodes": "use --limit '!NODE'",
    "results_dir": "use --results-dir",
    "dry_run": "use --dry-run",
    "testcell_run_id": "it is decided by the run",
    "testcell_project_dir": "use --project",
}


def parse(ctx: typer.Context, pairs: Sequence[str] | None) -> dict[str, str]:
    """Return the variables by name; a pair of another form, twice the same name or a reserved one is wrong usage."""
    found: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not NAME.fullmatch(name):
            usage(ctx, f"-e {pair!r} is not of the form KEY=VALUE; files of settings belong in config/defaults.yaml.")
        if name in RESERVED:
            usage(ctx, f"-e {name}: {RESERVED[name]}.")
        if name in found:
            usage(ctx, f"-e {name} was given twice.")
        found[name] = value
    return found


def as_variables(settings: dict[str, str]) -> dict[str, str]:
    """Return settings under names that Ansible takes: `test_execution.timeout` is `testcell_test_execution_timeout`."""
    return {f"testcell_{name.replace('.', '_')}" if "." in name else name: value for name, value in settings.items()}
