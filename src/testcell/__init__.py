# SPDX-License-Identifier: MIT

"""Testcell: the test cell for distributed inference engines."""

from __future__ import annotations

__version__ = "0.1.0"
