# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that TESTCELL_PACE names: it lets a script's processes send requests at the rate that a server takes."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from .hints import OVERLOADED, retry_after_s
from .keep import Keep, KeepError
from .rule import Pace
from .settings import Settings, settings_of
from .turn import NoTurnError, wait_for_turn

EXIT_USAGE, EXIT_STATE, EXIT_NO_TURN = 2, 3, 75  # 75: "try again later" of sysexits.h
DEFAULT_KEY = "default"
STATE, SETTINGS = "../work/.testcell-pace.json", "pace.json"
REFUSALS = (*map(str, OVERLOADED), "overloaded")
KEY = re.compile(r"[A-Za-z0-9._:/@-]{1,128}", re.ASCII)
MAX_WAIT_S = 600.0
EPILOG = f"""exit status: 0, of `run` the command's own; {EXIT_USAGE} wrong usage, {EXIT_STATE} the shared state cannot be used,
{EXIT_NO_TURN} no turn within --max-wait, or the server asks for a longer wait or refuses everything"""


def main(place: str, argv: Sequence[str]) -> int:
    """Do what the command line says and return the exit status. place: the folder of the launcher."""
    args = _parser().parse_args(argv)
    try:
        settings = _settings(os.path.join(place, SETTINGS))
        keep = Keep(os.path.join(place, STATE), settings)
        status: int = args.do(args, keep, settings)
        return status
    except NoTurnError as exc:
        return _complain(EXIT_NO_TURN, str(exc))
    except (KeepError, OSError) as exc:
        return _complain(EXIT_STATE, str(exc))


def take(args: argparse.Namespace, keep: Keep, _settings: Settings) -> int:
    """Wait for the next turn."""
    wait_for_turn(keep, args.key, args.max_wait)
    return 0


def tell(args: argparse.Namespace, keep: Keep, _settings: Settings) -> int:
    """Note how a request ended."""
    asked = None if args.retry_after is None else retry_after_s(args.retry_after, time.time())
    with keep.pace(args.key) as pace:
        if args.status in REFUSALS:
            pace.refused(time.monotonic(), random.random(), asked)
        elif args.status != "000":  # curl's word for no answer at all
            pace.taken(time.monotonic())
    return 0


def run(args: argparse.Namespace, keep: Keep, _settings: Settings) -> int:
    """Run a command at its turn, again while it is refused."""
    from . import commanded  # noqa: PLC0415 - what it needs would take half of the start of `take`

    return commanded.at_its_turn(args.command, args.status, keep, args.key, args.max_wait)


def show(args: argparse.Namespace, keep: Keep, settings: Settings) -> int:
    """Print what is known of one key or of all, as JSON."""
    known = {key: facts(pace) for key, pace in keep.all().items()}
    document: Any = known if args.key is None else known.get(args.key)
    print(json.dumps({"settings": settings.as_dict(), "keys": known} if args.key is None else document, indent=2))
    return 0


def facts(pace: Pace) -> dict[str, Any]:
    """Return the course of a rate as plain JSON values; rate null: nothing has been refused yet."""
    state = pace.state
    return {
        "rate": None if state.rate is None else round(state.rate, 3),
        "requests": state.requests,
        "attempts": state.attempts,
        "refused": state.refused,
        "retries": state.retries,
        "waited_s": round(state.waited_s, 3),
        "decreases": state.cuts,
        "series": [{"t_s": t, "rate": rate} for t, rate in state.series],
    }


def _settings(path: str) -> Settings:
    """Return the settings that the scenario gives, else the defaults; the load client's own check has seen them."""
    try:
        with open(path, encoding="utf-8") as stream:
            value = json.load(stream)
    except FileNotFoundError:
        value = None
    return settings_of(value) or Settings()


def _complain(status: int, text: str) -> int:
    print(f"testcell-pace: {text}", file=sys.stderr)
    return status


def _parser() -> argparse.ArgumentParser:
    purpose = "Send requests no faster than a server takes them; many processes share one rate."
    parser = argparse.ArgumentParser(prog="testcell-pace", description=purpose, epilog=EPILOG)
    words = parser.add_subparsers(metavar="WORD", required=True)
    _word(words, "take", take, "wait for the next turn", wait=True)
    told = _word(words, "tell", tell, "say how a request ended")
    told.add_argument("status", type=_status, metavar="STATUS", help="an HTTP status, 000 for none, ok, or overloaded")
    told.add_argument("--retry-after", metavar="WHEN", help="what the server asked for: seconds, or a date of HTTP")
    ran = _word(words, "run", run, "run a command at its turn, again while it says that it was refused", wait=True)
    ran.add_argument("--status", type=int, action="append", default=[], help="an exit status that means overload")
    ran.add_argument("command", nargs="+", metavar="COMMAND", help="the command and its arguments, after --")
    shown = _word(words, "show", show, "print what is known, as JSON")
    shown.set_defaults(key=None)
    return parser


def _word(words: Any, name: str, do: Callable[..., int], about: str, wait: bool = False) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = words.add_parser(name, help=about, description=about)
    parser.set_defaults(do=do)
    parser.add_argument(
        "--key", type=_key, default=DEFAULT_KEY, metavar="KEY", help="which rate; requests of one key share one"
    )
    if wait:
        parser.add_argument("--max-wait", type=_seconds, default=MAX_WAIT_S, metavar="S", help="seconds, default 600")
    return parser


def _key(text: str) -> str:
    if not KEY.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no key: 1 to 128 of A-Z a-z 0-9 . _ : / @ -")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 to 86400")
    return seconds


def _status(text: str) -> str:
    if text in ("ok", "overloaded", "000") or re.fullmatch(r"[1-5]\d\d", text, re.ASCII):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is no status: 100 to 599, 000, ok, overloaded")
