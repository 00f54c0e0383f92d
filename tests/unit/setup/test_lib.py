# SPDX-License-Identifier: MIT
"""What the set-up scripts share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
TARGETS = """http://mirror.test/debian/ bookworm main
http://mirror.test/debian/ bookworm-updates main
http://security.test/debian-security/ bookworm-security main
"""


def test_mirror_is_the_one_of_this_machine(workshop: Any) -> None:
    workshop.fake("apt-get", f"cat <<'E'\n{TARGETS}E")
    assert workshop.run("lib", "debian_mirror").stdout == "http://mirror.test/debian\n"


def test_machine_without_a_mirror_is_told_apart(workshop: Any) -> None:
    workshop.fake("apt-get", "exit 100")
    assert workshop.run("lib", "debian_mirror || echo none").stdout == "none\n"


def test_other_suite_gets_an_apt_of_its_own(workshop: Any, tmp_path: Path) -> None:
    workshop.fake("apt-get", f"cat <<'E'\n{TARGETS}E")
    done = workshop.run("lib", f"apt_elsewhere {tmp_path}/apt trixie")
    config = Path(done.stdout.strip()).read_text()
    assert re.fullmatch(
        r"deb (\[signed-by=\S+\] )?http://mirror.test/debian trixie main\n", (tmp_path / "apt/sources.list").read_text()
    )
    for setting in ("Dir::State ", "Dir::Cache ", "Dir::Etc::SourceList ", "Dir::Etc::SourceParts "):
        assert setting in config
    assert "/etc/apt" not in config


def test_packages_need_root_and_say_so(workshop: Any) -> None:
    workshop.fake("id", "echo 1000")
    done = workshop.run("lib", "apt_install curl")
    assert done.returncode == 5
    assert "installing curl needs root" in done.stderr


def test_lists_are_fetched_only_when_an_install_fails(workshop: Any) -> None:
    workshop.fake("apt-get", 'case $* in *update) touch "$state/fresh" ;; *install*) [ -f "$state/fresh" ] ;; esac')
    assert workshop.run("lib", "apt_install curl").returncode == 0
    verbs = [re.findall("install|update", call)[-1] for call in workshop.calls if call.startswith("apt-get")]
    assert verbs == ["install", "update", "install"]


def test_end_of_the_log_is_shown_when_packages_cannot_be_had(workshop: Any) -> None:
    workshop.fake("apt-get", "echo E: Unable to locate package curl; exit 100")
    done = workshop.run("lib", "apt_install curl")
    assert done.returncode == 5
    assert "Unable to locate package curl" in done.stderr
    assert "apt-get could not install: curl" in done.stderr


@pytest.mark.parametrize("path", sorted(path.name for path in (ROOT / "setup").iterdir() if path.is_file()))
def test_no_script_names_a_mirror(path: str) -> None:
    assert not re.search(r"https?://|debian\.org", (ROOT / "setup" / path).read_text())
