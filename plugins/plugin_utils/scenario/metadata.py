# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads one scenario: metadata, compose files and test parameters, with the layers applied and every problem at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..deploy import placement
from ..problems import InputError, KeyPath, Problem, in_order
from . import build, compose_services, files, matrix_cells, metadata_checks, schema, services, soak_checks, test_config
from .compose_services import ComposeFiles
from .contradictions import contradictions
from .known import Known
from .layers import Layers, origins_of, settings_of
from .metadata_spec import METADATA
from .model import BenchmarkSpec, Scenario, Service
from .own_origins import own_origins
from .plain_secrets import suspicious
from .port_clashes import port_clashes
from .setting import SCENARIO, Setting
from .settings import IN_DEPLOYMENT, IN_SCENARIO
from .strict_yaml import Document, read


@dataclass(frozen=True)
class Examined:
    """A scenario folder after a look at it. scenario is None when one of the problems is an error."""

    folder: Path
    scenario: Scenario | None
    problems: tuple[Problem, ...]
    name: str = ""
    name_place: tuple[str, int, int] = ("", 0, 0)


@dataclass
class _Findings:
    """What has been read of one scenario so far."""

    folder: Path
    document: Document
    data: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def section(self, name: str) -> dict[str, Any]:
        """Return one section of the checked metadata, empty when it is absent."""
        found: dict[str, Any] = self.data.get(name, {})
        return found


def load_scenario(
    folder: Path, *, layers: Layers, known: Known | None, environ: Mapping[str, str] | None = None
) -> Scenario:
    """Return the scenario in folder, or raise InputError with all problems of all its files.

    known: what the inventory offers, None when references to nodes are not checked. environ: the variables that
    compose files may refer to.
    """
    examined = examine(folder, layers=layers, known=known, environ=environ)
    if examined.scenario is None:
        raise InputError(examined.problems)
    return examined.scenario


def examine(folder: Path, *, layers: Layers, known: Known | None, environ: Mapping[str, str] | None = None) -> Examined:
    """Return the scenario in folder together with everything that is wrong or odd in its files."""
    found = _read_metadata(folder)
    newer = metadata_checks.newer_schema(found.document)
    if newer is not None:
        return _examined(found, None, [newer])
    if found.document.root is None:
        return _examined(found, None, [*found.problems, *_problems_beside(folder, environ or {})])
    scenario = _assemble(found, layers, known, environ or {})
    return _examined(found, scenario, found.problems)


def _problems_beside(folder: Path, environ: Mapping[str, str]) -> list[Problem]:
    """Return what is wrong with the other files of a folder whose metadata tells nothing."""
    problems: list[Problem] = []
    compose, _ = files.compose_file(folder)
    if compose.exists():
        problems += compose_services.read_all(folder, [compose.name], environ=environ).problems
    parameters = folder / BenchmarkSpec.config_file
    if parameters.exists():
        problems += _checked_parameters(parameters, "script", folder, None).problems
    return [problem for problem in problems if problem.is_error]


def _examined(found: _Findings, scenario: Scenario | None, problems: Sequence[Problem]) -> Examined:
    place = (found.document.file, *found.document.mark(("name",)))
    wrong = any(problem.is_error for problem in problems)
    return Examined(found.folder, None if wrong else scenario, in_order(problems), found.data.get("name", ""), place)


def _read_metadata(folder: Path) -> _Findings:
    path, problems = files.metadata_file(folder)
    if problems:
        return _Findings(folder, Document(str(path), None), problems=problems)
    try:
        document = read(path, root=folder)
    except InputError as exc:
        return _Findings(folder, Document(str(path), None), problems=list(exc.problems))
    checked = schema.check(document, METADATA, fill=False)
    return _Findings(folder, document, checked.data, [*checked.problems, *suspicious(document, checked.data)])


def _assemble(found: _Findings, layers: Layers, known: Known | None, environ: Mapping[str, str]) -> Scenario | None:
    """Return the scenario, and add to the findings whatever is wrong; None when there is not even a name."""
    merged = layers.over(_own_settings(found))
    found.problems += [*contradictions(merged), *metadata_checks.collection_notices(merged)]
    found.problems += metadata_checks.script_problems(merged, found.folder)
    composed, all_services, compose_names = _services(found, environ)
    benchmark, cells = found.section("benchmark"), _cells(found)
    parameters = _test_config(found, benchmark, cells, known)
    found.problems += metadata_checks.patience_problems(merged, composed.checks)
    found.problems += _clashes(composed, all_services, known)
    if composed.whole:
        roles = compose_services.replicas_of_roles(all_services, composed.replicas)
        found.problems += metadata_checks.expectation_problems(merged, roles)
        found.problems += metadata_checks.benchmark_problems(
            benchmark, all_services, list(composed.replicas), found.document
        )
    found.problems += soak_checks.soak_problems(merged, found.folder, all_services if composed.whole else None)
    if known is not None:
        found.problems += metadata_checks.node_problems(merged, found.data, known, found.document)
        entries = found.section("deployment").get("services")
        found.problems += services.wrong_nodes(entries, known, found.document)
    if "name" not in found.data or any(problem.is_error for problem in found.problems):
        return None
    return Scenario(
        name=found.data["name"],
        directory=found.folder,
        metadata_file=Path(found.document.file),
        description=found.data.get("description", Scenario.description),
        enabled=found.data.get("enabled", Scenario.enabled),
        estimated_duration_s=found.data.get("estimated_duration"),
        tags=tuple(found.data.get("tags", ())),
        schema_version=found.data.get("schema_version", Scenario.schema_version),
        requirements=build.requirements(found.section("resource_requirements")),
        services=all_services,
        compose_files=compose_names,
        v2_only=composed.v2_only,
        allow=tuple(found.section("deployment").get("allow", ())),
        limits=build.limits(merged),
        retry=build.retry_spec(merged),
        recovery=build.recovery_spec(merged),
        test=build.test_spec(merged),
        collection=build.collection_spec(merged),
        health=build.health_spec(merged),
        benchmark=build.benchmark_spec(benchmark, all_services, parameters),
        validity=build.validity_spec(merged),
        matrix=cells,
        test_config=parameters,
        gates=found.section("gates"),
        soak=build.soak_spec(merged),
        origins=(*own_origins(found.document, found.data), *origins_of(merged)),
        warnings=in_order(found.problems),
    )


def _own_settings(found: _Findings) -> dict[KeyPath, Setting]:
    """Return the layered settings that the scenario gives itself."""
    top = {section: found.data[section] for section in IN_SCENARIO if section in found.data}
    deployment = found.section("deployment")
    inner = {section: deployment[section] for section in IN_DEPLOYMENT if section in deployment}
    return {
        **settings_of(found.document, top, SCENARIO),
        **settings_of(found.document, inner, SCENARIO, prefix=("deployment",)),
    }


def _services(
    found: _Findings, environ: Mapping[str, str]
) -> tuple[ComposeFiles, tuple[Service, ...], tuple[str, ...]]:
    """Return what the compose files say, the services of both sides joined, and the names of the files."""
    deployment = found.section("deployment")
    entries = deployment.get("services")
    names = _compose_names(found, deployment)
    named = [entry for entry in entries or () if "name" in entry]
    composed = compose_services.read_all(
        found.folder,
        names,
        environ=environ,
        allow=deployment.get("allow", ()),
        probed=[entry["name"] for entry in named if "health_check" in entry],
    )
    joined, problems = services.join(entries, composed.declared if composed.whole else (), found.document)
    found.problems += [*composed.problems, *problems]
    return composed, joined, names


def _clashes(composed: ComposeFiles, all_services: Sequence[Service], known: Known | None) -> Iterator[Problem]:
    """Yield the host ports that clash: where the services will be placed, or might be while no inventory is known."""
    wanted = {service.name: service.node for service in all_services}
    placed = wanted if known is None else placement.place(wanted, known.nodes)
    yield from port_clashes(composed.published, placed, composed.replicas)


def _compose_names(found: _Findings, deployment: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the compose files that the metadata names anywhere, or the one file that lies beside it."""
    entries = deployment.get("services", ())
    named = [*deployment.get("compose_files", ()), *(e["compose_file"] for e in entries if "compose_file" in e)]
    if "compose_files" in deployment or (entries and all("compose_file" in entry for entry in entries)):
        return tuple(dict.fromkeys(named))
    path, problems = files.compose_file(found.folder)
    found.problems += problems
    return tuple(dict.fromkeys([*([path.name] if path.exists() else []), *named]))


def _cells(found: _Findings) -> tuple[dict[str, Any], ...]:
    if "matrix" not in found.data:
        return ()
    cells, problems = matrix_cells.read_cells(found.data["matrix"], found.document)
    found.problems += problems
    return cells


def _test_config(
    found: _Findings, benchmark: Mapping[str, Any], cells: Sequence[Mapping[str, Any]], known: Known | None
) -> dict[str, Any]:
    """Return the test parameters; a file that nobody named may be missing when the script measures by itself."""
    client = benchmark.get("client", BenchmarkSpec.client)
    path = found.folder / benchmark.get("config_file", BenchmarkSpec.config_file)
    spec = test_config.test_config_spec(client)
    labels = benchmark.get("from_labels", {})
    found.problems += metadata_checks.label_problems(labels, cells, spec, found.document)
    if client != BenchmarkSpec.client and "config_file" not in benchmark and not path.exists():
        return {}
    checked = _checked_parameters(path, client, found.folder, known)
    found.problems += [*checked.problems, *suspicious(checked.document, checked.data)]
    return dict(checked.data)


def _checked_parameters(path: Path, client: str, folder: Path, known: Known | None) -> schema.Checked:
    hosts = None if known is None else known.hosts
    try:
        return test_config.check(path, client=client, allowed_hosts=hosts, root=folder)
    except InputError as exc:
        return schema.Checked({}, exc.problems, Document(str(path), None))
