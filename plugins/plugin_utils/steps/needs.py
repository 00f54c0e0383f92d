# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the compose files of a case need from a node, held against what the node has, before Compose is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..run.plan import CasePlan, ServicePlan

ALL_GPUS = -1
# Drivers that the engine has without being told: what they need shows in the GPUs themselves.
BUILT_IN_DRIVERS = ("nvidia", "amd", "cdi")
KINDS = ("binds", "networks", "volumes")

Reason = tuple[str, str]


def wanted(case: CasePlan, node: str) -> dict[str, list[str]]:
    """Return the paths and names that the node is asked for, the arguments of its facts."""
    services = case.services_on(node)
    return {kind: sorted({name for one in services for name in one.needs.get(kind, ())}) for kind in KINDS}


def need_problems(facts: Mapping[str, Any], case: CasePlan, node: str) -> Iterator[Reason]:
    """Yield (error_kind, sentence) for each thing that a service of the case takes for granted and the node lacks."""
    services = case.services_on(node)
    yield from _absent(facts.get("wants") or {}, services)
    for service in services:
        yield from _gpu_problems(facts, service)
    yield from _old_compose(facts, case)


def _absent(found: Mapping[str, Any], services: Sequence[ServicePlan]) -> Iterator[Reason]:
    for service in services:
        for path in service.needs.get("binds", ()):
            if found.get("binds", {}).get(path) == "":
                yield "mount_invalid", f"{path}, which service {service.name} mounts, does not exist there"
        for kind, word in (("networks", "network"), ("volumes", "volume")):
            for name in service.needs.get(kind, ()):
                if found.get(kind, {}).get(name) is False:
                    advice = f"docker {word} create {name}"
                    what = f"external {word} {name}, which service {service.name} uses, does not exist there"
                    yield "compose_invalid", f"{what}; make it with: {advice}"


def _gpu_problems(facts: Mapping[str, Any], service: ServicePlan) -> Iterator[Reason]:
    there, asked = len(facts.get("gpus") or ()), int(service.needs.get("gpus", 0))
    if there < (1 if asked == ALL_GPUS else asked):
        count = "all GPUs" if asked == ALL_GPUS else f"{asked} GPU(s)"
        why = f" ({facts['gpu_error']})" if not there and facts.get("gpu_error") else ""
        yield "gpu_missing", f"service {service.name} asks for {count}; it has {there}{why}"
    runtimes = (facts.get("engine") or {}).get("runtimes") or ()
    for driver in service.needs.get("gpu_drivers", ()):
        if driver not in (*BUILT_IN_DRIVERS, *runtimes):
            known = ", ".join(runtimes) or "none"
            yield "gpu_runtime_missing", f"service {service.name} asks for the device driver {driver}; it has {known}"


def _old_compose(facts: Mapping[str, Any], case: CasePlan) -> Iterator[Reason]:
    composes = facts.get("compose") or ()
    if case.v2_only and composes and all(one["kind"] == "v1" for one in composes):
        keys = ", ".join(case.v2_only)
        what = f"its Compose is V1 ({composes[0]['version']}), which does not know {keys}"
        yield "docker_api_mismatch", f"{what}; install the compose plugin there, or leave these keys out"
