# SPDX-License-Identifier: MIT

"""What ends a command early: an exit code, a message, and the next step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import typer

from testcell.exits import Exit


class CliError(Exception):
    """A command cannot go on. hint: what to do about it; problems: the same as objects, for JSON."""

    def __init__(
        self, message: str, code: int = Exit.INFRASTRUCTURE, *, hint: str = "", problems: Sequence[dict[str, Any]] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint
        self.problems = tuple(problems)

    def as_dict(self) -> dict[str, Any]:
        """Return the error as plain JSON types."""
        return {
            "ok": False,
            "exit_code": int(self.code),
            "error": self.message,
            "hint": self.hint or None,
            "problems": list(self.problems),
        }


def usage(ctx: typer.Context, message: str) -> NoReturn:
    """End the command with its usage line, the message, and exit code 2."""
    ctx.fail(message)
    raise AssertionError("Context.fail raises")
