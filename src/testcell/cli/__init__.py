# SPDX-License-Identifier: MIT

"""The command line: one file a group of commands, nothing imported that a command does not need."""

from __future__ import annotations
