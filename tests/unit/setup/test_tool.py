# SPDX-License-Identifier: MIT
"""setup/tool: a program that is there is left alone, an absent one is installed from its package."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("there", "words", "installs"),
    [(True, ["strace"], []), (False, ["strace"], ["strace"]), (False, ["strace", "package"], ["package"])],
)
def test_a_tool_is_installed_where_it_is_absent(
    workshop: Any, there: bool, words: list[str], installs: list[str]
) -> None:
    workshop.leave_only_usual_tools()
    workshop.fake("apt-get")
    workshop.fake("id", "echo 0")
    if there:
        workshop.fake("strace")
    assert workshop.run("tool", *words).returncode == 0
    assert [call.split()[-1] for call in workshop.calls if call.startswith("apt-get")] == installs
