# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings files home by the way that fits: over the run's link, by a stream of their own, by whole commands, or as copies.

What is small comes over the link together with what else is asked, since a new connection costs more than that. The rest
comes as one stream over a connection of its own; where there can be none, by one command after another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...module_utils.cellnode import frames
from ..node.client import Asked, NodeClient
from ..node.errors import NodeError
from . import figures
from .errors import ArtifactError
from .policy import Failure, Pace, Policy, Tries
from .transfer import Fetched, Transfer

OP = "send"
# Bytes of contents over the link: about what goes over it in the time that a new connection takes.
LINK_BYTES = 4 << 20
# Bytes of contents in one command, whose whole output is held in memory, as text.
COMMAND_BYTES = 8 << 20


@dataclass
class Brought:
    """What came. answers: results of the ops asked for first, None for one that failed; fetched: one for each transfer.

    failures: in the order in which they count; the transfers that failed are partial.
    """

    answers: list[dict[str, Any] | None] = field(default_factory=list)
    fetched: list[Fetched] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)


class Bringing:
    """Brings the transfers of one node. first: ops that are done before, in the same exchange.

    clock: seconds of any beginning.
    """

    def __init__(
        self,
        client: NodeClient,
        policy: Policy,
        pace: Pace = Pace(),  # noqa: B008 - it holds no state
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._policy, self._clock = client, policy, clock
        self._tries = Tries(policy, pace)
        self._seconds = 0.0

    def bring(self, transfers: Sequence[Transfer], first: Sequence[tuple[str, dict[str, Any]]] = ()) -> Brought:
        """Return what came. A transfer that fails does no harm to the others; none of the failures is raised."""
        brought = Brought()
        try:
            self._all(transfers, first, brought)
        finally:
            for transfer in transfers:
                transfer.close()
        sums = [transfer.figures for transfer in transfers]
        brought.report = figures.report(sums, self._tries.again, self._seconds, self._policy.integrity)
        return brought

    def _all(
        self, transfers: Sequence[Transfer], first: Sequence[tuple[str, dict[str, Any]]], brought: Brought
    ) -> None:
        if first or self._client.line is not None:
            try:
                brought.answers = self._together(transfers, first, brought.failures)
            except (NodeError, ArtifactError) as exc:
                brought.failures.append(exc)
                brought.fetched = [transfer.keep() for transfer in transfers]
                return
        self._seconds = sum(transfer.figures.seconds for transfer in transfers)
        began = self._clock()
        for transfer in transfers:
            brought.fetched.append(self._completed(transfer, brought.failures))
        self._seconds += self._clock() - began

    def _together(
        self, transfers: Sequence[Transfer], first: Sequence[tuple[str, dict[str, Any]]], failures: list[Failure]
    ) -> list[dict[str, Any] | None]:
        """Ask for all at once; what each transfer lacks then is for later. A connection that is lost is tried again."""
        while True:
            asked = [Asked(op, args) for op, args in first]
            asked += [self._asked(transfer, self._line_carrier(), LINK_BYTES) for transfer in transfers]
            try:
                messages = self._client.exchange(asked)
                break
            except NodeError as exc:
                self._broken(transfers, exc)
        for transfer, message in zip(transfers, messages[len(first) :], strict=True):
            self._settle(transfer, message)
        return [self._answer(message, failures) for message in messages[: len(first)]]

    def _completed(self, transfer: Transfer, failures: list[Failure]) -> Fetched:
        """Return what came of a transfer once all that can be had is here."""
        try:
            while not transfer.done:
                if transfer.fault:
                    self._broken([transfer], transfer.fault)
                try:
                    self._carry(transfer)
                except (NodeError, ArtifactError, OSError) as exc:
                    transfer.fault = exc
            return transfer.put_in_place()
        except (NodeError, ArtifactError, OSError) as exc:
            failures.append(exc)
            return transfer.keep()

    def _carry(self, transfer: Transfer) -> None:
        """Take in one stream."""
        if self._client.streamed is None:
            asked = self._asked(transfer, figures.COMMANDS, COMMAND_BYTES)
            self._settle(transfer, self._client.exchange([asked])[0])
            return
        carrier = figures.COPY if self._client.same_machine else figures.STREAM
        args = transfer.begin(carrier, None)
        self._client.stream(OP, args, frames.MAGIC, transfer, self._policy.silence_s)
        transfer.end()

    def _line_carrier(self) -> str:
        if self._client.same_machine:
            return figures.COPY
        return figures.COMMANDS if self._client.line is None else figures.LINK

    def _asked(self, transfer: Transfer, carrier: str, at_most: int) -> Asked:
        args = transfer.begin(carrier, None if carrier == figures.COPY else at_most)
        return Asked(OP, args, transfer.hear, self._policy.silence_s)

    def _settle(self, transfer: Transfer, message: dict[str, Any]) -> None:
        """End a stream that came as events; its fault is kept for later."""
        try:
            self._client.result(message)
            transfer.end()
        except (NodeError, ArtifactError, OSError) as exc:
            transfer.fault = transfer.fault or exc

    def _answer(self, message: dict[str, Any], failures: list[Failure]) -> dict[str, Any] | None:
        try:
            return self._client.result(message)
        except NodeError as exc:
            failures.append(exc)
            return None

    def _broken(self, transfers: Sequence[Transfer], failure: Failure) -> None:
        """Hold what has come, and return when it is time to try again; raise where there is no other try."""
        for transfer in transfers:
            transfer.break_off(failure)
        self._tries.failed(failure)
        if isinstance(failure, NodeError):
            self._client.reconnect()
