# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Actions that keep a run's files on the controller: what the disk refuses them is a failure with a kind."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from ..plugin_utils.deploy.placement import LOCAL
from ..plugin_utils.run import limits
from ..plugin_utils.verdict import failure

Self = TypeVar("Self")
Run = Callable[[Self, "str | None", "dict[str, Any] | None"], "dict[str, Any]"]


def keeping(step: str) -> Callable[[Run[Self]], Run[Self]]:
    """Return a decorator for an action's run(). step: the part of the run that its failures are told under."""

    def wrapped(run: Run[Self]) -> Run[Self]:
        @wraps(run)
        def guarded(self: Self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
            try:
                return run(self, tmp, task_vars)
            except OSError as exc:
                said = limits.told(exc)
                known = failure.of(limits.kind_of(exc) or "internal_error", said, step=step, node=LOCAL, at=time.time())
                return {"failed": True, "changed": True, "msg": said, "failure": known.as_dict()}

        return guarded

    return wrapped
