# SPDX-License-Identifier: MIT
"""What a plan may ask for is what a node can be told: the same kinds, parameters and ranges on both sides."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import kinds
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.fault import Place
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Context, RunRef
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import schema
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario._measures import Measure, Renamed, Size
from ansible_collections.enginelab.testcell.plugins.plugin_utils.soak.kinds_table import KINDS

MIB = 1 << 20


class Seen(dict):
    """Parameters that note which of them are asked for."""

    def __init__(self, values):
        super().__init__(values)
        self.asked = set()

    def get(self, key, default=None):
        self.asked.add(key)
        return super().get(key, default)

    def __getitem__(self, key):
        self.asked.add(key)
        return super().__getitem__(key)


def parameters(kind):
    """Return name -> its schema, without the names that others use."""
    specs = {
        name: spec.spec if isinstance(spec, schema.Key) else spec for name, spec in KINDS[kind].spec.keyed().items()
    }
    return {name: spec for name, spec in specs.items() if not isinstance(spec, Renamed)}


# What no range says.
EXAMPLES = {
    "where": ["node", "engine", "/data"],
    "interfaces": [["eth0"], ["eth0", "bond0.7"]],
    "probe": ["192.0.2.1"],
    "keep_ports": [[1], [22, 65535]],
}


def ends(name, spec):
    """Return the least and the greatest that a plan may give, or all of a few words."""
    if name in EXAMPLES:
        return EXAMPLES[name]
    if isinstance(spec, Size):
        return [MIB, MIB << 20]
    if isinstance(spec, schema.Choice):
        return list(spec.values)
    number = spec.number if isinstance(spec, Measure) else spec
    return [number.min, number.max]


def given(kind):
    """Yield the parameters of a kind with one of them at the end of its range, the others at their greatest."""
    specs = parameters(kind)
    whole = {name: ends(name, spec)[-1] for name, spec in specs.items()}
    for name in KINDS[kind].one_of or [""]:
        chosen = {key: value for key, value in whole.items() if key == name or key not in KINDS[kind].one_of}
        yield chosen
        for key in chosen:
            alone = {**chosen, key: ends(key, specs[key])[0]}
            # The jitter may not be above the delay.
            yield {**alone, "jitter_ms": alone[key]} if key == "delay_ms" else alone


@pytest.fixture
def told(tmp_path):
    """Return a function that gives a kind's parameters to the node's side: what it says, and which it asked for."""
    place = Place(
        Context(tmp_path, RunRef("r", "s", "c"), environ={"PATH": str(tmp_path)}),
        SimpleNamespace(version=dict, info=dict, path=str(tmp_path / "docker.sock")),
        tmp_path,
    )

    def tell(kind, params):
        seen = Seen(params)
        try:
            return kinds.find(kind).lacking(place, seen), seen.asked
        except CellError as exc:
            return str(exc), seen.asked

    return tell


def test_plans_and_nodes_know_the_same_kinds():
    assert set(KINDS) == set(kinds.MODULES)


CASES = [pytest.param(kind, params, id=f"{kind}-{params}") for kind in KINDS for params in given(kind)]


@pytest.mark.parametrize(("kind", "params"), CASES)
def test_what_a_plan_may_give_is_taken_by_the_node_and_nothing_of_it_is_passed_over(told, kind, params):
    said, asked = told(kind, params)
    assert "allowed:" not in said, said
    assert set(params) <= asked


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_example_of_a_kind_is_what_a_plan_may_give_and_a_node_takes(told, kind):
    """B73: with it a node is asked whether it can do the kind at all."""
    example, spec = KINDS[kind].example, KINDS[kind].spec
    assert set(example) <= set(spec.keyed())
    assert {name for name, key in spec.keyed().items() if key.required} <= set(example)
    assert len(set(KINDS[kind].one_of) & set(example)) == bool(KINDS[kind].one_of)
    assert "allowed:" not in told(kind, example)[0]


# What a node can be told beyond a plan: by hand, or in trials of its own.
OF_NODES_ONLY = {
    "dockerd_restart": {"signal"},
    "pressure": {"base_url", "config", "model", "port"},
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_a_node_looks_for_is_what_a_plan_may_give(told, kind):
    """A parameter that works and that no plan can name is one that nobody has."""
    asked = set().union(*(told(kind, params)[1] for params in given(kind)))
    assert asked - set(parameters(kind)) <= OF_NODES_ONLY.get(kind, set())


def test_a_parameter_of_another_kind_is_not_asked_for(told):
    """So the test above can fail: a name that only one side knows is seen."""
    assert "memory" not in told("cpu_stress", {"cores": 1, "memory": MIB})[1]
    assert "allowed:" in told("cpu_stress", {"cores": 0})[0]
