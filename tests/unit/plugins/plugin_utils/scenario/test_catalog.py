# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import catalog, layers
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.known import Known

BUILT_IN = layers.load(None)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "scenarios"


def errors(root, loaded=BUILT_IN, known=None) -> list[str]:
    return [problem.render() for problem in catalog.validate(root, loaded, known) if problem.is_error]


def test_folders_are_found_in_order_and_only_those_of_scenarios(make_scenario, root):
    for name in ("010_b", "002_a", "_shared", ".git"):
        make_scenario(folder=name)
    (root / "assets").mkdir()
    (root / "README.md").write_text("x")
    assert [ref.name for ref in catalog.discover(root)] == ["002_a", "010_b"]
    assert catalog.discover(root)[0].metadata == root / "002_a" / "metadata.yml"


def test_folder_whose_metadata_is_missing_is_reported_not_passed_over(make_scenario, root):
    make_scenario(None, folder="001_a")
    assert any("has no metadata file" in line for line in errors(root))


@pytest.mark.parametrize(("make", "reason"), [(False, "does not exist"), (True, "cannot be read: Not a directory")])
def test_root_that_is_no_folder_is_named(root, make, reason):
    if make:
        root.write_text("")
    with pytest.raises(InputError, match=reason):
        catalog.discover(root)
    assert any(reason in line for line in errors(root))


def test_all_scenarios_are_loaded(make_scenario, root):
    for number in range(3):
        make_scenario(f"name: s{number}\n", folder=f"00{number}_x")
    assert [scenario.name for scenario in catalog.load_all(root, BUILT_IN)] == ["s0", "s1", "s2"]


def test_B22_same_name_in_two_folders_names_both_files(make_scenario, root):
    make_scenario("name: same\n", folder="001_a")
    make_scenario("enabled: true\nname: same\n", folder="002_b")
    first, second = errors(root)
    assert first.startswith(
        f"{root}/001_a/metadata.yml:1:7: name: the name 'same' is also the name in {root}/002_b/metadata.yml:2"
    )
    assert second.startswith(f"{root}/002_b/metadata.yml:2:7: name: ") and f"{root}/001_a/metadata.yml:1" in second


def test_B21_names_that_differ_only_by_case_clash(make_scenario, root):
    make_scenario("name: Base\n", folder="001_a")
    make_scenario("name: base\n", folder="002_b")
    assert "the name 'Base' differs only by case from 'base' in" in errors(root)[0]
    with pytest.raises(InputError):
        catalog.load_all(root, BUILT_IN)


def test_B22_clash_with_a_broken_scenario_is_seen(make_scenario, root):
    make_scenario("name: same\n", folder="001_a")
    make_scenario("name: same\ntags: 5\n", folder="002_b")
    assert sum("is also the name in" in line for line in errors(root)) == 2


def test_one_broken_scenario_does_not_keep_the_others_from_running(make_scenario, root):
    make_scenario("name: good\n", folder="001_a")
    make_scenario("name: bad\ntags: 5\n", folder="002_b")
    found = catalog.read(root, BUILT_IN)
    assert [scenario.name for scenario in found.usable(["good"])] == ["good"]
    for name in ("bad", "002_b"):
        with pytest.raises(InputError, match="tags: must be a list"):
            found.usable(["good", name])


def test_problems_of_all_scenarios_come_together(make_scenario, root):
    make_scenario("name: a b\n", folder="001_a")
    make_scenario("name: b\ntest_execution: {node: node9}\n", folder="002_b")
    lines = errors(root, known=Known(("node1",)))
    assert any("001_a/metadata.yml:1:7" in line for line in lines)
    assert any("002_b/metadata.yml:2:24" in line for line in lines)


def test_B39_custom_order_is_checked_against_the_folders(make_scenario, root, tmp_path):
    make_scenario("name: smoke\nenabled: false\n", folder="001_smoke")
    path = tmp_path / "defaults.yaml"
    path.write_text(
        "execution:\n  execution_mode: custom\n  custom_order:\n"
        "    - directory: 001_smoke\n    - directory: 009_gone\n    - name: smoke\n"
    )
    path.chmod(0o644)
    lines = [problem.render() for problem in catalog.validate(root, layers.load(path))]
    assert any(
        f"{path}:4:7: warning: execution.custom_order: scenario 'smoke' is disabled in" in line for line in lines
    )
    assert any(f"{path}:5:7: execution.custom_order: there is no scenario folder '009_gone'" in line for line in lines)
    assert any(
        f"{path}:6:7: execution.custom_order: 'smoke' is listed twice; first at line 4" in line for line in lines
    )


def test_filter_that_names_nobody_is_a_warning(make_scenario, root):
    make_scenario()
    loaded = layers.load(None, {"testcell_filters": {"skip_scenarios": ["gone"]}})
    (line,) = [p.render() for p in catalog.validate(root, loaded) if p.severity == "warning" and "filters" in p.key]
    assert "filters.skip_scenarios: no scenario is called 'gone'" in line


def test_a_name_that_nobody_can_read_is_not_called_unknown(make_scenario, root):
    """B01, B04: the wanted scenario is the one whose file is broken."""
    make_scenario("name: good\n", folder="001_a")
    make_scenario("", folder="002_b")
    found = catalog.read(root, BUILT_IN)
    assert found.nameless == ("002_b",)
    assert [scenario.name for scenario in found.usable(["good"])] == ["good"]
    with pytest.raises(InputError) as refused:
        found.usable(["goood"])
    assert not refused.value.usage
    message = str(refused.value)
    assert "002_b/metadata.yml: the file is empty; required keys: name" in message
    assert "no scenario that can be read is called 'goood'" in message and "did you mean good?" in message


def test_a_tag_in_a_filter_that_nobody_has_is_a_warning(make_scenario, root):
    """B40"""
    make_scenario("name: base\ntags: [smoke]\n")
    loaded = layers.load(None, {"testcell_filters": {"include_tags": ["smoek"]}})
    (problem,) = [p for p in catalog.validate(root, loaded) if p.key == "filters.include_tags"]
    assert problem.severity == "warning" and "no scenario has the tag 'smoek'; allowed: smoke" in problem.render()
