# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules for names and paths in a scenario. Each returns what is wrong, as a predicate, or "" when nothing is.

A name becomes a folder, a label, a part of a compose project and a word on a command line, so the rule is narrow.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

SCENARIO_NAME = "letters, digits, '_', '-'; a letter or digit first; 1..63 characters"
TAG = "letters, digits, '_', '-', '.', ':'; a letter or digit first; 1..63 characters"
ROLE = "router, prefill, decode, coordinator, worker or a word of your own: lower-case letters, digits, '_', '-'"
LABEL_NAME = "lower-case letters, digits, '_'; a letter first; 1..32 characters"
RELATIVE_PATH = "a relative path that stays inside its folder, of plain characters"
PATTERN = f"{RELATIVE_PATH}; '*', '?' and '[...]' match names"
BASE_PATH = "a folder, absolute or relative, of plain characters"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}")
_ROLE = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_LABEL = re.compile(r"[a-z][a-z0-9_]{0,31}")
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)
_JINJA = re.compile(r"\{\{|\{%|\{#")
_SHELL = re.compile(r"[$`;|&<>:\n\r\"'\\]")
_WILDCARD = re.compile(r"[*?\[]")
_DRIVE = re.compile(r"[A-Za-z]:")
_LONGEST_PATH = 255

RESERVED_NAMES = ("all", "latest", "local", "auto")
BLOCKED_ENV = (
    "PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "GCONV_PATH",
    "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PERL5OPT", "PERL5LIB", "NODE_OPTIONS", "DOCKER_HOST",
)  # fmt: skip
BLOCKED_ENV_PREFIXES = ("LD_", "DYLD_", "ANSIBLE_", "TESTCELL_", "SCENARIO_", "BASH_FUNC_")
ENV_NAME = (
    f"letters, digits, '_', no digit first; not {', '.join(BLOCKED_ENV)},"
    f" and none that starts with {', '.join(BLOCKED_ENV_PREFIXES)}"
)


def has_jinja(text: str) -> bool:
    """Tell whether text holds a Jinja marker; such text is never run, whatever it says."""
    return _JINJA.search(text) is not None


def wrong_scenario_name(name: str) -> str:
    """Return why name cannot be a scenario's name."""
    if has_jinja(name):
        return "cannot hold template text, names are taken as they are written"
    if not _NAME.fullmatch(name):
        return "is not a scenario name"
    if _DEVICE.fullmatch(name):
        return "is a device name on other systems"
    return "is a word with a meaning of its own" if name.casefold() in RESERVED_NAMES else ""


def wrong_tag(tag: str) -> str:
    """Return why tag cannot be a tag."""
    return "" if _TAG.fullmatch(tag) else "is not a tag"


def wrong_role(role: str) -> str:
    """Return why role cannot be the role of a service."""
    return "" if _ROLE.fullmatch(role) else "is not a role"


def wrong_label_name(name: str) -> str:
    """Return why name cannot be the name of a matrix label."""
    return "" if _LABEL.fullmatch(name) else "is not a label name"


def wrong_env_name(name: str) -> str:
    """Return why a variable of this name cannot be given to the test script."""
    if not _ENV.fullmatch(name):
        return "is not the name of an environment variable"
    if name.upper() in BLOCKED_ENV or name.upper().startswith(BLOCKED_ENV_PREFIXES):
        return "is an environment variable that a scenario cannot set"
    return ""


def wrong_path(text: str) -> str:
    """Return why text is no path of one file or folder below another folder."""
    return wrong_pattern(text) or ("cannot hold wildcards" if _WILDCARD.search(text) else "")


def wrong_pattern(text: str) -> str:
    """Return why text is no path below a folder; it may hold `*`, `?` and `[`."""
    if text.strip("./ ") == "":
        return "names no file or folder"
    if text.startswith(("/", "~")) or _DRIVE.match(text):
        return "must be a relative path"
    if ".." in PurePosixPath(text).parts:
        return "leads out of its folder"
    return _wrong_characters(text)


def wrong_base_path(text: str) -> str:
    """Return why text is no folder to start from; it may be absolute."""
    below = text.lstrip("/")
    return wrong_path(below) if below else "names no file or folder"


def _wrong_characters(text: str) -> str:
    if has_jinja(text):
        return "cannot hold template text, paths are taken as they are written"
    if _SHELL.search(text) or text.startswith("-") or not text.isprintable() or text != text.strip():
        return "holds a character that a shell, a terminal or a list of paths gives a meaning"
    return f"is longer than {_LONGEST_PATH} bytes" if len(text.encode()) > _LONGEST_PATH else ""
