# SPDX-License-Identifier: MIT
"""A simulated inference engine: OpenAI-compatible, disaggregated, and able to go wrong on demand."""

from __future__ import annotations

__version__ = "1.0.0"
