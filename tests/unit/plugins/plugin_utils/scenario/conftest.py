# SPDX-License-Identifier: MIT
"""A scenario folder that is right, and the means to spoil it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

METADATA = 'name: "baseline"\n'
COMPOSE = """\
services:
  router:
    image: "engine:1.0"
    ports: ["18008:8000"]
    depends_on: [worker]
  worker:
    image: "engine:1.0"
    healthcheck: {test: ["CMD", "true"]}
"""
TEST_CONFIG = '{"base_url": "http://127.0.0.1:18008", "model": "tiny", "num_prompts": 10, "max_concurrency": 2}\n'


@pytest.fixture
def make_scenario(tmp_path: Path) -> Callable[..., Path]:
    """Make a scenario folder below `scenarios/`; a file given as None is left out."""

    def make(metadata: str | None = METADATA, folder: str = "001_baseline", **files: Any) -> Path:
        path = tmp_path / "scenarios" / folder
        path.mkdir(parents=True)
        contents = {
            "metadata.yml": metadata,
            "docker-compose.yml": files.pop("compose", COMPOSE),
            "test_config.json": files.pop("test_config", TEST_CONFIG),
            "run_test.sh": files.pop("script", "#!/bin/sh\n"),
        }
        for name, content in {**contents, **files}.items():
            if content is not None:
                (path / name).write_text(content)
        if (path / "run_test.sh").exists():
            (path / "run_test.sh").chmod(0o755)
        return path

    return make
