# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with the variables that say whether prep installs, and what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..node.packages import FORM, PackagesError, named
from ..problems import Problem, describe

WANTED, PACKAGES = "testcell_install", "testcell_install_packages"
VARIABLES = (WANTED, PACKAGES)
# What Ansible takes for true and false.
_TRUE = frozenset({"true", "yes", "on", "1", "t", "y"})
FALSE = frozenset({"false", "no", "off", "0", "f", "n"})
WORDS = _TRUE | FALSE


def wanted(extra: Mapping[str, Any], host: Mapping[str, Any]) -> bool:
    """Return whether a host is to get what it lacks. extra: the variables of -e, which go before the host's own."""
    return str(extra.get(WANTED, host.get(WANTED, False))).lower() in _TRUE


def problems(variables: Mapping[str, Any], origin: str, prefix: str = "") -> Iterator[Problem]:
    """Yield what is wrong with the variables among others. prefix: what stands before their names, such as a host's."""
    install, packages = variables.get(WANTED), variables.get(PACKAGES)
    if install is not None and str(install).lower() not in WORDS:
        yield Problem(origin, 0, 0, prefix + WANTED, "must be true or false", describe(install))
    try:
        named({} if packages is None else packages)
    except PackagesError as exc:
        yield Problem(origin, 0, 0, prefix + PACKAGES, str(exc), allowed=FORM)
