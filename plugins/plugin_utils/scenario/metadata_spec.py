# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario's `metadata.yml` may hold; what it leaves out gets the defaults of `model`, or a lower layer's."""

from __future__ import annotations

import re

from . import names, settings
from ._compose_policy import POLICY_KEYS
from ._measures import Renamed, Size
from .schema import Bool, Choice, Float, Free, Int, Key, MapOf, Mapping, OneOf, Seq, Str

SCHEMA_VERSION = 1
LABEL_VALUE = OneOf(Bool(), Int(), Float(), Str(max=256))


def _wrong_regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as exc:
        return f"is not a regular expression: {exc}"
    return ""


_service_name = Str(max=255)
_path = Str(test=names.wrong_path, rule=names.RELATIVE_PATH)
_seconds = Float(0.1, 3600, unit="seconds")
_cell = MapOf(LABEL_VALUE, key=Str(test=names.wrong_label_name, rule=names.LABEL_NAME))
_no_include = "tools that list playbooks take a file with such a line for one"

HEALTH_CHECK = Mapping({
    "kind": Key(Choice("http", "tcp", "command", "container", "log"), required=True),
    "port": Int(1, 65_535),
    "path": Str(pattern=r"/[!-~]*", rule="a path that starts with '/', of ASCII characters without spaces"),
    "expect_status": Int(100, 599),
    "argv": Seq(Str(max=8192, empty=True, lines=True), min=1, max=100),
    "pattern": Str(test=_wrong_regex, rule="a regular expression"),
    "timeout": _seconds,
    "interval": _seconds,
})  # fmt: skip

SERVICE = Mapping({
    "name": Key(_service_name, required=True),
    "node": Str(max=255),
    "role": Str(test=names.wrong_role, rule=names.ROLE),
    "depends_on": Seq(_service_name, unique=True),
    "compose_file": _path,
    "health_check": HEALTH_CHECK,
    "critical": Bool(),
})  # fmt: skip

DEPLOYMENT = Mapping({
    "services": Seq(SERVICE, min=1),
    "compose_files": Seq(_path, min=1, max=20, unique=True),
    "allow": Seq(Choice(*POLICY_KEYS), unique=True),
    **{section: settings.SECTIONS[section] for section in settings.IN_DEPLOYMENT},
})  # fmt: skip

MATRIX = Mapping(
    {
        "exclude": Seq(_cell),
        "extra": Seq(_cell),
        "include": Renamed("matrix.extra", _no_include),
    },
    extra=Seq(LABEL_VALUE, min=1, max=200, unique=True),
)

BENCHMARK = Mapping({
    "client": Choice("testcell", "script"),
    "service": _service_name,
    "port": Int(1, 65_535),
    "path": Str(pattern=r"/[!-~]*", rule="a path that starts with '/', of ASCII characters without spaces"),
    "model": Str(max=1024),
    "config_file": _path,
    "from_labels": MapOf(Str(max=64), key=Str(max=64)),
})  # fmt: skip

METADATA = Mapping({
    "schema_version": Int(1, 1_000_000),
    "name": Key(Str(max=1024, lines=True, test=names.wrong_scenario_name, rule=names.SCENARIO_NAME), required=True),
    "description": Str(max=4096, empty=True, lines=True),
    "enabled": Bool(),
    "estimated_duration": Int(1, 31_536_000, unit="seconds"),
    "tags": Seq(Str(test=names.wrong_tag, rule=names.TAG), max=64, unique=True),
    "resource_requirements": Mapping({"min_gpu_memory": Size(), "min_nodes": Int(1, 1000)}),
    "deployment": DEPLOYMENT,
    **{section: settings.SECTIONS[section] for section in settings.IN_SCENARIO},
    "matrix": MATRIX,
    "benchmark": BENCHMARK,
    "gates": MapOf(Free()),
})  # fmt: skip
