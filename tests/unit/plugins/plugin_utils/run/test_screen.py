# SPDX-License-Identifier: MIT
from __future__ import annotations

import os

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.run import screen


def test_a_stream_that_was_closed_takes_all_and_keeps_nothing():
    with screen.lasting(None) as stream:
        assert stream.write("words\n") == 6


def test_what_is_read_arrives(tmp_path):
    with (tmp_path / "log").open("w") as stream:
        shown = screen.lasting(stream)
        shown.write("words ")
        print("more", file=shown, flush=True)
        assert screen.lasting(shown) is shown and shown.name == stream.name
    assert (tmp_path / "log").read_text() == "words more\n"


def test_a_reader_that_goes_away_stops_nobody():
    """B71"""
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", buffering=1) as stream:
        shown = screen.lasting(stream)
        shown.write("heard\n")
        assert os.read(reader, 100) == b"heard\n"
        os.close(reader)
        assert shown.write("not heard\n") == 10
        shown.write("nor this\n")
        shown.flush()


def test_a_flush_that_fails_stops_nobody():
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        os.close(reader)
        shown = screen.lasting(stream)
        shown.write("kept back\n")
        shown.flush()
        shown.flush()


def test_f08_what_cannot_be_shown_is_dropped_and_a_fault_of_ours_is_not():
    shown = []

    def show(text, *, refused=None):
        if refused:
            raise refused
        shown.append(text)

    lossy = screen.unfailing(show)
    lossy("first")
    lossy("second", refused=OSError(28, "No space left on device"))
    lossy("third")
    assert shown == ["first", "third"]
    with pytest.raises(ValueError, match="ours"):
        lossy("fourth", refused=ValueError("ours"))
