# SPDX-License-Identifier: MIT
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.model import Origin, Scenario
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.selection import (
    OrderEntry,
    Request,
    natural,
    select,
)


def scenario(folder: str, name: str, *tags: str, enabled: bool = True) -> Scenario:
    path = Path("scenarios") / folder
    origins = (Origin("enabled", enabled, "scenario", str(path / "metadata.yml"), 2),)
    return Scenario(name, path, path / "metadata.yml", enabled=enabled, tags=tags, origins=origins)


ALL = (
    scenario("10_large", "large", "slow"),
    scenario("2_baseline", "baseline", "performance", "fast"),
    scenario("3_broken", "broken", "performance", enabled=False),
    scenario("1_smoke", "smoke", "fast"),
)


def names(request: Request) -> list[str]:
    return [chosen.name for chosen in select(ALL, request)]


def order(*entries: OrderEntry) -> Request:
    return Request(all=True, mode="custom", custom_order=entries)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param(Request(all=True), ["smoke", "baseline", "large"], id="auto-counts-numbers"),
        pytest.param(Request(all=True, mode="directory"), ["large", "smoke", "baseline"], id="directory-is-strict"),
        pytest.param(Request(("large", "smoke")), ["large", "smoke"], id="names-keep-their-order"),
        pytest.param(Request(("10_large", "large")), ["large"], id="folder-name-and-twice"),
        pytest.param(Request(tags=("fast",)), ["smoke", "baseline"], id="tags-alone"),
        pytest.param(Request(skip_tags=("fast",)), ["large"], id="skip-tags-alone"),
        pytest.param(Request(all=True, only=("smoke", "2_baseline")), ["smoke", "baseline"], id="only"),
        pytest.param(Request(all=True, skip=("smoke",)), ["baseline", "large"], id="skip"),
        pytest.param(Request(("broken",), include_disabled=True), ["broken"], id="disabled-on-request"),
        pytest.param(
            order(OrderEntry(directory="10_large"), OrderEntry("smoke", enabled=False), OrderEntry("baseline")),
            ["large", "baseline"],
            id="custom-order-with-a-disabled-entry",
        ),
        pytest.param(
            order(OrderEntry("smoke"), OrderEntry("broken")), ["smoke"], id="custom-order-disabled-in-its-file"
        ),
    ],
)
def test_selection(request_, expected):
    assert names(request_) == expected


@pytest.mark.parametrize(
    ("request_", "usage", "texts"),
    [
        pytest.param(Request(), True, ["no scenario was named", "large, baseline, broken, smoke"], id="B70-none"),
        pytest.param(Request(("basline",)), True, ["unknown scenario 'basline'", "did you mean baseline?"], id="B70-near"),
        pytest.param(Request(("smoke",), all=True), True, ["names and all were both given"], id="B69-all-and-name"),
        pytest.param(Request(all=True, mode="random"), True, ["'random'", "auto, directory, custom"], id="mode"),
        pytest.param(
            Request(all=True, tags=("fast",), skip_tags=("fast",)), False,
            ["tag 'fast' is both included and excluded"], id="B40-contradiction",
        ),
        pytest.param(
            Request(all=True, only=("smoke",), skip=("smoke",)), False,
            ["scenario 'smoke' is both included and excluded"], id="B40-only-and-skip",
        ),
        pytest.param(
            Request(tags=("performanse",), skip=("smoke",)), False,
            ["0 scenarios selected of 4 (mode auto)", "1 disabled", "1 in skip_scenarios",
             "2 without tag 'performanse'", "did you mean performance?"], id="B40-nothing",
        ),
        pytest.param(
            Request(("smoke",), skip_tags=("fast",)), False,
            ["0 scenarios selected of 1 named", "1 with excluded tag 'fast'"], id="B40-nothing-of-the-named",
        ),
        pytest.param(order(), False, ["0 scenarios selected of 4 (mode custom): 0 enabled in"], id="B40-empty-order"),
        pytest.param(Request(("broken",)), False, ["metadata.yml:2:1: enabled", "testcell scenario broken --enable"], id="disabled"),
        pytest.param(Request(all=True, only=("smok",)), False, ["only_scenarios", "did you mean smoke?"], id="only-unknown"),
        pytest.param(
            order(OrderEntry(directory="2_basline", file="d.yaml", line=7, column=5)), False,
            ["d.yaml:7:5", "no scenario folder '2_basline'", "did you mean 2_baseline?"], id="B39-missing",
        ),
        pytest.param(
            order(OrderEntry("smoke", file="d.yaml", line=7), OrderEntry(directory="1_smoke", file="d.yaml", line=9)), False,
            ["d.yaml:9", "'1_smoke' is listed twice; first at line 7"], id="B39-twice",
        ),
        pytest.param(
            order(OrderEntry("large", "1_smoke", file="d.yaml", line=7)), False,
            ["folder '1_smoke' holds the scenario 'smoke'; got name 'large'"], id="B39-other-name",
        ),
    ],
)  # fmt: skip
def test_wrong_request_is_refused(request_, usage, texts):
    with pytest.raises(InputError) as refused:
        select(ALL, request_)
    assert refused.value.usage is usage
    for text in texts:
        assert text in str(refused.value)


def test_no_scenarios_at_all_is_an_error():
    with pytest.raises(InputError, match="0 scenarios selected of 0"):
        select((), Request(all=True))


def test_folder_names_are_ordered_by_their_numbers():
    assert sorted(["b", "a10", "10", "", "a2", "9_x", "²", "é1"], key=natural) == [
        "",
        "9_x",
        "10",
        "a2",
        "a10",
        "b",
        "²",
        "é1",
    ]


def test_selection_keeps_scenarios_as_they_are():
    chosen = select([replace(ALL[0], description="kept")], Request(all=True))
    assert chosen[0].description == "kept"
