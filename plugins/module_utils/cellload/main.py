# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line of the load client: `python3 -I -S -E cellload.pyz --config FILE --out FOLDER`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from . import NAME, VERSION
from .book import Book, WholeBook
from .client import Client, tls_context
from .config import SOAK_VARIABLE, LoadConfig, load
from .errors import ConfigError, ConfigProblem
from .files import prepare, write_benchmark
from .loop import Load
from .report import Circumstances, build
from .request import headline
from .screen import SHOWN_ERRORS, Progress, table
from .soak import SoakBook

EXIT_RAN, EXIT_NOTHING_COMPLETED, EXIT_CONFIG, EXIT_OUTPUT = 0, 1, 2, 3
EPILOG = """exit status: 0 the benchmark ran, 1 no request completed, 2 bad configuration, 3 output not written,
130/143 stopped by a signal"""


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run one load and return the exit status."""
    environ = os.environ if environ is None else environ
    args = _parser().parse_args(argv)
    folder = _folder(args.out, environ)
    try:
        config = load(Path(args.config), environ, args.set, args.soak_s)
        context = _tls(config, args.config)
        prepare(folder)
        return Session(config, folder, args.quiet).run(context)
    except ConfigError as exc:
        print(exc, file=sys.stderr)
        return EXIT_CONFIG
    except OSError as exc:
        print(f"cannot write to {folder}: {exc.strerror or exc}", file=sys.stderr)
        return EXIT_OUTPUT


def _parser() -> argparse.ArgumentParser:
    purpose = "Load an OpenAI-compatible server and measure it."
    parser = argparse.ArgumentParser(prog=NAME, description=purpose, epilog=EPILOG)
    parser.add_argument("--config", required=True, metavar="FILE", help="test_config.json")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where benchmark.json and requests.jsonl go")
    set_help = "replace a key of the file; may be repeated"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=set_help)
    soak_help = (
        f"go on for N seconds in bounded memory and files, whatever num_prompts says; else {SOAK_VARIABLE} says it"
    )
    parser.add_argument("--soak", default="", dest="soak_s", metavar="N", help=soak_help)
    parser.add_argument("--quiet", action="store_true", help="no progress lines")
    parser.add_argument("--version", action="version", version=f"{NAME} {VERSION}")
    return parser


def _folder(out: str, environ: Mapping[str, str]) -> Path:
    """Return the output folder; SCENARIO_RESULT_PATH may name several, and the first one is meant."""
    several = out == environ.get("SCENARIO_RESULT_PATH") and os.pathsep in out
    return Path(out.split(os.pathsep, maxsplit=1)[0] if several else out)


def _tls(config: LoadConfig, file: str) -> Any:
    try:
        return tls_context(config.target, config["tls_verify"], config["ca_file"])
    except OSError as exc:  # ssl.SSLError is one
        problem = ConfigProblem(file, "ca_file", f"cannot be used: {exc.strerror or exc}", config["ca_file"])
        raise ConfigError([problem]) from exc


class Session:
    """One run of the load client: what it prints, what it writes and how it reacts to signals."""

    def __init__(self, config: LoadConfig, folder: Path, quiet: bool) -> None:
        self._config = config
        self._folder = folder
        self._progress = Progress(config.wanted, (lambda line: None) if quiet else _say)
        self._failures: list[str] = []
        self._signal: str | None = None

    def run(self, context: Any) -> int:
        """Send the load, write the files and return the exit status."""
        config = self._config
        _raise_file_limit()
        _say(f"{NAME} {VERSION}: {_plan(config)}")
        client = Client(config.target, time.monotonic, config["keep_alive"], config["allowed_hosts"], context)
        started, wall, cpu = time.time(), time.monotonic(), time.process_time()
        with self._book() as book:
            load_ = Load(
                config,
                client,
                lambda record: self._keep(record, book, load_),
                time.monotonic,
                book.note_lag,
                book.attend,
            )
            asyncio.run(self._until_done(load_))
        around = Circumstances(started, time.process_time() - cpu, time.monotonic() - wall, self._signal)
        result = build(config, load_, book, around)
        write_benchmark(self._folder, result)
        _say(table(result, self._failures))
        return self._status(result["achieved"]["completed"])

    def _book(self) -> Book:
        return (WholeBook if self._config.soak_s is None else SoakBook)(self._folder, self._config)

    async def _until_done(self, load_: Load) -> None:
        task = asyncio.ensure_future(load_.run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop, task, number)
        gc.collect()
        gc.freeze()  # what exists now stays: the collector need not walk it while requests are timed
        try:
            await task
        except asyncio.CancelledError:
            if self._signal is None:
                raise
        finally:
            gc.unfreeze()

    def _stop(self, task: asyncio.Task[None], number: signal.Signals) -> None:
        self._signal = number.name
        task.cancel()

    def _keep(self, record: dict[str, Any], book: Book, load_: Load) -> None:
        book.keep(record)
        if not record["ok"] and len(self._failures) < SHOWN_ERRORS:
            self._failures.append(headline(record))
        self._progress.note(record, load_.now(), load_.in_flight)

    def _status(self, completed: int) -> int:
        if self._signal:
            return 128 + signal.Signals[self._signal]
        return EXIT_RAN if completed else EXIT_NOTHING_COMPLETED


def _plan(config: LoadConfig) -> str:
    """Return the load in words."""
    amount = f"requests for {config.seconds} s" if config.wanted is None else f"requests: {config.wanted}"
    pace = f"{config.max_concurrency} at a time"
    if config.open_loop:
        pace = f"{config['request_rate']:g} per second ({config['arrivals']})"
    pace += ", at the rate that the server takes" if config["adaptive_rate"] is not False else ""
    size = f"about {config['prompt_tokens']} prompt tokens, at most {config['max_tokens']} output tokens"
    return f"{amount}, {pace}, to {config.target.url} ({config['api']}), {size}"


def _raise_file_limit() -> None:
    """Allow as many open connections as the system grants this user."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _say(text: str) -> None:
    """Print a line; a log that takes none, as its disk is full, is no reason to end a load."""
    with suppress(OSError):
        print(text.encode("ascii", "backslashreplace").decode(), flush=True)
