# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once


"""`classify`: what went wrong, by the text of a log or by many messages, one JSON line each."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from enum import Enum
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from testcell.cli import output
from testcell.cli.errors import CliError
from testcell.cli.output import Line, Part, Table
from testcell.cli.settings import Format, FormatOption, OutputOption, Settings, of
from testcell.exits import Exit

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify.decide import Result
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify.rules import Rules

    # The number of a line, from 1, and what it says.
    Numbered = tuple[int, Result]

STDIN = "-"
PIECE_BYTES = 1 << 20
HEAD_BYTES = 1 << 16
PROJECT_RULES = "config/classify_rules.yml"


class Reading(str, Enum):
    """What the input is."""

    auto = "auto"
    log = "log"
    lines = "lines"


def classify(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="[FILE|-]", help="The text; `-` is standard input.")] = STDIN,
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", metavar="FILE", help="Rules that come before ours; may be repeated. "
                     "[default: config/classify_rules.yml of the project, where it is there]"),
    ] = None,
    reading: Annotated[
        Reading,
        typer.Option("--input", help="Whether the text is one log, or has a JSON object with a `text` on each line."),
    ] = Reading.auto,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:  # fmt: skip
    """Say what went wrong: error kind, whether a retry can help, who has to act, and the lines that show it."""
    settings = of(ctx, form, target)
    known = _rules(settings, rules)
    with ExitStack() as opened:
        stream = _open(ctx, file, opened)
        head = stream.readline(HEAD_BYTES).removeprefix(codecs.BOM_UTF8)
        if reading is Reading.lines or (reading is Reading.auto and _is_lines(head)):
            _tell(settings, _each(chain([head], iter(partial(stream.readline), b"")), known, file))
        else:
            _tell(settings, [(1, _whole(chain([head], iter(partial(stream.read, PIECE_BYTES), b"")), known))])


def _rules(settings: Settings, files: list[Path] | None) -> Rules:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify import rules
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError

    try:
        return rules.load(files or _of_project(settings))
    except InputError as exc:
        problems = [problem.as_dict() for problem in exc.problems]
        raise CliError(str(exc), Exit.INVALID_INPUT, problems=problems) from None


def _of_project(settings: Settings) -> list[Path]:
    """Return the rules of the project; without a project there are none."""
    try:
        found = settings.project().root / PROJECT_RULES
    except CliError:
        return []
    return [found] if found.exists() else []


def _open(ctx: typer.Context, file: str, opened: ExitStack) -> BinaryIO:
    if file == STDIN:
        return sys.stdin.buffer
    path = Path(file)
    if not path.exists():
        ctx.fail(f"Invalid value for '[FILE|-]': {file!r} does not exist.")
    if path.is_dir():
        ctx.fail(f"Invalid value for '[FILE|-]': {file!r} is a directory; name a file.")
    return opened.enter_context(path.open("rb"))


def _is_lines(head: bytes) -> bool:
    """Tell whether a first line begins an object with a text, also one that is broken further on."""
    return head.lstrip().startswith(b"{") and b'"text"' in head


def _whole(pieces: Iterable[bytes], known: Rules) -> Result:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify import decide, stream

    scanner = stream.Scanner(known)
    for piece in pieces:
        scanner.feed(piece)
    return decide.decide(scanner.finish())


def _each(lines: Iterable[bytes], known: Rules, file: str) -> Iterator[Numbered]:
    """Yield the number of each line that is not empty, and what it says."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify import decide

    for number, line in enumerate(lines, 1):
        if line.strip():
            yield number, decide.classify(_text(line, number, file), rules=known)


def _text(line: bytes, number: int, file: str) -> str:
    """Return the text of a JSON line; CliError names line and column of what is wrong."""
    name = "standard input" if file == STDIN else file

    def wrong(column: int, message: str) -> CliError:
        return CliError(f"{name}:{number}:{column}: {message}", Exit.INVALID_INPUT)

    try:
        entry = json.loads(line.decode())
    except UnicodeDecodeError as exc:
        raise wrong(exc.start + 1, "is no UTF-8") from None
    except json.JSONDecodeError as exc:
        raise wrong(exc.pos + 1, f"is no JSON: {exc.msg}") from None
    except (ValueError, RecursionError) as exc:  # numbers with thousands of digits, and a thousand brackets
        raise wrong(1, f"is no JSON that can be read: {exc}") from None
    if not isinstance(entry, dict):
        raise wrong(1, "is no object; wanted: an object with the key `text`")
    if not isinstance(entry.get("text"), str):
        has = "is no string" if "text" in entry else "is missing"
        raise wrong(max(1, line.find(b'"text"') + 1), f"text {has}")
    return str(entry["text"])


def _tell(settings: Settings, results: Iterable[Numbered]) -> None:
    """Write each result as soon as it is known, or all of them as a table."""
    if settings.form == Format.json.value:
        lines = (json.dumps(_document(result), ensure_ascii=False) + "\n" for _, result in results)
        if settings.target is not None:
            return output.write_new(settings.target, lines)
        for line in lines:
            output.write_pieces([line])
        return None
    found = list(results)
    return settings.emit([_document(result) for _, result in found], _human(found))


def _document(result: Result) -> dict[str, Any]:
    """Return a result as a program reads it; what is not known of the place is left out."""
    always = ("error_kind", "retriable", "owner", "evidence", "rule")
    return {key: value for key, value in result.as_dict().items() if key in always or value}


def _human(results: list[Numbered]) -> Callable[[], list[Part]]:
    def parts() -> list[Part]:
        if len(results) == 1:
            return _one(results[0][1])
        rows = [
            (str(number), one.error_kind, "yes" if one.retriable else "no", one.owner, one.rule, _first(one))
            for number, one in results
        ]
        unknown = sum(one.error_kind == "unknown" for _, one in results)
        note = f"{unknown} of {len(results)} unknown" if results else "nothing to classify"
        return [Table(("line", "error_kind", "retry", "owner", "rule", "evidence"), rows, note=note)]

    return parts


def _one(result: Result) -> list[Part]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.escape import one_line

    rows = [
        ("error_kind", result.error_kind),
        ("retry", "can help" if result.retriable else "cannot help"),
        ("owner", result.owner),
        ("node", result.node),
        ("service", result.service),
        ("rule", result.rule),
        ("next", result.hint),
    ]
    table = Table(("what", "value"), [row for row in rows if row[1]])
    return [table, *(Line(f"  | {one_line(line)}") for line in result.evidence)]


def _first(result: Result) -> str:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.report.escape import one_line

    return one_line(result.evidence[0])[:100] if result.evidence else ""
