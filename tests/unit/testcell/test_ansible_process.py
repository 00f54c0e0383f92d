# SPDX-License-Identifier: MIT

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from testcell import ansible_process
from testcell.project import Project


def test_the_interpreter_s_own_programs_come_first(project: Path) -> None:
    found = ansible_process.environment(Project(project), project)
    assert found["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert found["ANSIBLE_CONFIG"] == str(project / "ansible.cfg")


@pytest.mark.parametrize(("text", "checking"), [("[defaults]\nhost_key_checking = false\n", "false"), ("", "True")])
def test_host_keys_are_checked_as_the_project_says(
    project: Path, monkeypatch: pytest.MonkeyPatch, text: str, checking: str
) -> None:
    monkeypatch.delenv("ANSIBLE_HOST_KEY_CHECKING", raising=False)
    (project / "ansible.cfg").write_text(text)
    assert ansible_process.environment(Project(project), project)["ANSIBLE_HOST_KEY_CHECKING"] == checking


@pytest.mark.parametrize(
    ("variables", "given"),
    [
        pytest.param({}, "C.UTF-8", id="B71-unset"),
        pytest.param({"LC_ALL": "C"}, "C.UTF-8", id="B71-C"),
        pytest.param({"LANG": "xx_XX.UTF-8"}, "C.UTF-8", id="B71-unknown"),
        pytest.param({"LC_ALL": "C.UTF-8"}, None, id="B71-utf-8-stays"),
    ],
)
def test_ansible_gets_a_locale_it_can_work_with(
    project: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], given: str | None
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert ansible_process.environment(Project(project), project).get("LC_ALL") == given


def test_without_a_home_the_user_s_own_is_looked_up(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B71"""
    monkeypatch.delenv("HOME")
    assert ansible_process.environment(Project(project), project)["HOME"]
    monkeypatch.setattr(os, "geteuid", lambda: 3_999_999)
    assert ansible_process.environment(Project(project), project)["HOME"] == str(project)


def test_variables_of_ours_do_not_reach_ansible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTCELL_SECRET", "x")
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", "json")
    monkeypatch.setenv("NODE1_PASSWORD", "kept")
    with ansible_process.clean_environ():
        assert "TESTCELL_SECRET" not in os.environ and "ANSIBLE_STDOUT_CALLBACK" not in os.environ
        assert os.environ["NODE1_PASSWORD"] == "kept"
    assert os.environ["TESTCELL_SECRET"] == "x"
