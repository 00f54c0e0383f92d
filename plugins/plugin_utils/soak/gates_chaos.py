# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gates of the faults themselves: each was felt, is gone without a trace, and what it hit came back in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from .judgement import Evidence, Gate, Limits
from .model import Fault
from .saying import Found, failed, no_data, not_asked, number, passed

CHAOS = "faults"
GONE = "target_gone"


def gates(evidence: Evidence, limits: Limits) -> Iterator[Gate]:
    """Yield a gate for each fault that something is wrong with, and one for all others together."""
    faults = evidence.faults
    if not faults and not limits.chaos:
        return
    if limits.negative_control:
        yield from _negative(faults)
        return
    applied = [fault for fault in faults if fault.outcome == "injected" and fault.applied]
    if not applied:
        why = f"faults were planned, and none of {len(faults)} was felt: nothing was survived"
        yield no_data("fault_planned", CHAOS, why, Found(0.0, 1.0, "faults"), "chaos_unsupported")
    began = [fault for fault in faults if fault.began_s is not None]
    yield from _each(
        "fault_applied", [f for f in faults if f.outcome != GONE], _applied, "was felt when it was injected"
    )
    yield from _each("fault_reverted", began, _reverted, "is undone, and nothing is left of it")
    yield from _each("negative_control", began, _control, "was not felt before it was injected")
    yield from _recovery(applied, limits.max_rto_secs, evidence.lasted_s)


def _negative(faults: Sequence[Fault]) -> Iterator[Gate]:
    """Yield the gates of a soak that injects nothing: no measurement may show a fault, and there is nothing to survive."""
    for name in ("fault_planned", "fault_applied", "rto"):
        yield not_asked(name, CHAOS, "a negative control injects no fault")
    there = [fault for fault in faults if fault.outcome != GONE]
    if not there:
        why = f"of {len(faults)} planned faults none had its target, so that nothing was measured"
        yield no_data("negative_control", CHAOS, why, Found(0.0, 1.0, "faults"), "chaos_unsupported")
    yield from _each("negative_control", there, _nothing_felt, "was not felt, and none was injected")
    began = [fault for fault in faults if fault.began_s is not None]
    yield from _each("fault_reverted", began, _reverted, "has left nothing")


def _nothing_felt(name: str, fault: Fault) -> Gate | None:
    """Return what is wrong where something was felt though nothing was injected, or where nobody measured."""
    found, whose = Found(at_s=fault.began_s), f"fault {fault.id!r} on {fault.target}"
    if fault.outcome == "injected":
        return failed(name, fault.id, f"{whose} was injected in a negative control", found, "chaos_unsupported")
    if fault.applied or fault.control:
        why = f"{whose} was measured though it was not injected{_because(fault)}: its measurement proves nothing"
        return failed(name, fault.id, why, found, "chaos_unsupported")
    if fault.outcome != "control" or fault.control is None or not fault.measured:
        why = f"nobody measured {whose} ({fault.outcome}){_because(fault)}"
        return no_data(name, fault.id, why, found, "chaos_unsupported")
    return None


def _each(name: str, faults: Sequence[Fault], judge: Callable[[str, Fault], Gate | None], good: str) -> Iterator[Gate]:
    """Yield the gates of faults that do not hold, or one that says that all do."""
    wrong = [gate for fault in faults if (gate := judge(name, fault)) is not None]
    yield from wrong
    if faults and not wrong:
        count = float(len(faults))
        yield passed(name, CHAOS, f"each of {len(faults):,} faults {good}", Found(count, count, "faults"))


def _applied(name: str, fault: Fault) -> Gate | None:
    """Return what is wrong where a fault was not felt: what was not there has not been survived."""
    if fault.outcome == "injected" and fault.applied:
        return None
    why = f"fault {fault.id!r} on {fault.target} {_state(fault)}{_because(fault)}"
    return no_data(name, fault.id, why, Found(at_s=fault.began_s), "chaos_unsupported")


def _reverted(name: str, fault: Fault) -> Gate | None:
    """Return what is wrong where something of a fault is left, or where nobody looked."""
    if fault.reverted and fault.undone_s is not None:
        return None
    found = Found(at_s=fault.undone_s, during=fault.id)
    if fault.reverted is not False:
        why = f"nobody knows whether fault {fault.id!r} on {fault.target} is undone{_because(fault)}"
        return no_data(name, fault.id, why, found, "chaos_not_reverted")
    why = f"fault {fault.id!r} on {fault.target} is not undone{_because(fault)}; run 'testcell cleanup' before the node is used"
    return failed(name, fault.id, why, found, "chaos_not_reverted")


def _control(name: str, fault: Fault) -> Gate | None:
    """Return what is wrong where the measurement shows a fault that is not there yet, or was not made."""
    if fault.control is False or fault.outcome != "injected":
        return None
    found = Found(at_s=fault.began_s)
    if fault.control is None:
        why = f"nobody measured {fault.target} before fault {fault.id!r}, so its effect proves nothing"
        return no_data(name, fault.id, why, found, "chaos_unsupported")
    why = f"what fault {fault.id!r} should do was measured on {fault.target} before it was injected"
    return failed(name, fault.id, why, found, "chaos_unsupported")


def _recovery(faults: Sequence[Fault], limit: float | None, ended_s: float) -> Iterator[Gate]:
    """Yield the gates of how long recovery took, counted from the undo."""
    if limit is None:
        yield not_asked("rto", CHAOS, "no limit is set for the time to recover")
        return
    judged = [_recovered(fault, limit, ended_s) for fault in faults]
    yield from (gate for gate, _ in judged if gate is not None)
    worst = max((value for _, value in judged), default=0.0)
    if judged and all(gate is None for gate, _ in judged):
        why = f"all of {len(faults):,} faults were recovered from, the slowest in {number(worst)} s, within the limit of {number(limit)} s"
        yield passed("rto", CHAOS, why, Found(worst, limit, "s"))


def _recovered(fault: Fault, limit: float, ended_s: float) -> tuple[Gate | None, float]:
    """Return what is wrong with a recovery, None where nothing is, and how long it took."""
    undone, ready = fault.undone_s, fault.recovered_s
    found = Found(None, limit, "s", undone, fault.id)
    whose = f"{fault.target} after fault {fault.id!r}"
    if undone is None or (ready is not None and ready < (fault.began_s or 0.0)):
        why = f"recovery of {whose} cannot be told: its undo is at {undone} s, and it was ready at {ready} s"
        return no_data("rto", fault.id, why, found), 0.0
    taken = (ended_s if ready is None else ready) - undone
    if taken > limit:
        why = f"{whose} {_how_late(ready)} {number(taken)} s after the undo, over the limit of {number(limit)} s"
        return failed("rto", fault.id, why, Found(taken, limit, "s", undone, fault.id)), taken
    if ready is None:
        why = f"the soak ended {number(max(taken, 0.0))} s after the undo, before {whose} was ready"
        return no_data("rto", fault.id, why, found), 0.0
    return None, max(taken, 0.0)


def _because(fault: Fault) -> str:
    return f": {fault.why}" if fault.why else ""


def _state(fault: Fault) -> str:
    if fault.outcome != "injected":
        return f"was not injected ({fault.outcome})"
    told = {True: "was felt", False: "was not felt", None: "may have been felt or not"}[fault.applied]
    return f"{told} when it was injected"


def _how_late(ready: float | None) -> str:
    return "was not ready" if ready is None else "was ready only"
