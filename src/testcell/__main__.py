# SPDX-License-Identifier: MIT
# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that the others start at once

"""`python -m testcell` and the console script `testcell`."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line in sys.argv and return its exit code."""
    from testcell.cli.main import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
