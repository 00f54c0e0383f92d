# SPDX-License-Identifier: MIT
"""How often a test is tried: once, or with --all-tries as often as the fault catalogue says."""

from __future__ import annotations


def pytest_addoption(parser):
    parser.addoption("--all-tries", action="store_true", help="run each test as often as its mark `tries` says")


def pytest_collection_modifyitems(config, items):
    """Leave out what takes long unless all is tried."""
    if not config.getoption("all_tries"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_generate_tests(metafunc):
    mark = metafunc.definition.get_closest_marker("tries")
    if mark and metafunc.config.getoption("all_tries"):
        (count,) = mark.args
        metafunc.fixturenames.append("a_try")
        metafunc.parametrize("a_try", range(1, count + 1), ids="try {}".format)
