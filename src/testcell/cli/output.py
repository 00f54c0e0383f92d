# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""How answers leave a command: tables for people, JSON and YAML for programs, to the screen or to a file."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from testcell.cli.errors import CliError
from testcell.exits import Exit
from testcell.process import silence

if TYPE_CHECKING:
    from rich.console import Console, Group, RenderableType

FORMATS = ("table", "json", "yaml")
# What stands for a file name in an error of standard output.
ANSWER = "the answer"
STYLES = {
    "pass": "green",
    "ok": "green",
    "ready": "green",
    "yes": "green",
    "fail": "red",
    "failed": "red",
    "error": "red",
    "invalid": "yellow",
    "no_data": "yellow",
    "flaky": "yellow",
    "warning": "yellow",
    "unhealthy": "red",
    "healthy": "green",
    "restarting": "yellow",
    "exited": "yellow",
    "running": "cyan",
    "starting": "cyan",
}


@dataclass(frozen=True)
class Table:
    """Rows for people. note: a line below the table, for instance when it is empty."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    note: str = ""
    right: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Line:
    """One line for people; style is used on a terminal only."""

    text: str
    style: str = ""


Part = Table | Line | str
Human = Callable[[], Sequence[Part]]


def is_terminal(stream: TextIO) -> bool:
    """Decide whether a stream shows a terminal that can move its cursor."""
    try:
        return stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    except ValueError:  # closed
        return False


def emit(document: Any, human: Human, *, form: str, target: Path | None = None) -> None:
    """Write the answer of a command: the document as JSON or YAML, or what human makes of it."""
    if target is not None:
        write_new(target, [as_text(document, human, form)])
    elif form == "table" and is_terminal(sys.stdout):
        _show(human())
    else:
        write_pieces([as_text(document, human, form)])


def as_text(document: Any, human: Human, form: str) -> str:
    """Return the answer of a command as it stands in a file."""
    return _plain(human()) if form == "table" else _document(document, form)


def drawn(parts: Sequence[Part]) -> Group:
    """Return parts as a terminal shows them, in one piece."""
    from rich.console import Group

    return Group(*(piece for part in parts for piece in _pieces(part)))


def write(stream: TextIO, text: str) -> None:
    """Write text at once; a reader that has gone away is no failure of the command."""
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        silence(stream)  # type: ignore[arg-type]  # the standard streams have a descriptor


def write_pieces(pieces: Iterable[str]) -> None:
    """Write an answer of any length; it ends where its reader has gone away. OSError where the rest is lost, as on a full disk."""
    try:
        for piece in pieces:
            sys.stdout.write(piece)
        sys.stdout.flush()
    except BrokenPipeError:
        silence(sys.stdout)  # type: ignore[arg-type]  # the standard streams have a descriptor
    except OSError as exc:
        silence(sys.stdout)  # type: ignore[arg-type]
        raise OSError(exc.errno, exc.strerror, ANSWER) from None


def note(text: str) -> None:
    """Write one line for the person at the terminal, beside the answer."""
    write(sys.stderr, f"{text}\n")


def console(*, stderr: bool = False) -> Console:
    """Return a console for terminals; it honours NO_COLOR."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def refuse_target(path: Path) -> str:
    """Return why an answer cannot be written to path, "" when it can: it must be new, in a folder that exists."""
    if path.is_dir():
        return f"{path} is a directory; name a file"
    if path.exists() or path.is_symlink():
        return f"{path} exists; name a new file"
    if not path.parent.is_dir():
        return f"{path.parent} is no directory"
    return "" if os.access(path.parent, os.W_OK) else f"{path.parent} cannot be written to"


def _document(document: Any, form: str) -> str:
    if form == "json":
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"
    import yaml

    plain = json.loads(json.dumps(document, default=str))
    return str(yaml.safe_dump(plain, allow_unicode=True, sort_keys=False, width=120))


def write_new(path: Path, pieces: Iterable[str]) -> None:
    """Write text to a new file, which has its name when it is whole; CliError where that cannot be done, and nothing stays."""
    begun = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with begun.open("x", encoding="utf-8", errors="backslashreplace") as stream:
            stream.writelines(pieces)
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.rename(begun, path)  # no link, which not every file system has
    except OSError as exc:
        raise CliError(f"--output {path}: cannot be written: {exc.strerror}", Exit.USAGE) from None
    finally:
        begun.unlink(missing_ok=True)


def _plain(parts: Sequence[Part]) -> str:
    return "".join(_plain_table(part) if isinstance(part, Table) else f"{_line(part).text}\n" for part in parts)


def _line(part: Line | str) -> Line:
    return Line(part) if isinstance(part, str) else part


def _plain_table(table: Table) -> str:
    lines = [f"{table.title}"] if table.title else []
    if table.rows:
        cells = [[str(cell) for cell in row] for row in (table.columns, *table.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(table.columns))]
        right = [name in table.right for name in table.columns]
        lines += ["  ".join(map(_padded, row, widths, right)).rstrip() for row in cells]
    if table.note:
        lines.append(table.note)
    return "".join(f"{line}\n" for line in lines)


def _padded(cell: str, width: int, right: bool) -> str:
    return cell.rjust(width) if right else cell.ljust(width)


def _show(parts: Sequence[Part]) -> None:
    screen = console()
    try:
        for part in parts:
            for piece in _pieces(part):
                screen.print(piece, soft_wrap=not isinstance(part, Table))
    except OSError:
        silence(sys.stdout)  # type: ignore[arg-type]


def _pieces(part: Part) -> list[RenderableType]:
    from rich.text import Text

    if isinstance(part, Table):
        return _table_pieces(part)
    line = _line(part)
    return [Text(line.text, style=line.style)]


def _table_pieces(table: Table) -> list[RenderableType]:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    pieces: list[RenderableType] = []
    if table.rows:
        grid = RichTable(box=box.SIMPLE_HEAD, title=table.title or None, title_justify="left", title_style="bold")
        for name in table.columns:
            grid.add_column(name, justify="right" if name in table.right else "left", overflow="fold")
        for row in table.rows:
            grid.add_row(*(Text(str(cell), style=STYLES.get(str(cell), "")) for cell in row))
        pieces.append(grid)
    elif table.title:
        pieces.append(Text(table.title, style="bold"))
    if table.note:
        pieces.append(Text(table.note, style="dim"))
    return pieces
