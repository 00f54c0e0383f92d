# SPDX-License-Identifier: MIT
"""Clocks of a node that are ahead of this machine's."""

from __future__ import annotations

from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.context import Clock


class Later(Clock):
    """The node's clocks, so many seconds later."""

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "ahead", 0.0)

    def boottime(self) -> float:
        return super().boottime() + self.ahead  # type: ignore[attr-defined]

    def go(self, seconds: float) -> None:
        """Be ahead by so many seconds more."""
        object.__setattr__(self, "ahead", self.ahead + seconds)  # type: ignore[attr-defined]
