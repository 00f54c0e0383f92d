# SPDX-License-Identifier: MIT
"""What the code says that the reference pages must say too: keys with type and default, and the tables of a page."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import (
    metadata_spec,
    model,
    nodes_file,
    settings,
)
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario._measures import Measure
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.schema import (
    MISSING,
    Bool,
    Choice,
    Float,
    Int,
    Key,
    MapOf,
    Mapping,
    OneOf,
    Seq,
    Str,
)

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
CODE = re.compile(r"`([^`]+)`")
MOST_ITEMS = 1000
SOAK = "soak."
EMPTY = (None, "", (), {})


def type_of(spec):
    """Return the type and range of a value in the words of the pages."""
    if isinstance(spec, Measure):
        return type_of(spec.number)
    if isinstance(spec, Bool):
        return "true or false"
    if isinstance(spec, Choice):
        return ", ".join(f"`{value}`" for value in spec.values)
    if isinstance(spec, OneOf) and all(isinstance(inner, (Bool, Choice)) for inner in spec.specs):
        return " or ".join(type_of(inner) for inner in spec.specs)
    if isinstance(spec, Int):
        return f"integer, {spec.rule}"
    if isinstance(spec, Float):
        return f"number, {spec.rule}"
    if isinstance(spec, Str):
        return "string"
    if isinstance(spec, Seq):
        return _list(spec)
    if isinstance(spec, (Mapping, MapOf)):
        return "mapping"
    return {"Size": "size", "OneOf": "string, number or boolean"}[type(spec).__name__]


def _list(spec):
    limits = f", {spec.min}..{spec.max}" if spec.max != MOST_ITEMS else f", at least {spec.min}" if spec.min else ""
    kinds = {Choice: "words", Mapping: "mappings", MapOf: "mappings", Str: "strings"}
    return f"list of {kinds.get(type(spec.item), 'values')}{limits}"


def leaves(spec, path=""):
    """Return key path -> Key of everything that a file may hold; `[]` stands for each item of a list of mappings."""
    found = {}
    for name, key in spec.keyed().items():
        inner, place = key.spec, f"{path}.{name}" if path else name
        if isinstance(inner, metadata_spec.Renamed):
            continue
        found |= leaves(inner, place) if isinstance(inner, Mapping) else {place: key}
        if isinstance(inner, Seq) and isinstance(inner.item, Mapping):
            found |= leaves(inner.item, f"{place}[]")
    if spec.extra is not None:
        found[f"{path}.LABEL"] = Key(spec.extra)
    return found


def scenario_keys():
    """Return the keys of metadata.yml; those of soaks, which have a page of their own, as one."""
    found = {key: spec for key, spec in leaves(metadata_spec.METADATA).items() if not key.startswith(SOAK)}
    return {**found, "soak": Key(settings.SOAK)}


def soak_keys():
    """Return the keys of the section `soak`."""
    return {key: spec for key, spec in leaves(metadata_spec.METADATA).items() if key.startswith(SOAK)}


def setting_keys():
    """Return the keys of config/defaults.yaml."""
    return leaves(settings.GLOBAL)


def node_keys():
    """Return the keys of one node in nodes.yml."""
    return leaves(nodes_file.SPEC.keyed()["nodes"].spec.value)


MODELS = {
    "": model.Scenario,
    "resource_requirements": model.Requirements,
    "deployment.services[]": model.Service,
    "deployment.services[].health_check": model.HealthCheck,
    "benchmark": model.BenchmarkSpec,
}
FIELDS = {
    "estimated_duration": "estimated_duration_s",
    "min_gpu_memory": "min_gpu_memory_bytes",
    "timeout": "timeout_s",
    "interval": "interval_s",
}


def default_of(path, key):
    """Return "required", a default in code marks, or "" where there is none or it is found out when the file is read."""
    if key.required:
        return "required"
    value = key.default
    if value is MISSING:
        parent, _, name = path.rpartition(".")
        value = _model_default(MODELS[parent], FIELDS.get(name, name)) if parent in MODELS else None
    return "" if value in EMPTY else f"`{json.dumps(value)}`"


def _model_default(owner, name):
    field = next((field for field in dataclasses.fields(owner) if field.name == name), None)
    if field is None or field.default is dataclasses.MISSING:
        return None
    value = field.default
    return list(value) if isinstance(value, tuple) and value else value


def rows(page):
    """Return the cells of all table rows of a page whose first cell starts with a code mark."""
    lines = (REFERENCE / page).read_text().splitlines()
    cells = (
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        for line in lines
        if line.startswith("| `")
    )
    return [row for row in cells if row]


def by_name(page, columns):
    """Return name -> cells of the rows that have so many columns; a name that stands twice is an error."""
    found = {}
    for row in rows(page):
        if len(row) == columns:
            name = CODE.match(row[0])[1]
            assert name not in found, f"{page} has {name} twice"
            found[name] = row
    return found
