# SPDX-License-Identifier: MIT

"""Follows the answers of nodes while Ansible asks them, and shows each round as soon as it is whole."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import UnsupportedOperation
from pathlib import Path
from types import TracebackType
from typing import Any

from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import document, latest

from testcell.health_rounds import Rounds

LOOK_S = 0.1
JOIN_S = 5.0
Document = dict[str, Any]


class Follower:
    """Shows rounds from a folder of answers in a thread of its own.

    Once enough rounds are shown, where nobody reads any more, or where a round cannot be shown, it takes the folder
    away, which ends the asking. enough: how many rounds are shown, 0 is without end.
    """

    def __init__(
        self,
        folder: Path,
        rounds: Rounds,
        scenarios: Sequence[str],
        show: Callable[[Document], None],
        enough: int = 0,
    ) -> None:
        self.last: Document | None = None
        self._enough = enough
        self._folder = folder
        self._reader = latest.Reader(folder)
        self._rounds = rounds
        self._scenarios = scenarios
        self._show = show
        self._shown = 0
        self._fault: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="health", daemon=True)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(JOIN_S)
        if self._fault is not None and kind is None:
            raise self._fault

    def _follow(self) -> None:
        try:
            while not (self._is_enough() or self._stop.wait(LOOK_S)):
                self._turn(over=False)
            if not self._is_enough():
                self._turn(over=True)
        except OSError:  # the terminal or the reader of the pipe has gone
            _let_go_of_output()
        except Exception as exc:  # raised again where the command waits for its end
            self._fault = exc
        self._end_asking()

    def _is_enough(self) -> bool:
        return 0 < self._enough <= self._shown

    def _end_asking(self) -> None:
        """Take the folder away as a whole: an answer that comes while it is emptied would keep it, and the asking."""
        with suppress(OSError):
            shutil.rmtree(self._folder.rename(f"{self._folder}.read"), ignore_errors=True)

    def _turn(self, *, over: bool) -> None:
        now = time.time()
        heard = self._reader.read()
        nodes = self._rounds.take(heard, now, over=over) if heard else None
        if nodes is not None:
            self._shown += 1
            self.last = document.of_round(self._shown, now, nodes, self._scenarios)
            self._show(self.last)


def _let_go_of_output() -> None:
    """Turn standard output to nowhere: Python would write what is left of it once more at its end, and fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(UnsupportedOperation):  # an output that is no file holds nothing back
        os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
