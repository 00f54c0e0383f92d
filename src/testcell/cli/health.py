# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""`health`: how the nodes are and what goes on there, once or again and again."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testcell import exits, scratch
from testcell.cli import execution, extra, health_screen, inputs, jobs, numbered, output
from testcell.cli.errors import usage
from testcell.cli.settings import FormatOption, InventoryOption, OutputOption, Settings, StrictCommand, of
from testcell.exits import Exit
from testcell.process import silence

if TYPE_CHECKING:
    from testcell.inventory import Inventory
    from testcell.runner import Outcome

INTERVAL_S = 5
LONGEST_S = 3600
GRACE_S = 3.0
# ansible-playbook ends with these when every play came to its end, though perhaps not for every node.
PLAYED = (0, 2, 4)
Document = dict[str, Any]


class HealthCommand(StrictCommand):
    """A command whose option --watch may stand without its number."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, with the number that --watch stands for where none was given."""
        return super().parse_args(ctx, with_interval(args))


def with_interval(args: Sequence[str]) -> list[str]:
    """Return the arguments with a number behind each --watch."""
    return numbered.with_number(args, "--watch", INTERVAL_S)


@dataclass(frozen=True)
class Question:
    """What the nodes are asked. names: those that must answer; scenarios: what they are held against.

    within_s: time for an answer, 0 for what `health` gives.
    """

    found: Inventory
    names: tuple[str, ...]
    scenarios: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    within_s: int = 0

    def ask(self, settings: Settings, folder: Path, interval_s: int, rounds: int) -> Outcome:
        """Let Ansible ask every node, the answers to go to a folder; rounds 0 is without end."""
        scenario = {"scenario": ",".join(self.scenarios)} if self.scenarios else {}
        pace = {"health_folder": str(folder), "health_interval_s": interval_s, "health_rounds": rounds}
        limit = {"health_within_s": self.within_s} if self.within_s else {}
        work = jobs.Work(settings.project(), self.found, verbose=settings.verbose, grace_s=GRACE_S)
        return work.do("health", {**self.variables, **scenario, **pace, **limit})


def health(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SCENARIO", help="Hold the nodes against what these need.")
    ] = None,
    watch: Annotated[
        int | None,
        typer.Option(
            min=1, max=LONGEST_S, metavar="[SECONDS]", help=f"Ask again and again, every {INTERVAL_S} s by default."
        ),
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="With --watch: end after so many rounds.")] = None,
    sources: InventoryOption = None,
    variables: extra.ExtraOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Say how every node is and what goes on there.

    All nodes are asked at the same time. Nothing is changed on them, and a run that goes on is not disturbed.
    """
    settings = of(ctx, form, target)
    if rounds is not None and watch is None:
        usage(ctx, "--rounds belongs to --watch.")
    if target is not None and watch is not None:
        usage(ctx, "--output takes one answer, and --watch gives many; let the shell write them to a file.")
    given = extra.parse(ctx, variables)
    question = _question(settings, inventory(settings, sources), names or (), given)
    if watch is None:
        once(settings, question)
    else:
        again(settings, question, watch, rounds or 0)


def inventory(settings: Settings, wanted: Sequence[str] | None) -> Inventory:
    """Return the nodes of the wanted inventories, with their warnings said."""
    from testcell import inventory as inventories

    found = inputs.inventory(lambda: inventories.load(settings.project(), wanted or ()))
    for warning in found.warnings:
        output.note(warning)
    return found


def _question(settings: Settings, found: Inventory, names: Sequence[str], given: dict[str, str]) -> Question:
    scenarios, used = _resolved(settings, found, names, given) if names else ((), ())
    everybody = dict.fromkeys([*found.names, *(["local"] if jobs.needs_local(used, found) else [])])
    return Question(found, tuple(everybody), scenarios, extra.as_variables(given))


def _resolved(
    settings: Settings, found: Inventory, names: Sequence[str], given: dict[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return scenarios and the nodes that they use, found here as the playbook finds them, so that wrong names cost no time."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import opening

    asked = inputs.asked(
        settings.project(), found, given, reach=False, scenario=",".join(names), forks=len(found.nodes) + 1
    )
    plan = inputs.checked(lambda: opening.decide(asked, settings.project().root, time.time(), ""))
    scenarios = dict.fromkeys(case.ref.scenario for case in plan.cases)
    return tuple(scenarios), tuple(dict.fromkeys(node for case in plan.cases for node in case.nodes))


def once(settings: Settings, question: Question) -> None:
    """Ask once and show the answer; exit code 5 when a node cannot work."""
    answer = asked(settings, question)
    settings.emit(answer, lambda: health_screen.page(answer))
    _end(answer)


def asked(settings: Settings, question: Question) -> Document:
    """Ask once and return the answer, in which a silent node is told of, too."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.health import document, latest

    from testcell.health_rounds import Rounds

    with scratch.brief_folder() as place:
        outcome = question.ask(settings, place, INTERVAL_S, 1)
        heard = latest.Reader(place).read()
    _refuse(outcome, answered=bool(heard))
    now, why = time.time(), {failed.host: failed.message for failed in outcome.failures}
    nodes = Rounds(question.names, INTERVAL_S).take(heard, now, over=True, why=why) or []
    return document.of_round(1, now, nodes, question.scenarios)


def again(settings: Settings, question: Question, interval_s: int, rounds: int) -> None:
    """Ask again and again and show every round; the exit code is that of the last one, or of the signal that ended it."""
    from testcell.health_rounds import Rounds
    from testcell.health_watch import Follower

    screen = health_screen.screen(settings.form, interval_s)
    with scratch.brief_folder() as place:
        pace = Rounds(question.names, interval_s)
        follower = Follower(place, pace, question.scenarios, screen.show, enough=rounds)
        try:
            with follower:
                outcome = question.ask(settings, place, interval_s, 0)
        finally:
            _close(screen)
    _refuse(outcome, answered=follower.last is not None)
    _end(follower.last or {})


def _close(screen: health_screen.Screen) -> None:
    try:
        screen.close()
    except OSError:  # the terminal has gone
        silence(sys.stdout)  # type: ignore[arg-type]  # the standard streams have a descriptor


def _refuse(outcome: Outcome, *, answered: bool) -> None:
    """End the command where the asking was ended from outside, or nothing was asked at all."""
    if outcome.signal:
        raise typer.Exit(exits.of_signal(outcome.signal))
    if outcome.rc not in PLAYED or (outcome.rc != 0 and not answered):
        raise execution.explain(outcome)


def _end(answer: Mapping[str, Any]) -> None:
    if answer.get("ok") is False:
        raise typer.Exit(Exit.INFRASTRUCTURE)
