# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is raised when files do not come home."""

from __future__ import annotations

from collections.abc import Sequence


class ArtifactError(Exception):
    """Files that did not come home. kind: an error_kind of the artifact group; paths: those concerned."""

    def __init__(self, kind: str, message: str, paths: Sequence[str]) -> None:
        super().__init__(message)
        self.kind = kind
        self.paths = tuple(paths)


class SaidByNode(ArtifactError):
    """What the node itself says it has failed with; kind: any of the taxonomy."""


def corrupt(message: str, *paths: str) -> ArtifactError:
    """Return the error for bytes that are not what the node has sent."""
    return ArtifactError("artifact_corrupt", message, paths)
