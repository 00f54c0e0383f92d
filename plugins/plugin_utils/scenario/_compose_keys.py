# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of a compose file, after the Compose specification, and which of them Compose V1 does not know.

Keys that Testcell looks at have a type; of the others only the name is checked, compose itself knows the rest.
"""

from __future__ import annotations

from ._compose_words import DurationSpec, MountSpec, PortSpec
from .schema import Bool, Choice, Float, Free, Int, Key, MapOf, Mapping, OneOf, Seq, Spec, Str

VERSIONS = (*(f"2.{n}" for n in range(5)), *(f"3.{n}" for n in range(10)), "2", "3")

_text = Str(max=65_536, empty=True, lines=True)
_texts = OneOf(_text, Seq(_text))
_number = OneOf(Int(), Str(max=64, pattern=r"-?[0-9]+|.*\$\{.*", rule="a whole number"))
_flag = OneOf(Bool(), Str(max=64, pattern=r"true|false|.*\$\{.*", rule="true or false"))
_value = OneOf(_text, Int(), Float())
_values = OneOf(Seq(_text), MapOf(_value, nullable=True))
_labels = OneOf(Seq(_text), MapOf(OneOf(_text, Int(), Float(), Bool()), nullable=True))
_names = Seq(Str(max=256))
_duration = DurationSpec()


def _open(*names: str) -> dict[str, Key | Spec]:
    return dict.fromkeys(names, Free())


def _mapping(keys: dict[str, Key | Spec]) -> Mapping:
    return Mapping(keys, prefix="x-")


HEALTHCHECK = _mapping(
    {
        "test": _texts,
        "interval": _duration,
        "timeout": _duration,
        "retries": _number,
        "start_period": _duration,
        "start_interval": _duration,
        "disable": _flag,
    }
)
_CONDITIONS = Choice("service_started", "service_healthy", "service_completed_successfully")
_DEPENDENCY = _mapping({"condition": _CONDITIONS, "restart": Bool(), "required": Bool()})
_GPU_COUNT = Str(max=64, pattern=r"all|[0-9]{1,4}|.*\$\{.*", rule="a whole number, or all")
_DEVICE = _mapping(
    {
        "capabilities": Seq(Str()),
        "count": OneOf(Int(0, 1024), _GPU_COUNT),
        "device_ids": Seq(Str()),
        "driver": Str(empty=True),
        **_open("options"),
    }
)
_RESOURCES = _mapping(
    {
        "limits": _mapping(_open("cpus", "memory", "pids")),
        "reservations": _mapping({"devices": Seq(_DEVICE), **_open("cpus", "memory", "generic_resources")}),
    }
)
_DEPLOY = _mapping(
    {
        "resources": _RESOURCES,
        "replicas": _number,
        "restart_policy": _mapping(_open("condition", "delay", "max_attempts", "window")),
        **_open("mode", "endpoint_mode", "labels", "placement", "rollback_config", "update_config"),
    }
)
_ENV_FILE = _mapping({"path": Key(Str(max=4096), required=True), "required": Bool(), "format": Str()})
_EXTENDS = _mapping({"service": Key(Str(), required=True), "file": Str(max=4096)})
_INCLUDE = _mapping({"path": OneOf(Str(max=4096), Seq(Str(max=4096))), **_open("env_file", "project_directory")})
_BUILD = _mapping(
    _open(
        "additional_contexts", "args", "cache_from", "cache_to", "context", "dockerfile", "dockerfile_inline",
        "entitlements", "extra_hosts", "isolation", "labels", "network", "no_cache", "platforms", "privileged",
        "provenance", "pull", "sbom", "secrets", "shm_size", "ssh", "tags", "target", "ulimits",
    )
)  # fmt: skip
_LOGGING = _mapping({"driver": Str(), "options": MapOf(_value, nullable=True)})

SERVICE = _mapping(
    {
        "build": OneOf(Str(max=4096), _BUILD),
        "command": Key(_texts, nullable=True),
        "container_name": Str(),
        "depends_on": OneOf(_names, MapOf(_DEPENDENCY)),
        "deploy": _DEPLOY,
        "entrypoint": Key(_texts, nullable=True),
        "env_file": OneOf(Str(max=4096), Seq(OneOf(Str(max=4096), _ENV_FILE))),
        "environment": _values,
        "extends": OneOf(Str(), _EXTENDS),
        "gpus": OneOf(Int(0, 1024), _GPU_COUNT, Seq(_DEVICE)),
        "healthcheck": HEALTHCHECK,
        "image": Str(max=512, empty=True),
        "ipc": Str(),
        "labels": _labels,
        "logging": _LOGGING,
        "network_mode": Str(),
        "networks": OneOf(_names, MapOf(Free(), nullable=True)),
        "pid": Key(Str(), nullable=True),
        "ports": Seq(PortSpec()),
        "privileged": _flag,
        "profiles": _names,
        "restart": Str(),
        "scale": _number,
        "stop_grace_period": _duration,
        "volumes": Seq(MountSpec()),
        **_open(
            "annotations", "attach", "blkio_config", "cap_add", "cap_drop", "cgroup", "cgroup_parent", "configs",
            "cpu_count", "cpu_percent", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares",
            "cpus", "cpuset", "credential_spec", "develop", "device_cgroup_rules", "devices", "dns", "dns_opt",
            "dns_search", "domainname", "driver_opts", "expose", "external_links", "extra_hosts", "group_add",
            "hostname", "init", "isolation", "label_file", "links", "mac_address", "mem_limit", "mem_reservation",
            "mem_swappiness", "memswap_limit", "models", "oom_kill_disable", "oom_score_adj", "pids_limit",
            "platform", "post_start", "pre_stop", "provider", "pull_policy", "pull_refresh_after", "read_only",
            "runtime", "secrets", "security_opt", "shm_size", "stdin_open", "stop_signal", "storage_opt", "sysctls",
            "tmpfs", "tty", "ulimits", "use_api_socket", "user", "userns_mode", "uts", "volumes_from", "working_dir",
        ),
    }
)  # fmt: skip
_NETWORK = _mapping(
    {
        "external": OneOf(Bool(), _mapping({"name": Str()})),
        "name": Str(),
        **_open("attachable", "driver", "driver_opts", "enable_ipv4", "enable_ipv6", "internal", "ipam", "labels"),
    }
)
_VOLUME = _mapping(
    {
        "external": OneOf(Bool(), _mapping({"name": Str()})),
        "name": Str(),
        "driver_opts": MapOf(_value, nullable=True),
        **_open("driver", "labels"),
    }
)
_FILE = _mapping(
    {
        "file": Str(max=4096),
        **_open("content", "driver", "driver_opts", "environment", "external", "labels", "name", "template_driver"),
    }
)
COMPOSE = _mapping(
    {
        "services": Key(MapOf(SERVICE, key=Str(max=63, pattern=r"[A-Za-z0-9._-]+", rule="A-Z a-z 0-9 . _ -")), True),
        "version": Str(),
        "name": Str(),
        "include": Seq(OneOf(Str(max=4096), _INCLUDE)),
        "networks": Key(MapOf(_NETWORK, nullable=True), default={}),
        "volumes": Key(MapOf(_VOLUME, nullable=True), default={}),
        "configs": Key(MapOf(_FILE), default={}),
        "secrets": Key(MapOf(_FILE), default={}),
        "models": Free(),
    }
)

V2_ONLY_TOP = frozenset({"name", "include", "models"})
V2_ONLY_SERVICE = frozenset(
    {
        "annotations", "attach", "cgroup", "develop", "driver_opts", "gpus", "label_file", "models", "post_start",
        "pre_stop", "provider", "pull_refresh_after", "use_api_socket", "uts",
    }
)  # fmt: skip
V2_ONLY_HEALTHCHECK = frozenset({"start_interval"})
V2_ONLY_DEPENDENCY = frozenset({"restart", "required"})
