# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the records of a load go while it runs. A book of everything: each request is kept, and each figure is exact."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from .files import RequestLog
from .stats import lateness
from .summary import figures

if TYPE_CHECKING:
    from .config import LoadConfig
    from .loop import Load


class Book(Protocol):
    """Keeps what a load measures. Used as a context: its files are whole when that has ended."""

    def keep(self, record: dict[str, Any]) -> None:
        """Take the record of a request that has ended."""

    def note_lag(self, lag_ms: float) -> None:
        """Take by how much the client woke up too late."""

    def attend(self, load: Load) -> Coroutine[Any, Any, None]:
        """Note that the load begins; return what is to be done beside it until it ends."""

    def figures(self) -> dict[str, Any]:
        """Return the figures of summary.figures."""

    def lag(self) -> dict[str, float] | None:
        """Return how late the client woke up: p50, p95 and max in ms."""

    def files(self) -> dict[str, Any]:
        """Return what a reader needs to prove that it has the whole files."""

    def soak_facts(self, load: Load) -> dict[str, Any] | None:
        """Return what is true of a soak only, None for any other load."""

    def __enter__(self) -> Book: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class WholeBook:
    """The book of a load that ends by itself after a known number of requests or a short time."""

    def __init__(self, folder: Path, config: LoadConfig) -> None:
        self._log = RequestLog(folder)
        self._goodput = config["goodput"]
        self._records: list[dict[str, Any]] = []
        self._lags_ms: list[float] = []

    def keep(self, record: dict[str, Any]) -> None:
        """Write the record and keep it."""
        self._log.append(record)
        self._records.append(record)

    def note_lag(self, lag_ms: float) -> None:
        """Keep a late wake-up."""
        self._lags_ms.append(lag_ms)

    async def attend(self, load: Load) -> None:
        """Have nothing to do: each record is written as it comes."""

    def figures(self) -> dict[str, Any]:
        """Return the figures of all records."""
        return figures(self._records, self._goodput)

    def lag(self) -> dict[str, float] | None:
        """Return how late the client woke up."""
        return lateness(self._lags_ms)

    def files(self) -> dict[str, Any]:
        """Return lines and digest of requests.jsonl."""
        return {"requests": self._log.facts()}

    def soak_facts(self, load: Load) -> None:
        """Return None: this is no soak."""

    def __enter__(self) -> WholeBook:
        self._log.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.__exit__(kind, value, trace)
