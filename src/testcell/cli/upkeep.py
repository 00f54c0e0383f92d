# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""`incomplete`, `maintain`, `retest` and `monitor`: which cases need what, and having it done."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from testcell.cli import extra, inputs, memory, output, upkeep_screen
from testcell.cli.errors import CliError, usage
from testcell.cli.output import Line, Part, Table
from testcell.cli.settings import (
    FormatOption,
    InventoryOption,
    OutputOption,
    ResultsDirOption,
    Settings,
    of,
    results_dir,
)
from testcell.exits import Exit, of_signal

if TYPE_CHECKING:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.store import Store
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.survey import Scope, Survey
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory.upkeep_config import Config

    from testcell.inventory import Inventory
    from testcell.upkeep import Done

INTERVAL_S = 3600
LabelsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[LABELS]...", help="Only cases with LABEL=VALUE, or with a value, scenario or name."),
]
ModelsOption = Annotated[
    list[str] | None, typer.Option("--models", metavar="MODEL,...", help="Only these models; may be repeated.")
]
ThresholdOption = Annotated[
    float | None,
    typer.Option("--completion-threshold", min=0, max=1, help="Completion asked for. [default: 0.8, or as configured]"),
]
AutoOption = Annotated[bool, typer.Option("--auto-maintain", help="Only cases that failed or got no answer.")]
IncrementalOption = Annotated[bool, typer.Option("--incremental-retest", help="Only cases that are missing.")]


@dataclass(frozen=True)
class Desk:
    """What maintenance works with: the database, the configuration, the scenarios and the nodes."""

    settings: Settings
    store: Store
    config: Config
    found: Inventory
    results: Path
    wanted: tuple[str, ...]

    def look(self) -> Survey:
        """Return what there is to see now."""
        from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import survey

        catalog = inputs.scenarios(self.settings.project(), self.wanted)
        nodes = self.found.names or ["local"]
        return survey.survey(self.store, self.config, catalog.scenarios, catalog.unreadable, nodes)

    def check(self, scope: Scope) -> None:
        """Refuse models and labels that no case has, exit code 2: a round for a misspelled one would do nothing each time."""
        if scope.chooses:
            seen = self.look()
            inputs.checked(lambda: seen.check(scope))


@contextmanager
def desk(
    settings: Settings,
    where: Path | None,
    inventory: Sequence[str] | None,
    threshold: float | None = None,
    *,
    without_nodes: bool = False,
) -> Iterator[Desk]:
    """Give all that maintenance works with; wrong configuration is a CliError with exit code 3.

    without_nodes: where no inventory can be read, only the controller is known as a node.
    """
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import survey, upkeep_config

    from testcell import inventory as inventories

    project = settings.project()
    config = inputs.checked(lambda: upkeep_config.load(upkeep_config.find(project.root)))
    try:
        found = inputs.inventory(lambda: inventories.read(project, inventory or ()))
    except CliError:
        if not without_nodes:
            raise
        found = inventories.Inventory((), ())
    with memory.opened(settings, where) as store:
        yield Desk(
            settings,
            store,
            survey.with_threshold(config, threshold),
            found,
            results_dir(settings, where),
            tuple(inventory or ()),
        )


def incomplete(
    ctx: typer.Context,
    labels: LabelsArgument = None,
    inventory: InventoryOption = None,
    where: ResultsDirOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Say which cases have not simply passed: since when, how often, whose fault, and what is next."""
    settings = of(ctx, form, target)
    with desk(settings, where, inventory, without_nodes=not inventory) as work:
        seen = work.look()
        found = _chosen(ctx, lambda: seen.incomplete(_choice(labels)))
    decided = {decision.case.id: decision for decision in seen.decisions}
    document = [upkeep_screen.case_document(case, what, decided.get(case.id)) for case, what in found]
    settings.emit(document, lambda: [upkeep_screen.incomplete(seen, found), *upkeep_screen.notices(seen.notices)])


def maintain(
    ctx: typer.Context,
    labels: LabelsArgument = None,
    auto: AutoOption = False,
    incremental: IncrementalOption = False,
    threshold: ThresholdOption = None,
    models: ModelsOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, and why.")] = False,
    inventory: InventoryOption = None,
    where: ResultsDirOption = None,
    variables: extra.ExtraOption = None,
    form: FormatOption = None,
    target: OutputOption = None,
) -> None:
    """Run again what can be helped, and nothing else."""
    settings = of(ctx, form, target)
    given = extra.parse(ctx, variables)
    scope = _scope(labels, auto, incremental, models)
    with desk(settings, where, inventory, threshold) as work:
        work.check(scope)
        if dry_run:
            _show_decisions(settings, work.look(), scope)
            return
        document, code = one_round(work, scope, given, "maintain")
    settings.emit(document, lambda: _page(document))
    raise typer.Exit(code)


def retest(
    ctx: typer.Context,
    labels: LabelsArgument = None,
    threshold: ThresholdOption = None,
    script: Annotated[
        Path | None, typer.Option("--script", metavar="FILE", help="The script. [default: auto_retest_incomplete.sh]")
    ] = None,
    inventory: InventoryOption = None,
    where: ResultsDirOption = None,
    form: FormatOption = None,
) -> None:
    """Write a script that runs what is incomplete and can be helped."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import batches, survey

    settings = of(ctx, form)
    path = (script or Path(batches.SCRIPT)).absolute()
    with desk(settings, where, inventory, threshold) as work:
        seen = work.look()
        _chosen(ctx, lambda: seen.incomplete(_choice(labels)))
        wanted = survey.decisions_of(seen, _scope(labels, False, False, None))
        found = batches.split(wanted, work.config.auto_retest.batch_size)
        options = [*_inventory_words(work.found), "--results-dir", str(work.results)]
    _write_script(path, batches.script(found, str(settings.project().root), options, _program()), batches.MARK)
    count = sum(map(len, found))
    document = {"script": str(path), "runs": len(found), "cases": count}
    next_step = str(path) if count else "testcell incomplete"
    settings.emit(document, lambda: [f"{path} runs {count} case(s) in {len(found)} run(s); next: {next_step}"])


def monitor(
    ctx: typer.Context,
    interval: Annotated[int, typer.Option("--interval", min=1, max=604_800, metavar="SECONDS")] = INTERVAL_S,
    rounds: Annotated[int, typer.Option("--rounds", min=0, help="End after so many rounds; 0 goes on.")] = 0,
    threshold: ThresholdOption = None,
    models: ModelsOption = None,
    inventory: InventoryOption = None,
    where: ResultsDirOption = None,
    variables: extra.ExtraOption = None,
    form: FormatOption = None,
) -> None:
    """Maintain every hour, until it is asked to end."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import rounds as remembered

    from testcell import upkeep_watch

    settings = of(ctx, form)
    given, scope, stop = extra.parse(ctx, variables), _scope(None, False, False, models), upkeep_watch.Stop()
    began: list[float] = []

    def once() -> bool:
        with desk(settings, where, inventory, threshold) as work:
            work.check(scope)
            began.append(time.time())
            document, code = one_round(work, scope, given, remembered.MONITOR, stop)
        for line in document["notices"]:
            output.note(line)
        _note(f"round over, code {code}: {document['report']}")
        if code in (Exit.INTERRUPTED, Exit.TERMINATED, Exit.HANGUP):
            stop.ask(code - 128)
        return True

    def last() -> float | None:
        with memory.opened(settings, where) as store:
            found = remembered.last(store, remembered.MONITOR)
        return None if found is None else found.started_at

    def kept(work: Callable[[], Any]) -> Any:
        """Return what work does; what is in its way is told, and ends a monitor only before its first round."""
        try:
            return work()
        except CliError as exc:
            if not began:
                raise
            _note(
                "; ".join(
                    ["no round: " + exc.message, *([exc.hint] if exc.hint else []), f"tried again within {interval} s"]
                )
            )
            return None

    with stop.on_signals():
        upkeep_watch.watch(
            lambda: bool(kept(once)),
            lambda: kept(last),
            interval_s=interval,
            rounds=rounds,
            clock=time.time,
            stop=stop,
            wait=stop.wait,
        )
    if stop.signal:
        raise typer.Exit(of_signal(stop.signal))


def _note(text: str) -> None:
    output.note(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}")


def one_round(
    work: Desk, scope: Scope, overrides: Mapping[str, str], sort: str, stop: Callable[[], bool] = lambda: False
) -> tuple[dict[str, Any], int]:
    """Carry out a round, write its report and return that with the exit code; CliError with code 6 where another goes on."""
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import rounds

    from testcell import upkeep
    from testcell.cli.upkeep_runs import Runs

    try:
        with rounds.alone(work.store):
            number = rounds.begin(work.store, sort)
            began = work.store.clock()
            runner = Runs(work.settings, work.found, work.results, overrides)
            done = upkeep.maintain(work.store, number, work.look, scope, runner, stop=stop)
            code = _code(done)
            document = _report(work, scope, done, began, code)
            path = _write_report(work.results, document, began)
            state = rounds.INTERRUPTED if done.interrupted or stop() else rounds.DONE
            rounds.end(work.store, number, state, str(path))
    except rounds.BusyError as exc:
        raise CliError(str(exc), Exit.LEASE_HELD) from None
    return {**document, "report": str(path)}, code


def _code(done: Done) -> int:
    """Return the exit code of a round: the signal that ended it, else what kept runs from their end, else the thresholds."""
    if done.interrupted:
        return done.interrupted
    broken = [run.code for run in done.runs if run.code not in (Exit.PASS, Exit.TEST_FAILED, Exit.NO_DATA)]
    if broken:
        return max(broken)
    return Exit.NO_DATA if done.after.missed() else Exit.PASS


def _report(work: Desk, scope: Scope, done: Done, began: float, code: int) -> dict[str, Any]:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import survey

    return {
        "schema_version": 1,
        "started_at": began,
        "ended_at": work.store.clock(),
        "exit_code": int(code),
        "configuration": work.config.file or None,
        "scope": {"models": list(scope.models), "sorts": list(scope.sorts)},
        "before": survey.as_document(done.before),
        "after": survey.as_document(done.after),
        "missed": [dict(group.labels) for group in done.after.missed()],
        "notices": list(done.after.notices),
        **done.as_dict(),
        "decisions": [decision.as_dict() for decision in survey.decisions_of(done.after, scope)],
    }


def _write_report(results: Path, document: Mapping[str, Any], began: float) -> Path:
    """Write the report of a round as a new file beside the runs and return its path."""
    stamp = time.strftime("%Y%m%d_%H%M%S", time.localtime(began))
    for number in range(1, 1000):
        path = results / f"auto_maintenance_report_{stamp}{'' if number == 1 else f'_{number}'}.json"
        if not os.path.lexists(path):
            _write_whole(path, json.dumps(document, indent=1, ensure_ascii=False), 0o666)
            return path
    raise CliError(f"a thousand reports are named {stamp} already in {results}")


def _write_script(path: Path, text: str, mark: str) -> None:
    """Write a script that can be run; a file that is no such script of ours is left alone."""
    known = path.is_file() and not path.is_symlink() and mark in path.read_text(errors="replace")[:200]
    if os.path.lexists(path) and not known:
        raise CliError(
            f"{path} exists, and is no script of `testcell retest`; name another one with --script", Exit.USAGE
        )
    _write_whole(path, text, 0o777)


def _write_whole(path: Path, text: str, mode: int) -> None:
    """Write a file that has its name when it is whole; CliError where that cannot be done, and what was there stays."""
    begun = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
        os.rename(begun, path)
    except OSError as exc:
        raise CliError(f"{path}: cannot be written: {exc.strerror}") from None
    finally:
        with suppress(OSError):
            begun.unlink(missing_ok=True)


def _program() -> str:
    """Return the `testcell` beside the Python that runs this, or the one on the path where there is none."""
    path = Path(sys.executable).with_name("testcell")
    return str(path) if os.access(path, os.X_OK) else path.name


def _inventory_words(found: Inventory) -> list[str]:
    return [word for source in found.sources for word in ("-i", source)]


def _scope(labels: Sequence[str] | None, auto: bool, incremental: bool, models: Sequence[str] | None) -> Scope:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import survey

    found = survey.scope(auto, incremental, models or (), _choice(labels))
    if models and not found.models:
        raise CliError("--models names no model; name one, or leave the option out for all", Exit.USAGE)
    return found


def _choice(labels: Sequence[str] | None) -> Any:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import choice

    return choice.parse(labels or ())


def _chosen(ctx: typer.Context, load: Callable[[], Any]) -> Any:
    try:
        return inputs.checked(load)
    except CliError as exc:
        usage(ctx, exc.message)


def _show_decisions(settings: Settings, seen: Survey, scope: Scope) -> None:
    from ansible_collections.enginelab.testcell.plugins.plugin_utils.memory import survey

    wanted = survey.decisions_of(seen, scope)
    if not seen.config.auto_retest.enabled:
        output.note(f"{seen.config.file}: auto_retest.enabled is false, so that none of this is run")
    document = [decision.as_dict() for decision in wanted]
    settings.emit(document, lambda: [upkeep_screen.decisions(wanted), *upkeep_screen.notices(seen.notices)])


def _page(document: Mapping[str, Any]) -> list[Part]:
    left = [one for one in document["decisions"] if one["action"] not in ("leave",)]
    rows = [(_title(one), one["action"], one["reason"]) for one in left]
    parts: list[Part] = [Table(("case", "next", "why"), rows[: upkeep_screen.MOST_ROWS])] if rows else []
    if document["stopped"]:
        parts.append(Line(f"stopped: {document['stopped']}", "yellow"))
    parts += [
        Line(f"missed: {', '.join(f'{k} {v or chr(45)}' for k, v in one.items())}", "yellow")
        for one in document["missed"]
    ]
    parts += upkeep_screen.notices(document["notices"])
    refused = [one for one in document["runs"] if one["said"]]
    parts += [Line(f"run {one['run_id']} did not begin: {one['said'].splitlines()[0]}", "yellow") for one in refused]
    made = len(document["runs"]) - len(refused)
    counts = f"{len(document['reruns'])} case(s) run again in {made} run(s), {len(document['set_aside'])} set aside"
    return [*parts, counts, f"report: {document['report']}"]


def _title(one: Mapping[str, Any]) -> str:
    return f"{one['scenario']}/{one['case']}" if one["case"] else str(one["scenario"])
