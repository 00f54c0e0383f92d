# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How pages are made of templates: every text is escaped, and what was compiled once is kept as Python keeps its modules."""

from __future__ import annotations

import hashlib
import sys
from contextlib import suppress
from functools import lru_cache
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import jinja2
from jinja2.bccache import Bucket

from .escape import visible


@lru_cache(maxsize=2)
def environment(*folders: Path) -> jinja2.Environment:
    """Return what renders the templates of these folders; of two with one name, that of the first."""
    return jinja2.Environment(
        autoescape=True,
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        finalize=_spelled_out,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=Compiled(Path(cache_from_source(__file__)).parent),
    )


def _spelled_out(value: Any) -> Any:
    """Return text with its control characters made visible; markup of the template itself is left alone."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


class Compiled(jinja2.FileSystemBytecodeCache):
    """Compiled templates in a folder of Python's own for such; where that is absent or cannot be written, none are kept.

    To compile the report's template takes as long as a step of a run.
    """

    def __init__(self, folder: Path) -> None:
        # What is compiled depends on this module's settings as well.
        made_by = hashlib.sha256(Path(__file__).read_bytes() + jinja2.__version__.encode()).hexdigest()[:12]
        super().__init__(str(folder), f"%s.{made_by}.template")

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take what was compiled before; what cannot be read, a machine that went down has left half-written."""
        try:
            super().load_bytecode(bucket)
        except Exception:  # whatever reading pickled bytes may raise
            bucket.reset()

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        if not sys.dont_write_bytecode:
            with suppress(OSError):
                super().dump_bytecode(bucket)
