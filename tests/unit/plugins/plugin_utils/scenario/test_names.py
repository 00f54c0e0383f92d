# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.scenario import names

TEMPLATE = "{{ lookup('pipe', 'id') }}"


@pytest.mark.parametrize("name", ["a", "001_baseline", "Baseline-2", "9", "x" * 63])
def test_names_that_are_safe_everywhere_are_taken(name):
    assert names.wrong_scenario_name(name) == ""


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "..", ".", "a b", "a\n", "\n", "-rf", "x" * 64, "x" * 300, "CON", "nul", "com1", "🚀", "a.b", "_a", "é",
     "a$(id)", "`id`", "; rm -rf /", TEMPLATE, "all", "local", "AUTO", "latest", "a\u202eb", "а"],  # noqa: RUF001 - Cyrillic
)  # fmt: skip
def test_B21_names_that_are_not_safe_are_refused(name):
    assert names.wrong_scenario_name(name)


@pytest.mark.parametrize("name", ["HF_HOME", "_x", "no_proxy", "CUDA_VISIBLE_DEVICES", "PATHS", "OLD_X"])
def test_plain_environment_names_are_taken(name):
    assert names.wrong_env_name(name) == ""


@pytest.mark.parametrize(
    "name",
    ["1A", "A=B", "", "A B", "A-B", "é", "LD_PRELOAD", "LD_LIBRARY_PATH", "PATH", "Path", "ANSIBLE_CONFIG", "BASH_ENV",
     "PYTHONPATH", "TESTCELL_RUN_ID", "SCENARIO_NAME", "BASH_FUNC_ls%%", "A\nB", TEMPLATE],
)  # fmt: skip
def test_B36_environment_names_that_steer_other_programs_are_refused(name):
    assert names.wrong_env_name(name)


@pytest.mark.parametrize(
    "path", ["results/", "logs/benchmark.log", "a b.txt", "metrics/performance.json", ".hidden", "é"]
)
def test_relative_paths_are_taken(path):
    assert names.wrong_path(path) == ""


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/passwd", "must be a relative path"),
        ("~/x", "must be a relative path"),
        ("C:\\x", "must be a relative path"),
        ("../../x", "leads out of its folder"),
        ("a/../../b", "leads out of its folder"),
        ("", "names no file or folder"),
        (" ", "names no file or folder"),
        (".", "names no file or folder"),
        ("./", "names no file or folder"),
        ("$HOME", "gives a meaning"),
        ("$(id)", "gives a meaning"),
        ("a\nb", "gives a meaning"),
        ("a\x1bb", "gives a meaning"),
        ("ab:c", "gives a meaning"),
        ("a\\b", "gives a meaning"),
        ("-rf", "gives a meaning"),
        ("x ", "gives a meaning"),
        (TEMPLATE, "cannot hold template text"),
        ("a/{{ x }}", "cannot hold template text"),
        ("x" * 256, "longer than 255 bytes"),
        ("*.json", "cannot hold wildcards"),
    ],
)
def test_B27_paths_that_leave_or_confuse_are_refused(path, reason):
    assert reason in names.wrong_path(path)


@pytest.mark.parametrize("pattern", ["*.json", "results/**", "logs/[0-9]?.log"])
def test_result_paths_may_hold_wildcards(pattern):
    assert names.wrong_pattern(pattern) == ""


@pytest.mark.parametrize("pattern", ["/etc/*", "../*", "$HOME/*"])
def test_B27_wildcards_do_not_excuse_the_rest(pattern):
    assert names.wrong_pattern(pattern)


@pytest.mark.parametrize(
    ("path", "good"), [("/opt/benchmark", True), ("data/x", True), ("/", False), ("/a/../b", False)]
)
def test_base_path_may_be_absolute(path, good):
    assert (names.wrong_base_path(path) == "") is good


@pytest.mark.parametrize(("text", "good"), [("performance", True), ("gpu:8", True), ("a b", False), (TEMPLATE, False)])
def test_tags_are_plain_words(text, good):
    assert (names.wrong_tag(text) == "") is good
