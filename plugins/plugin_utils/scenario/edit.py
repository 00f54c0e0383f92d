# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns a scenario on or off in its own file, by changing that one word; comments, quotes and line ends stay."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..problems import InputError, Problem
from ..run import atomic
from . import strict_yaml

_KEY = "enabled"
_AFTER = "name"


@dataclass(frozen=True)
class _Item:
    """One item of the top mapping: where its key and its value stand in the text (characters from 0)."""

    key_column: int
    value_start: int
    value_end: int
    anchor: str
    simple: bool


def set_enabled(path: Path, enabled: bool) -> bool:
    """Set `enabled` in the metadata file and tell whether the file was changed. Raise InputError when it is unreadable.

    The file is written in one step with its mode kept. A missing key is put in after `name`.
    """
    target = path.resolve()
    document = strict_yaml.load(path)
    if document.data.get(_KEY, True) is enabled:
        return False
    text = target.read_bytes().decode("utf-8")
    edited = with_enabled(text, enabled)
    if strict_yaml.parse(edited, str(path)).data != {**document.data, _KEY: enabled}:
        message = f"cannot be edited without touching other keys; set it to {_word(enabled)} by hand"
        raise InputError([Problem(str(path), *document.mark((_KEY,)), _KEY, message)])
    atomic.write_bytes(target, edited.encode("utf-8"), mode=stat.S_IMODE(target.stat().st_mode))
    return True


def with_enabled(text: str, enabled: bool) -> str:
    """Return the text of a metadata file with `enabled` set; all else is kept to the character."""
    items, flow = _top_items(text)
    if _KEY in items:
        item = items[_KEY]
        anchor = f"&{item.anchor} " if item.anchor and item.simple else ""
        gap = " " if item.value_start and text[item.value_start - 1] == ":" else ""
        return text[: item.value_start] + gap + anchor + _word(enabled) + text[item.value_end :]
    item = items.get(_AFTER) or next(iter(items.values()))
    if flow:
        return f"{text[: item.value_end]}, {_KEY}: {_word(enabled)}{text[item.value_end :]}"
    return _with_line_after(text, item, f"{' ' * item.key_column}{_KEY}: {_word(enabled)}")


def _with_line_after(text: str, item: _Item, line: str) -> str:
    """Return text with line put below the one in which the item's value ends, with that line's own line end."""
    end = text.find("\n", max(item.value_end - 1, 0))
    if end < 0:
        line_end = "\r\n" if "\r\n" in text else "\n"
        return f"{text}{line_end}{line}{line_end}"
    line_end = "\r\n" if text[end - 1 : end] == "\r" else "\n"
    return f"{text[: end + 1]}{line}{line_end}{text[end + 1 :]}"


def _top_items(text: str) -> tuple[dict[str, _Item], bool]:
    """Return the items of the top mapping, and whether it is written with braces."""
    events: list[Any] = [event for event in yaml.parse(text, Loader=yaml.SafeLoader) if not _is_frame(event)]
    items: dict[str, _Item] = {}
    position = 1
    while position < len(events) - 1:
        key, position = events[position], position + _width(events, position)
        value, last = events[position], events[position + _width(events, position) - 1]
        position += _width(events, position)
        items[str(getattr(key, "value", ""))] = _item(key, value, last)
    return items, bool(events[0].flow_style)


def _item(key: Any, value: Any, last: Any) -> _Item:
    simple = isinstance(value, yaml.ScalarEvent)
    return _Item(
        key_column=key.start_mark.column,
        value_start=value.start_mark.index,
        value_end=last.end_mark.index,
        anchor=value.anchor or "",
        simple=simple,
    )


def _width(events: list[Any], position: int) -> int:
    """Return how many events the value that starts at position takes."""
    depth, width = 0, 0
    while width == 0 or depth > 0:
        event = events[position + width]
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        width += 1
    return width


def _is_frame(event: Any) -> bool:
    frame = yaml.StreamStartEvent | yaml.StreamEndEvent | yaml.DocumentStartEvent | yaml.DocumentEndEvent
    return isinstance(event, frame)


def _word(enabled: bool) -> str:
    return "true" if enabled else "false"
