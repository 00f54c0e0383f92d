# SPDX-License-Identifier: MIT
"""setup/images: made once, made again when an input changes, and the reason told when one cannot be made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

# Keeps the labels of what was built in files; registry and failures are switched on by files.
DOCKER = r"""
key() { echo "$state/image-$(echo "$1" | tr '/:' '__')"; }
case "$1 $2" in
'image inspect') cat "$(key "${@: -1}")" 2>/dev/null ;;
'manifest inspect') [ -f "$state/registry" ] ;;
'import -') cat >/dev/null; touch "$(key "$3")" ;;
'build --quiet')
  while [ $# -gt 1 ]; do
    case $1 in
    --label) case $2 in testcell.inputs=*) inputs=${2#*=} ;; testcell.base=*) base=${2#*=} ;; esac ;;
    --tag) tag=$2 ;;
    esac
    shift
  done
  [ ! -f "$state/broken-$base" ] || exit 1
  echo "$inputs $base" >"$(key "$tag")" ;;
esac
"""


@pytest.fixture
def project(workshop: Any, write: Callable[[str, str], None]) -> Any:
    """A workshop with images whose inputs are small, a Debian mirror, and no registry."""
    for folder in ("engine_llama", "engine_sim", "node"):
        write(f"images/{folder}/Dockerfile", "ARG BASE=debian:bookworm-slim\nFROM ${BASE}\n")
        write(f"images/{folder}/packages.txt", "# comment\npython3\ncurl # more\n")
    write("images/base/install-packages", "")
    write("images/engine_llama/make_model.py", "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text('model')")
    workshop.fake("docker", DOCKER)
    workshop.fake("apt-get", "echo http://mirror.test/debian/ bookworm main")
    workshop.fake("mmdebstrap", "echo root file system")
    return workshop


def made(project: Any) -> list[str]:
    """Return the names of the images that were built."""
    builds = [call for call in project.calls if call.startswith("docker build")]
    return [call.split("--tag testcell/")[1].split(":")[0] for call in builds]


def test_images_are_made_once(project: Any) -> None:
    assert project.run("images", "engine-llama", "engine-sim").returncode == 0
    assert sorted(made(project)) == ["engine-llama", "engine-sim"]
    assert project.run("images", "engine-llama", "engine-sim").returncode == 0
    assert len(made(project)) == 2


def test_only_the_image_whose_inputs_changed_is_made_again(project: Any, write: Callable[[str, str], None]) -> None:
    project.run("images", "engine-llama", "engine-sim")
    write("images/engine_sim/engine_sim/new.py", "")
    project.run("images", "engine-llama", "engine-sim")
    assert made(project)[2:] == ["engine-sim"]


def test_compiled_python_is_no_input(project: Any, write: Callable[[str, str], None]) -> None:
    project.run("images", "engine-sim")
    write("images/engine_sim/engine_sim/__pycache__/new.pyc", "")
    project.run("images", "engine-sim")
    assert made(project) == ["engine-sim"]


def test_base_of_packages_is_made_from_the_list_at_the_machine_s_mirror(project: Any) -> None:
    project.run("images", "engine-llama")
    (call,) = [call for call in project.calls if call.startswith("mmdebstrap")]
    assert "--include=python3,curl " in call
    assert call.endswith("sid - deb http://mirror.test/debian sid main")
    assert "--network none" in next(call for call in project.calls if call.startswith("docker build"))


def test_base_comes_from_a_registry_that_answers(project: Any) -> None:
    (project.bin / "registry").touch()
    project.run("images", "engine-sim")
    assert not [call for call in project.calls if call.startswith("mmdebstrap")]
    assert any("--build-arg BASE=debian:bookworm-slim" in call for call in project.calls)


def test_base_can_be_forced(project: Any) -> None:
    (project.bin / "registry").touch()
    project.environment["TESTCELL_BASE"] = "debian"
    project.run("images", "engine-sim")
    assert [call for call in project.calls if call.startswith("mmdebstrap")]
    project.environment["TESTCELL_BASE"] = "registry"
    project.run("images", "engine-sim")
    assert made(project) == ["engine-sim", "engine-sim"]


def test_registry_that_fails_half_way_is_answered_by_packages(project: Any) -> None:
    (project.bin / "registry").touch()
    (project.bin / "broken-registry").touch()
    done = project.run("images", "engine-sim")
    assert done.returncode == 0
    assert "cannot be built on a base from the registry" in done.stderr


@pytest.mark.parametrize(
    ("broken", "status", "named"), [("engine-llama", 3, "engine-llama:1"), ("engine-sim", 5, "engine-sim:1")]
)
def test_status_says_whether_the_simulated_engine_can_stand_in(
    project: Any, broken: str, status: int, named: str
) -> None:
    suite = "sid" if broken == "engine-llama" else "bookworm"
    project.fake("mmdebstrap", f'case $* in *" {suite} "*) echo E: no such suite >&2; exit 25 ;; esac')
    done = project.run("images", "engine-llama", "engine-sim")
    assert done.returncode == status
    assert f"testcell/{named} could not be made" in done.stderr
    assert "no such suite" in done.stderr
    assert made(project) == [name for name in ("engine-llama", "engine-sim") if name != broken]


def test_unknown_image_is_a_usage_error(project: Any) -> None:
    done = project.run("images", "engine-lama")
    assert done.returncode == 2
    assert "unknown image 'engine-lama'; known: engine-llama, engine-sim, node" in done.stderr
