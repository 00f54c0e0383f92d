# SPDX-License-Identifier: MIT
"""Start one service of the simulated engine: `python3 -m engine_sim --role ROLE`."""

from __future__ import annotations

import sys

from engine_sim.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
