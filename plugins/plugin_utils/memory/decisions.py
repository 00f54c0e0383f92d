# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be done about each case that has not simply passed: run it again, elsewhere, wait, set it aside, or ask a person.

A rerun must be able to help: what cannot be retried is left to a person unless its cause is gone, a failure of the engine is
run again once to be confirmed, and a pass that comes of it is flaky. Nothing here knows of files, processes or databases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from . import policies
from .clusters import Cluster, Clusters, clusters
from .diagnosis import Diagnosis, diagnose
from .facts import NOT_TRIED, Attempt, Case, Facts
from .intervals import Rate
from .sickness import broken_nodes
from .surroundings import Surroundings, surroundings
from .upkeep_config import Config

ACTIONS = ("rerun", "rerun_elsewhere", "wait", "quarantine", "leave", "needs_person")
RERUNS = ("rerun", "rerun_elsewhere")
PRIORITIES = {1: "priority model", 2: "severe failures", 3: "failures", 4: "missing"}
MODEL = "model"
# In these states a failure of the engine stands, whatever came after it.
STANDING = ("regression", "failing", "flaky")


@dataclass(frozen=True)
class Decision:
    """What to do about one case. priority: a key of PRIORITIES. delay_s: until it may be run, for `wait`.

    avoid: nodes to leave out. kind: of what is wrong: `failed` or `missing`. held: waits for others that fail alike or for the
    budget, and not for its time.
    """

    case: Case
    action: str
    reason: str
    priority: int
    delay_s: float = 0.0
    avoid: tuple[str, ...] = ()
    sort: str = "failed"
    state: str = ""
    held: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the decision as plain JSON types."""
        return {
            "scenario": self.case.scenario,
            "case": self.case.name,
            "labels": dict(self.case.labels),
            "action": self.action,
            "reason": self.reason,
            "priority": self.priority,
            "delay_s": round(self.delay_s, 1),
            "avoid": list(self.avoid),
            "sort": self.sort,
            "state": self.state,
        }


@dataclass(frozen=True)
class Known:
    """What the rules look at besides a case. groups: model -> completion and failure rate; usable: nodes that may be used."""

    facts: Facts
    config: Config
    broken: Mapping[str, float]
    groups: Mapping[str, tuple[Rate, Rate]]
    alike: Clusters
    usable: tuple[str, ...]


def diagnoses(facts: Facts, around: Surroundings | None = None) -> list[tuple[Case, Diagnosis]]:
    """Return each case with what is the matter with it. around: as `surroundings`."""
    around = surroundings(facts.cases, facts.nodes) if around is None else around
    return [(case, diagnose(case, around)) for case in facts.cases]


def decide(facts: Facts, config: Config, found: Sequence[tuple[Case, Diagnosis]] | None = None) -> list[Decision]:
    """Return what to do about each case that has not simply passed, the most important first. found: as `diagnoses`."""
    found = diagnoses(facts) if found is None else found
    known = Known(
        facts,
        config,
        broken_nodes(facts.nodes),
        _groups(found),
        clusters(found, facts.fresh_from),
        tuple(name for name, node in facts.nodes.items() if node.usable),
    )
    made = [(decision, what) for case, what in found if (decision := _decide(case, what, known)) is not None]
    made.sort(key=lambda pair: (pair[0].priority, pair[0].case.title))
    return _within_budget(_one_of_those_alike(made, known), known)


def _decide(case: Case, what: Diagnosis, known: Known) -> Decision | None:
    """Return the decision for one case, None for one that is as it should be or that nobody asks for."""
    if what.state in ("retired", "passing"):
        return None
    priority, sort = _priority(case, what, known), "missing" if what.state == "missing" else "failed"

    def decision(action: str, reason: str, **more: Any) -> Decision:
        return Decision(case, action, reason, priority, sort=sort, state=what.state, **more)

    quarantine, model = case.quarantine, case.labels.get(MODEL, "")
    if quarantine is not None and quarantine.holds(known.facts.now):
        until = moment(quarantine.until)
        return decision("leave", f"set aside by {quarantine.owner} until {until}: {quarantine.reason}")
    if model in known.config.retry_strategy.skip_models:
        return decision("leave", f"model {model} is in skip_models")
    rule: Callable[[Case, Diagnosis, Known], dict[str, Any]] = _RULES[what.state]
    made = _if_here(_off_broken_nodes(decision(**rule(case, what, known)), known))
    return _with_its_run(made, what) if made.action == "needs_person" else made


def _with_its_run(decision: Decision, what: Diagnosis) -> Decision:
    """Return the decision with the run that a person may look at."""
    tried = [attempt.run.partition("@")[0] for attempt in what.tail if attempt.verdict not in NOT_TRIED]
    return replace(decision, reason=f"{decision.reason}; see run {tried[-1]}") if tried else decision


def _if_here(decision: Decision) -> Decision:
    """Return the decision; a case that nobody can run here is left to a person, since it would keep its whole batch from running."""
    if decision.case.here or decision.action not in (*RERUNS, "wait"):
        return decision
    reason = (
        f"{decision.reason}; but no scenario of this project has it, or that cannot be read; next: testcell validate"
    )
    return replace(decision, action="needs_person", reason=reason, delay_s=0.0, avoid=(), held=False)


def _off_broken_nodes(decision: Decision, known: Known) -> Decision:
    """Return the decision with the broken nodes among those to avoid; a case that cannot do without one of them waits."""
    if decision.action not in RERUNS or not known.broken:
        return _among_usable(decision, known)
    needed = sorted(set(decision.case.pinned).intersection(known.broken))
    if needed:
        reason = f"{decision.reason}; {', '.join(needed)}, which it needs, is broken"
        return replace(decision, action="wait", reason=reason, held=True)
    if not decision.case.movable:
        return _among_usable(decision, known)
    avoid = tuple(dict.fromkeys((*decision.avoid, *known.broken)))
    if not set(known.usable).difference(avoid):
        return replace(
            decision, action="wait", reason=f"{decision.reason}; no node is left that is not broken", held=True
        )
    return _among_usable(replace(decision, avoid=avoid), known)


def _among_usable(decision: Decision, known: Known) -> Decision:
    """Return a rerun without nodes to avoid that are not in the inventory: nothing runs there, and `run --limit` refuses them."""
    if decision.action not in RERUNS or set(known.usable).issuperset(decision.avoid):
        return decision
    avoid = tuple(node for node in decision.avoid if node in known.usable)
    return replace(decision, action=decision.action if avoid else "rerun", avoid=avoid)


def _say(action: str, reason: str, **more: Any) -> dict[str, Any]:
    return {"action": action, "reason": reason, **more}


# --- the rules, one a state ---------------------------------------------------------------------------------------


def _missing(case: Case, what: Diagnosis, known: Known) -> dict[str, Any]:
    completion, _ = known.groups[case.labels.get(MODEL, "")]
    least = known.config.auto_retest.minimum_completion_rate
    how = f"was {what.tail[-1].verdict} at {moment(what.since)}" if what.tail else "has not been run"
    if completion.value is not None and completion.value >= least:
        whole = _of_model(case)
        return _say("leave", f"{how}; {whole} is complete to {completion.value:.0%}, and {least:.0%} are asked for")
    return _say("rerun", how)


def _flaky(case: Case, what: Diagnosis, known: Known) -> dict[str, Any]:
    rule = known.config.quarantine
    if rule.after_times and what.times >= rule.after_times:
        reason = f"failed and passed again {what.times} times with nothing changed"
        return _say("quarantine", reason)
    if not what.tail:
        return _say("leave", "failed, and passed when it was run again: flaky, and no clean pass")
    if known.alike.of(case, _answer(what)) is not None:
        return _failing(case, what, known)
    if len(what.fails) > 1 or not policies.rule_of(_answer(what), known.config.retry_strategy).retries:
        return _say("leave", f"{_answer(what).kind}: fails and passes with nothing changed, so it is flaky")
    return _failing(case, what, known)


def _node_bound(case: Case, what: Diagnosis, known: Known) -> dict[str, Any]:
    nodes = ", ".join(what.nodes)
    if not what.tail:
        return _say("needs_person", f"fails on {nodes} and passes on other nodes; look at {nodes}")
    last = what.tail[-1]
    mended = [node for node in what.nodes if _mended(node, last.at, known)]
    if len(mended) == len(what.nodes):
        return _again(what, known, f"{nodes} failed it, and other cases have passed there since", limit=2)
    rest = _others(case, what.nodes, known)
    if not rest:
        why = f"it cannot leave {nodes}" if case.pinned or not case.movable else "there is no other node"
        return _say("needs_person", f"{nodes} is to blame ({last.kind or last.verdict}), and {why}", avoid=what.nodes)
    return _again(what, known, f"{nodes} is to blame ({last.kind or last.verdict})", avoid=what.nodes, limit=len(rest))


def _no_answer(case: Case, what: Diagnosis, known: Known) -> dict[str, Any]:
    """Decide about a case that gave no answer to be believed: the cell, the network, an image or the test is in the way."""
    last = what.tail[-1]
    if last.verdict in NOT_TRIED:
        reason = f"was {last.verdict} at {moment(last.at)}; its last answer is {case.answer}"
        return _again(what, known, reason, limit=3)
    if case.changed_at > last.at:
        return _due(what, known, f"its scenario was changed after {last.kind or last.verdict}")
    rule = policies.rule_of(last, known.config.retry_strategy)
    if rule.retries == 0:
        return _hopeless(last, rule)
    return _tried_again(case, what, known, rule)


def _tried_again(case: Case, what: Diagnosis, known: Known, rule: policies.Rule) -> dict[str, Any]:
    """Return the rerun of a case that can be hoped to get an answer; away from a node that failed it twice alike."""
    last = what.tail[-1]
    avoid = _repeated_on(what.tail)
    if avoid and _others(case, avoid, known):
        reason = f"{last.kind} on {', '.join(avoid)} again, since {moment(what.since)}"
        return _again(what, known, reason, avoid=avoid, limit=rule.retries)
    return _again(what, known, f"{last.kind} can pass by itself (policy {rule.letter})", limit=rule.retries)


def _failing(case: Case, what: Diagnosis, known: Known) -> dict[str, Any]:
    """Decide about a failure of the engine: it is confirmed once, elsewhere where that is possible, and then left to a person."""
    last, since = _answer(what), moment(what.since)
    if case.changed_at > what.tail[-1].at:
        return _due(what, known, f"its scenario was changed after {last.kind}")
    if hopeless := _no_way_to_answer(what, known):
        return hopeless
    rule = policies.rule_of(last, known.config.retry_strategy)
    before = f"passed before and fails since {since}" if what.state == "regression" else f"fails since {since}"
    if rule.retries == 0:
        return _hopeless(last, rule, f"{before}: ")
    cluster = known.alike.of(case, last)
    if len(what.fails) > 1 and (cluster is not None or not _only_on(what, case, known)):
        nodes = ", ".join(sorted({node for failed in what.fails for node in failed.nodes})) or "its nodes"
        return _say("needs_person", f"{before}, {len(what.fails)} times, on {nodes} ({last.kind})")
    return _confirmed(case, what, known, rule)


def _no_way_to_answer(what: Diagnosis, known: Known) -> dict[str, Any] | None:
    """Return what is said of a failing case whose newest attempt could not answer, for a reason that a retry cannot help."""
    newest = what.tail[-1]
    if newest.verdict == "fail" or newest.verdict in NOT_TRIED:
        return None
    rule = policies.rule_of(newest, known.config.retry_strategy)
    return None if rule.retries else _hopeless(newest, rule)


def _confirmed(case: Case, what: Diagnosis, known: Known, rule: policies.Rule) -> dict[str, Any]:
    """Return the one rerun that tells a failure of the engine from one of the node, or from an unsteady case."""
    last = _answer(what)
    if _others(case, last.nodes, known):
        reason = f"{last.kind} on {', '.join(last.nodes)}: run elsewhere, to tell the engine from the node"
        return _again(what, known, reason, avoid=_shared(what.fails), limit=1)
    return _again(what, known, f"{last.kind}: run once more, to confirm it (policy {rule.letter})", limit=1)


_RULES: Mapping[str, Callable[[Case, Diagnosis, Known], dict[str, Any]]] = {
    "missing": _missing,
    "flaky": _flaky,
    "node_bound": _node_bound,
    "no_answer": _no_answer,
    "failing": _failing,
    "regression": _failing,
}


# --- what the rules are made of -----------------------------------------------------------------------------------


def _again(what: Diagnosis, known: Known, reason: str, *, limit: int, avoid: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a rerun, or a wait until it is due; a person is asked where maintenance has tried often enough."""
    most = min(limit, known.config.retry_strategy.max_retries)
    tries = what.tries(_answer(what))
    if tries >= most or what.all_tries >= 2 * known.config.retry_strategy.max_retries:
        after = "one retry" if what.all_tries == 1 else f"{what.all_tries} retries"
        return _say("needs_person", f"{reason}; {after} did not help" if what.tail else reason)
    return _due(what, known, reason, avoid)


def _due(what: Diagnosis, known: Known, reason: str, avoid: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a rerun, or a wait until it is due."""
    delay = _delay_s(what, known)
    if delay > 0:
        return _say("wait", f"{reason}; may be run in {_length(delay)}", delay_s=delay, avoid=avoid)
    return _say("rerun_elsewhere" if avoid else "rerun", reason, avoid=avoid)


def _delay_s(what: Diagnosis, known: Known) -> float:
    """Return how long until the case may be run: the pause after its last attempt, and the cooldown after maintenance's own.

    An attempt that lies in the future, by a clock that was set back, counts as one that ended now.
    """
    now, strategy = known.facts.now, known.config.retry_strategy
    last = what.tail[-1]
    rule = policies.rule_of(last, strategy)
    due = min(last.at, now) + policies.wait_s(rule, strategy, what.all_tries)
    ours = [min(attempt.at, now) for attempt in what.tail if attempt.by_upkeep]
    if ours:
        due = max(due, ours[-1] + known.config.auto_retest.cooldown_hours * 3600)
    return max(0.0, due - now)


def _hopeless(last: Attempt, rule: policies.Rule, before: str = "") -> dict[str, Any]:
    if rule.off:
        return _say("leave", f"{before}{last.kind}, and {rule.off} is false")
    if rule.letter != "E":
        return _say("leave", f"{before}{last.kind}, and max_retries is 0")
    who = f"; the {last.owner} is to blame" if last.owner else ""
    return _say("needs_person", f"{before}{last.kind or last.verdict}: a retry cannot help{who}")


def _answer(what: Diagnosis) -> Attempt:
    """Return the failure that stands: in a failing case the newest one of the engine, even if a later attempt gave no answer."""
    return what.fails[-1] if what.fails and what.state in STANDING else what.tail[-1]


def _only_on(what: Diagnosis, case: Case, known: Known) -> bool:
    """Return whether all failures were on the same node while there are others, so that the node may be the cause."""
    shared = _shared(what.fails)
    return bool(shared) and bool(_others(case, shared, known))


def _shared(fails: Sequence[Attempt]) -> tuple[str, ...]:
    """Return the nodes that each failure used."""
    return tuple(sorted(set(fails[0].nodes).intersection(*(failed.nodes for failed in fails))))


def _others(case: Case, nodes: Sequence[str], known: Known) -> list[str]:
    """Return the nodes that a case may use without these and without broken ones, [] where it cannot be moved."""
    if not case.movable or not nodes or set(case.pinned) & set(nodes):
        return []
    return [name for name in known.usable if name not in nodes and name not in known.broken]


def _repeated_on(tail: Sequence[Attempt]) -> tuple[str, ...]:
    """Return the node that the last two attempts blame alike, () where there is none."""
    if len(tail) > 1 and tail[-1].node and tail[-1].node == tail[-2].node and tail[-1].kind == tail[-2].kind:
        return (tail[-1].node,)
    return ()


def _mended(node: str, since: float, known: Known) -> bool:
    """Return whether a case has passed on a node after a failure there."""
    found = known.facts.nodes.get(node)
    return found is not None and node not in known.broken and found.last_pass > since


def _priority(case: Case, what: Diagnosis, known: Known) -> int:
    model = case.labels.get(MODEL, "")
    if model in known.config.retry_strategy.priority_models:
        return 1
    if what.state == "missing":
        return 4
    _, failure = known.groups[model]
    severe = failure.above(known.config.analysis.severe_failure_rate)
    return 2 if severe == "certain" else 3


def _groups(found: Sequence[tuple[Case, Diagnosis]]) -> dict[str, tuple[Rate, Rate]]:
    """Return, for each model, how complete it is and how much of it fails."""
    counts: dict[str, list[int]] = {}
    for case, what in found:
        if what.state == "retired":
            continue
        seen = counts.setdefault(case.labels.get(MODEL, ""), [0, 0, 0])
        seen[0] += 1
        seen[1] += bool(case.answer)
        seen[2] += case.answer == "fail"
    return {model: (Rate(done, expected), Rate(failed, done)) for model, (expected, done, failed) in counts.items()}


def _one_of_those_alike(made: Sequence[tuple[Decision, Diagnosis]], known: Known) -> list[Decision]:
    """Return the decisions, with the reruns of cases that fail alike turned into waits but for the few that go first."""
    actions = {decision.case.id: decision.action for decision, _ in made}
    gone: dict[int, list[Case]] = {}
    result = []
    for decision, what in made:
        if decision.action in RERUNS and (own := _own_cluster(decision.case, what, known)) is not None:
            result.append(_in_cluster(decision, own, gone, known))
        elif decision.action in RERUNS and what.state not in STANDING:
            result.append(_beside_clusters(decision, actions, known))
        else:
            result.append(decision)
    return result


def _own_cluster(case: Case, what: Diagnosis, known: Known) -> Cluster | None:
    """Return those that fail as a case did when it was tried last, None where it fails alone or its scenario was changed since."""
    stood = next((attempt for attempt in reversed(what.tail) if attempt.verdict not in NOT_TRIED), None)
    if stood is None or case.changed_at > stood.at:
        return None
    return known.alike.of(case, _answer(what) if what.state in STANDING else stood)


def _in_cluster(decision: Decision, cluster: Cluster, gone: dict[int, list[Case]], known: Known) -> Decision:
    """Return what becomes of a rerun of a case that fails as others do: what becomes of the first holds for all."""
    if cluster.refused:
        tried = cluster.refused[0].title
        action = "needs_person" if cluster.answers else "wait"
        why = f"{cluster.what}, and {tried} failed so again when it was rerun"
        return replace(decision, action=action, reason=why, avoid=(), held=action == "wait")
    first = gone.setdefault(id(cluster), [])
    if len(first) < (1 if cluster.answers else known.config.auto_retest.batch_size):
        first.append(decision.case)
        return decision
    return _held_back(decision, f"{cluster.what}; {first[0].title} is tried first")


def _beside_clusters(decision: Decision, actions: Mapping[int, str], known: Known) -> Decision:
    """Return what becomes of a rerun of a case without an answer: it waits while those like it fail and something is done about them."""
    cluster = known.alike.failing(decision.case)
    if cluster is None or all(actions.get(member.id, "leave") == "leave" for member in cluster.members):
        return decision
    return _held_back(decision, cluster.what)


def _within_budget(made: list[Decision], known: Known) -> list[Decision]:
    """Return the decisions, with those reruns turned into waits that the budgets of their run and of the day do not allow."""
    effort, budget = known.facts.effort, known.config.budget
    day_s, day_reruns = effort.day_s, effort.day_reruns
    spent = dict(effort.reruns_s)
    result = []
    for decision in made:
        if decision.action not in RERUNS:
            result.append(decision)
            continue
        run = _source_run(decision.case)
        cost = decision.case.typical_s
        if day_reruns + 1 > budget.day_reruns or day_s + cost > budget.day_hours * 3600:
            said = f"{day_reruns} reruns in {_length(day_s)} within 24 hours"
            result.append(_held_back(decision, f"the day's budget is spent: {said}"))
        elif run and spent.get(run, 0.0) + cost > budget.of_run_s(effort.run_s.get(run, 0.0)):
            said = f"{_length(spent.get(run, 0.0))} of reruns for run {run.partition('@')[0]}"
            result.append(_held_back(decision, f"the budget of its run is spent: {said}"))
        else:
            day_s, day_reruns = day_s + cost, day_reruns + 1
            spent[run] = spent.get(run, 0.0) + cost
            result.append(decision)
    return result


def _source_run(case: Case) -> str:
    """Return the run whose failure a rerun makes good, "" where nothing was tried."""
    return case.recent[-1].run if case.recent and case.recent[-1].verdict not in NOT_TRIED else ""


def _held_back(decision: Decision, why: str) -> Decision:
    return replace(decision, action="wait", reason=f"{decision.reason}; {why}", held=True)


def _of_model(case: Case) -> str:
    return f"model {case.labels[MODEL]}" if MODEL in case.labels else "what has no model"


def moment(at: float | None) -> str:
    """Return a moment as people read it, in UTC."""
    return "-" if at is None else datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _length(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
