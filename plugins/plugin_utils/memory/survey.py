# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One look at everything: what is wanted, what there is, what is the matter with it, and what is to be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..scenario.model import Scenario
from . import analysis, choice, queries, wanted
from .analysis import Group
from .choice import Choice
from .decisions import Decision, decide, diagnoses
from .diagnosis import Diagnosis
from .facts import Case, Facts
from .notices import notices
from .store import Store
from .surroundings import surroundings
from .upkeep_config import Config

FAILED, MISSING = "failed", "missing"


@dataclass(frozen=True)
class Scope:
    """What of the decisions is wanted. models: of the label `model`, () for all; sorts: of FAILED and MISSING."""

    models: tuple[str, ...] = ()
    sorts: tuple[str, ...] = (FAILED, MISSING)
    labels: Choice = field(default_factory=lambda: Choice({}))

    @property
    def chooses(self) -> bool:
        """Return whether models or labels are named."""
        return bool(self.models or self.labels.labels or self.labels.words)

    def takes(self, decision: Decision) -> bool:
        """Return whether a decision is wanted."""
        model = decision.case.labels.get("model", "")
        return (
            decision.sort in self.sorts
            and (not self.models or model in self.models)
            and self.labels.takes(decision.case)
        )


def scope(auto: bool, incremental: bool, models: Sequence[str], labels: Choice | None = None) -> Scope:
    """Return what of the decisions is wanted. auto: what failed; incremental: what is missing; both or none is all of it.

    models: comma lists.
    """
    sorts = (FAILED, MISSING) if auto == incremental else (FAILED,) if auto else (MISSING,)
    named = tuple(name.strip() for text in models for name in text.split(",") if name.strip())
    return Scope(named, sorts, labels or Choice({}))


@dataclass(frozen=True)
class Survey:
    """What was seen. found: each case with what is the matter with it; decisions: the most important first.

    notices: what a person is told besides, a line each.
    """

    facts: Facts
    config: Config
    found: Sequence[tuple[Case, Diagnosis]]
    decisions: Sequence[Decision]
    notices: Sequence[str] = ()

    def groups(self, by: Sequence[str] = ()) -> list[Group]:
        """Return the cases grouped by labels, by the model unless others are given; the worst first."""
        return analysis.groups(self.found, by or analysis.by_default(self.facts.cases), self.facts.now)

    def labels(self) -> list[str]:
        """Return what cases can be grouped by, sorted."""
        return sorted({analysis.SCENARIO, analysis.CASE}.union(*(case.labels for case in self.facts.cases)))

    def incomplete(self, labels: Choice) -> list[tuple[Case, Diagnosis]]:
        """Return the cases that have not simply passed; InputError when nothing goes by the labels."""
        meant = {case.id for case in choice.chosen(self.facts.cases, labels)}
        return [
            (case, what) for case, what in self.found if case.id in meant and what.state not in ("passing", "retired")
        ]

    def check(self, scope: Scope) -> None:
        """Raise InputError for a model that no case has, and for labels that no case goes by."""
        for model in scope.models:
            choice.chosen(self.facts.cases, Choice({analysis.DEFAULT_BY[0]: (model,)}))
        choice.chosen(self.facts.cases, scope.labels)

    def missed(self) -> list[Group]:
        """Return the groups of models that miss a threshold: less complete than is asked for, or failing more."""
        missing = ("low_completion", "high_failure")
        return [group for group in self.groups() if any(name in group.patterns(self.config) for name in missing)]


def survey(
    store: Store, config: Config, scenarios: Sequence[Scenario], broken: Sequence[str], nodes: Sequence[str]
) -> Survey:
    """Take up new runs and what the scenarios want now, and return all that there is to see.

    broken: scenarios that cannot be read; nodes: those that cases may be given.
    """
    store.sync()
    sources = queries.Sources(wanted.note(store, scenarios, broken), tuple(nodes))
    with store.read() as connection:
        facts = queries.facts(connection, config, store.clock(), sources)
    around = surroundings(facts.cases, facts.nodes)
    found = diagnoses(facts, around)
    return Survey(facts, config, found, decide(facts, config, found), notices(facts, around, broken))


def with_threshold(config: Config, completion: float | None) -> Config:
    """Return the configuration with another completion that is asked for, where one is given."""
    if completion is None:
        return config
    return replace(config, auto_retest=replace(config.auto_retest, minimum_completion_rate=completion))


def decisions_of(seen: Survey, scope: Scope) -> list[Decision]:
    """Return the decisions that are wanted, the most important first."""
    return [decision for decision in seen.decisions if scope.takes(decision)]


def as_document(seen: Survey, by: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the groups as plain JSON types."""
    return [group.as_dict(seen.config) for group in seen.groups(by)]
