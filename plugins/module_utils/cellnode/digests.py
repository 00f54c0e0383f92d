# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which digest proves a transfer: the one that both ends have and for which the slower end is fastest."""

from __future__ import annotations

import hashlib
import importlib.util
import math
import sys
import time
from collections.abc import Callable, Mapping
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any

STANDARD = ("sha256", "blake2b")
# Name -> module and the function in it. xxh3_128 finds damage and no intent, so it is used only where it is asked for.
OUTSIDE = {"blake3": ("blake3", "blake3"), "xxh3_128": ("xxhash", "xxh3_128")}
NAMES = (*OUTSIDE, *STANDARD)
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
FOLDERS = (
    "/usr/lib/python3/dist-packages",
    f"/usr/local/lib/{VERSION}/dist-packages",
    *(f"{base}/{VERSION}/site-packages" for base in ("/usr/lib64", "/usr/lib", "/usr/local/lib")),
)
SAMPLE = bytes(1 << 16)
MEASURE_S = 0.001
MEASURES = 8  # at least, since others may keep this machine busy for longer than the time above

Factory = Callable[..., Any]  # hashlib's way: new(data) -> object with update() and hexdigest()
Load = Callable[[str], "ModuleType | None"]


def of_system(name: str) -> ModuleType | None:
    """Return a module from the folders that belong to this node's system, never from a user's; None where it is not there.

    The program runs without any folder but the standard library's.
    """
    if name not in sys.modules:
        spec = PathFinder.find_spec(name, FOLDERS)
        if spec is None or spec.loader is None:
            return None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception:  # made for another Python, or broken: it counts as absent, whatever it raises
            del sys.modules[name]
            return None
    return sys.modules[name]


def factory(name: str, load: Load = of_system) -> Factory | None:
    """Return what makes digests of this name, None where this end lacks it."""
    if name in STANDARD:
        made: Factory = getattr(hashlib, name)
        return made
    module_name, function = OUTSIDE.get(name, ("", ""))
    module = load(module_name) if module_name else None
    return getattr(module, function, None)


def speed(new: Factory) -> float:
    """Return how many MB/s this machine makes digests of when nothing else keeps it busy: the best of about a millisecond."""
    new(SAMPLE)  # the first one of a library takes longer than all others
    best, done, end = math.inf, 0, time.perf_counter() + MEASURE_S
    while done < MEASURES or time.perf_counter() < end:
        begin = time.perf_counter()
        new(SAMPLE)
        best, done = min(best, time.perf_counter() - begin), done + 1
    return len(SAMPLE) / max(best, 1e-9) / 1e6


def speeds(names: tuple[str, ...], load: Load = of_system) -> dict[str, float]:
    """Return name -> MB/s of the digests among names that this end has."""
    there = {name: factory(name, load) for name in names}
    return {name: speed(new) for name, new in there.items() if new is not None}


def choose(theirs: Mapping[str, float], ours: Mapping[str, float]) -> str:
    """Return the name for which the slower end is fastest; "" where the ends have none in common."""
    both = [name for name in NAMES if name in theirs and name in ours]
    return max(both, key=lambda name: min(theirs[name], ours[name]), default="")
