# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""From arguments to an exit code: every error becomes a message and a code of ours here."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typer import Abort, TyperException

from testcell import process, project
from testcell.cli import output
from testcell.cli.errors import CliError
from testcell.exits import Exit, of_signal

SIGINT = 2


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    for warning in process.prepare(project.package_root()):
        output.note(f"testcell: {warning}")
    from testcell.cli.app import app
    from testcell.cli.settings import State

    state = State()
    try:
        code = app(args=list(arguments), prog_name="testcell", standalone_mode=False, obj=state)
        return int(code) if isinstance(code, int) else Exit.PASS
    except CliError as exc:
        return report(exc, state.settings.form)
    except TyperException as exc:
        return _usage(exc)
    except (Abort, KeyboardInterrupt):
        return of_signal(SIGINT)
    except OSError as exc:
        logging.getLogger(__name__).debug("the command ended early", exc_info=exc)
        where = f": {exc.filename}" if exc.filename else ""
        form = "table" if exc.filename == output.ANSWER else state.settings.form  # what is full takes no error either
        return report(CliError(f"{exc.strerror or exc}{where}"), form)
    except Exception as exc:  # an exit code of Python's own would say that a test had failed
        return report(_internal(exc), state.settings.form)


def report(error: CliError, form: str) -> int:
    """Show an error, as JSON or YAML where that was asked for, and return its exit code."""
    if form == "table":
        for problem in error.message.splitlines():
            output.note(problem)
        if error.hint:
            output.note(f"next: {error.hint}")
    else:
        output.write(sys.stdout, output.as_text(error.as_dict(), list, form))
    return int(error.code)


def _internal(error: Exception) -> CliError:
    """Return the error for a fault of ours: what and where in one line; the rest is logged for --log-level debug."""
    logging.getLogger(__name__).debug("the command ended early", exc_info=error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return CliError(f"internal error: {type(error).__name__}: {error} ({where})", Exit.INFRASTRUCTURE,
                    hint="`testcell --log-level debug ...` shows how it came to this; please report it")  # fmt: skip


def _usage(error: TyperException) -> int:
    context: Any = getattr(error, "ctx", None)
    message = error.format_message()
    if context is not None and message != context.get_help():
        output.note(context.get_usage())
        output.note(f"Try '{context.command_path} --help' for help.\n")
        message = f"Error: {message}"
    output.write(sys.stderr, f"{message}\n")
    return int(error.exit_code)
