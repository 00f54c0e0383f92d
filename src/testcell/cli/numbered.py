# SPDX-License-Identifier: MIT

"""Options whose number may be left out: `--wait` stands for `--wait 3600`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from testcell.cli.settings import StrictCommand

NUMBER = re.compile(r"-?\d+")


def with_number(args: Sequence[str], option: str, number: int) -> list[str]:
    """Return the arguments with a number behind each option of this name that has none."""
    found: list[str] = []
    for index, word in enumerate(args):
        found.append(word)
        if word == "--":
            return [*found, *args[index + 1 :]]
        if word == option and not any(map(NUMBER.fullmatch, args[index + 1 : index + 2])):
            found.append(str(number))
    return found


class WaitCommand(StrictCommand):
    """A command whose option --wait may stand without its number."""

    WAIT_S: ClassVar[int] = 3600

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, with the number that --wait stands for where none was given."""
        return super().parse_args(ctx, with_number(args, "--wait", self.WAIT_S))
