# SPDX-License-Identifier: MIT
from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.problems import InputError
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import layers, settings
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario.setting import Setting

SHIPPED = Path(__file__).parents[5] / "config" / "defaults.yaml"


@pytest.fixture
def write(tmp_path):
    def make(text: str) -> Path:
        path = tmp_path / "defaults.yaml"
        path.write_text(text)
        path.chmod(0o644)
        return path

    return make


def refusal(*args, **kwargs) -> str:
    with pytest.raises(InputError) as refused:
        layers.load(*args, **kwargs)
    return str(refused.value)


def test_shipped_file_holds_every_setting_with_its_built_in_value():
    shipped = layers.load(SHIPPED).base
    built_in = layers.built_in()
    assert {path: one.value for path, one in shipped.items()} == {path: one.value for path, one in built_in.items()}
    assert {one.layer for one in shipped.values()} == {"global"}


def test_shipped_file_documents_every_key_in_a_comment():
    lines = SHIPPED.read_text().splitlines()
    for path in settings.leaf_specs():
        places = [number for number, line in enumerate(lines) if line.strip().lstrip("# ").startswith(f"{path[-1]}:")]
        assert places, path
        assert all(lines[place - 1].strip().startswith("#") for place in places), path


def test_nearer_layers_win(write):
    path = write("test_execution: {timeout: 100, grace: 11, node: auto}\n")
    merged = layers.load(path, {"testcell_test_execution_timeout": 200, "testcell_test_execution_node": "n1"},
                         {"test_execution.timeout": 400})  # fmt: skip
    own = {("test_execution", "timeout"): Setting(300, "scenario", "m.yml", 3, 1),
           ("test_execution", "grace"): Setting(12, "scenario", "m.yml", 4, 1)}  # fmt: skip
    result = merged.over(own)
    assert [result["test_execution", key].value for key in ("timeout", "grace", "node", "script")] == [
        400, 12, "n1", "run_test.sh",
    ]  # fmt: skip


def test_B67_origin_shows_every_layer_that_has_the_key(write):
    path = write("# c\ntest_execution:\n  timeout: 100\n")
    merged = layers.load(path, {"testcell_test_execution_timeout": 200}, {"test_execution.timeout": 400}).over(
        {("test_execution", "timeout"): Setting(300, "scenario", "m.yml", 3, 1)}
    )
    (origin,) = [one for one in layers.origins_of(merged) if one.key == "test_execution.timeout"]
    assert [(one.value, one.layer, one.file, one.line) for one in (origin, *origin.shadows)] == [
        (400, "override", "-e", 0),
        (300, "scenario", "m.yml", 3),
        (200, "global", "inventory variables", 0),
        (100, "global", str(path), 3),
        (2400, "built-in", "", 0),
    ]


def test_free_keys_are_merged_and_lists_replaced(write):
    path = write("test_execution:\n  env: {A: '1', B: '2'}\n  args: [a, b]\n")
    base = layers.load(path, {"testcell_test_execution_env": {"B": "3"}, "testcell_test_execution_args": ["c"]}).base
    section = layers.nested(base, "test_execution")
    assert section["env"] == {"A": "1", "B": "3"} and section["args"] == ["c"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}\n", "---\n"])
def test_empty_file_leaves_the_built_in_values(write, text):
    assert layers.load(write(text)).value("test_execution", "timeout") == 2400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test_exec: {}\n", ":1:1: test_exec: in the global layer: unknown key"),
        ("test_execution:\n  time_out: 5\n", ":2:3: test_execution.time_out: in the global layer: unknown key"),
        ("test_execution:\n  time_out: 5\n", "did you mean timeout?"),
        ("test_execution:\n  timeout: 10m\n", ":2:12: test_execution.timeout: in the global layer: must be an integer; got string '10m'"),
        ("test_execution:\n  timeout: null\n", "leave the key out to take the layer below; got null"),
        ("test_execution:\n  timeout:\n", "leave the key out to take the layer below; got null"),
        ("test_execution: null\n", "test_execution: in the global layer: must be a mapping"),
        ("timeout: 5\n", "key is at the wrong level, it belongs to test_execution"),
        ("- a\n", "in the global layer: must be a mapping"),
        ("test_execution: {timeout: 1}\ntest_execution: {timeout: 2}\n", "duplicate key 'test_execution'"),
        ("retry_strategy: {service_level_retries: -1}\n", "is out of range; got integer -1; allowed: 0..10"),
        ("execution: {execution_mode: random}\n", "allowed: auto, directory, custom"),
        ("a: [\n", "in the global layer: "),
        ("filters: {include_tags: [x], exclude_tags: [x]}\n", "filters.include_tags: 'x' is also in exclude_tags"),
        ("execution: {custom_order: [{enabled: true}]}\n", "an entry needs a name or a directory"),
        ("execution: {execution_mode: custom}\n", "mode custom needs entries in execution.custom_order"),
    ],
)  # fmt: skip
def test_B66_wrong_file_names_layer_file_and_key(write, text, expected):
    path = write(text)
    message = refusal(path)
    assert expected in message and str(path) in message


def test_B66_all_layers_report_together(write):
    message = refusal(write("a: 1\n"), {"testcell_filters": 3}, {"test_execution.timeout": "ten"})
    assert len(message.splitlines()) == 3
    for text in ("defaults.yaml:1:1: a: in the global layer", "inventory variables: filters: in the global layer: must be",
                 "-e: test_execution.timeout: in the override layer: must be an integer; got string 'ten'"):  # fmt: skip
        assert text in message


def test_B33_delay_beyond_the_timeout_is_a_contradiction(write):
    message = refusal(write("retry_strategy: {retry_delay: 500}\n"))
    assert "a retry after 500 s never starts: deployment_timeout is 450 s (built-in layer)" in message


def test_B33_short_timeout_over_a_lower_delay_is_a_warning(write):
    text = "concurrent_execution: {deployment_timeout: 20}\nretry_strategy: {service_level_retries: 1}\n"
    loaded = layers.load(write(text))
    (warning,) = loaded.warnings
    assert warning.severity == "warning" and "retry_delay is 30 s (built-in layer)" in warning.message


def test_B68_missing_file_is_named(tmp_path):
    assert "file does not exist" in refusal(tmp_path / "none.yaml")


def test_B68_world_writable_file_is_refused_and_not_read(write):
    path = write("a: [\n")
    path.chmod(0o666)
    message = refusal(path)
    assert message.splitlines() == [message] and f"run: chmod o-w {path}" in message and "mode 0666" in message


def test_B68_directory_in_place_of_the_file_is_named(tmp_path):
    assert "not a regular file; got directory" in refusal(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_B68_owner_is_checked_for_the_given_user(write):
    path = write("{}\n")
    os.chown(path, 4321, -1)
    assert "owner uid 4321" in refusal(path, user=0)


def test_template_text_in_a_layer_stays_text(write):  # B34
    path = write("test_execution: {args: [\"{{ lookup('pipe', 'touch /tmp/x') }}\"]}\n")
    assert layers.load(path).value("test_execution", "args") == ["{{ lookup('pipe', 'touch /tmp/x') }}"]
