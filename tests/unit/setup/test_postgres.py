# SPDX-License-Identifier: MIT
"""setup/postgres: a server that is there is left alone; else its package is laid out, and only what it needs is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

NEEDS = r"""
case "$2" in
postgresql) printf 'postgresql\n  Depends: postgresql-15\n' ;;
postgresql-15) printf 'postgresql-15\n  Depends: locales\n  Depends: <awk>\n  Depends: postgresql-common\n  Depends: ssl-cert\n  Depends: libpq5\n' ;;
esac
"""
UNPACKED = 'mkdir -p "$3/usr/lib/postgresql/15/bin" && touch "$3/usr/lib/postgresql/15/bin/initdb"'
GET = 'case " $* " in *" download "*) touch postgresql-15_15_amd64.deb ;; esac'


absent = pytest.mark.skipif(Path("/usr/lib/postgresql").exists(), reason="this machine has a PostgreSQL server")


@pytest.fixture
def apt(workshop: Any) -> Any:
    workshop.leave_only_usual_tools()
    for name in ("mkdir", "mv", "chmod", "touch"):
        (workshop.bin / "system" / name).symlink_to(f"/usr/bin/{name}")
    workshop.fake("apt-cache", NEEDS)
    workshop.fake("apt-get", GET)
    workshop.fake("dpkg", UNPACKED)
    workshop.fake("id", "echo 0")
    return workshop


def test_a_server_that_is_there_is_left_alone(apt: Any) -> None:
    apt.fake("initdb")
    assert (apt.run("postgres").returncode, apt.calls) == (0, [])


@absent
def test_the_programs_are_laid_out_and_their_package_is_not_installed(apt: Any) -> None:
    done = apt.run("postgres")
    assert done.returncode == 0, done.stderr
    assert (apt.project / ".cache/postgres/usr/lib/postgresql/15/bin/initdb").exists()
    installs = [call.split() for call in apt.calls if " install " in f"{call} "]
    assert [call[-1] for call in installs] == ["libpq5"]
    assert not [call for call in installs if {"postgresql", "postgresql-15", "ssl-cert"} & set(call)]
    assert [path.name for path in (apt.project / ".cache").iterdir()] == ["postgres"]
    calls = len(apt.calls)
    assert (apt.run("postgres").returncode, len(apt.calls)) == (0, calls)


@absent
def test_a_package_that_cannot_be_had_is_told(apt: Any) -> None:
    apt.fake("apt-get", 'case " $* " in *" download "*) echo "E: no network" >&2; exit 100 ;; esac')
    done = apt.run("postgres")
    assert done.returncode == 5
    assert "E: no network" in done.stderr and "the package postgresql-15 could not be had" in done.stderr
    assert [path.name for path in (apt.project / ".cache").iterdir()] == []
