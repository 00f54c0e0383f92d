# SPDX-License-Identifier: MIT

"""The reference pages name what the program has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from ansible_collections.enginelab.testcell.plugins.plugin_utils.report import case_files, metrics, reasons, tables

from testcell import exits, project
from testcell.cli.app import app

DOCS = project.package_root() / "docs" / "reference"


def commands(group: Any, path: str = "testcell") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_described(name: str) -> None:
    text = (DOCS / "cli.md").read_text()
    assert f"`{name}" in text
    for parameter in COMMANDS[name].params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            assert not option.startswith("--") or f"`{option}" in text or f" {option}" in text, option


def test_every_exit_code_is_described() -> None:
    text = (DOCS / "cli.md").read_text()
    for code, meaning in exits.MEANINGS.items():
        assert f"| {int(code)} | {meaning} |" in text


def test_every_file_column_and_verdict_is_described() -> None:
    text = (DOCS / "results.md").read_text()
    for name in (*case_files.METADATA, *case_files.RESULT, *metrics.headline(None), *reasons.MEANING):
        assert name in text
    assert ",".join(tables.PERFORMANCE_COLUMNS) in text and ",".join(tables.TIMELINE_COLUMNS) in text
