# Copyright (c) 2026 Testcell contributors
# GNU General Public License v3.0 or later (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person can do about each kind of failure."""

from __future__ import annotations

import re

_NAMED = "correct what the message names"
_LOG = "read the service's log in nodes/<node>/services/ of the case"
_NCCL = "check that the nodes reach each other where NCCL talks (NCCL_SOCKET_IFNAME, NCCL_IB_HCA); NCCL_DEBUG=INFO says where"
# RUN stands for the id of the run that is concerned.
NEXT_STEPS = {
    "docker_daemon_down": "start the Docker engine on that node (`systemctl start docker`), then run again",
    "docker_permission": "let the user reach the Docker engine (group docker), or use a user who may",
    "image_not_found": "check the image's name, or load it on the node (`docker load`); `make images` builds ours",
    "image_auth": "log in to the registry on the node (`docker login`)",
    "registry_unreachable": "pull or load the image on the node beforehand, or give the node a way to the registry",
    "registry_rate_limited": "log in to the registry on the node (`docker login`), load the image there, or wait",
    "image_corrupt": "run again; when it comes back, remove the image on the node and load it anew",
    "docker_timeout": "see what keeps the Docker engine of that node busy: its log, its disk, `docker info`",
    "docker_api_mismatch": "install the Compose that fits the engine of that node; `testcell_install=true` installs what is missing",
    "docker_leftover": "`testcell cleanup --all` removes what dead runs have left",
    "name_conflict": "`testcell cleanup --all` removes what dead runs have left; leave `container_name` out of the compose file",
    "network_exhausted": "remove networks that nobody uses on the node (`docker network ls`), or give its engine more address pools",
    "mount_invalid": "make the folder on the node, or correct its path in the compose file",
    "compose_invalid": f"{_NAMED} in the compose file, then `testcell validate`",
    "gpu_runtime_missing": "install the NVIDIA container toolkit on the node, configure Docker by `nvidia-ctk`, and restart it",
    "gpu_missing": "look at `nvidia-smi` on the node, and at what the compose file asks for",
    "gpu_driver_mismatch": "take an image that fits the driver of the node, or update the driver; after an update restart the node",
    "gpu_fault": "look at `nvidia-smi -q` and at Xid lines in `dmesg` on the node; keep runs off it until it is repaired",
    "gpu_oom": "see who else has the GPU (`nvidia-smi`); let the engine take less of it, or give it more GPUs",
    "kv_cache_too_small": "shorten the longest sequence (such as --max-model-len), or give the engine a larger share of the GPU's memory",
    "shm_too_small": "give the service more shared memory in the compose file: `shm_size: 16g`, or `ipc: host`",
    "nccl_timeout": _NCCL,
    "nccl_error": _NCCL,
    "nccl_config": f"{_NAMED}; NCCL_DEBUG=INFO says what NCCL has taken",
    "kv_transfer_failed": f"check that prefill and decode reach each other's transfer ports, and {_LOG}",
    "model_not_found": "check the model's name or path; a folder of the node must be mounted into the service",
    "model_access": "give the token (HF_TOKEN) in the scenario's .env or by testcell_environment, and accept the licence at the hub",
    "engine_start_failed": _LOG,
    "engine_dead": _LOG,
    "resource_limit": "raise the limit that the message names, on that machine or in the compose file (`ulimits`)",
    "node_oom": "see what takes the memory of that node (`dmesg`), and let the services take less",
    "fs_readonly": "look at `dmesg` on that machine: a file system turns read-only after an error of its disk",
    "io_error": "look at `dmesg` on that machine: its disk reports errors",
    "port_conflict": "end the process that the message names, or publish another port in the compose file",
    "disk_full": "make room on that node or controller; `testcell results --cleanup` removes old runs",
    "artifact_corrupt": "run again; when it comes back, check the disk and memory of that node and of the controller",
    "lock_held": "wait for the run that the message names (`--wait` does), or end it; an abandoned lease expires by itself",
    "ssh_auth": "check user and key in the inventory; `ssh USER@HOST true` must work without a question",
    "ssh_hostkey": "compare the host key with the node's, then add it: `ssh-keyscan HOST >> ~/.ssh/known_hosts`",
    "ssh_refused": "check address and port in the inventory and that sshd runs on the node",
    "ssh_timeout": "check that the node is up and reachable from here",
    "ssh_dropped": "check that the node is up and reachable from here, and its sshd's log",
    "node_unreachable": "check that the node is up and reachable from here",
    "dns_failure": "check the host name in the inventory, or use an address",
    "interpreter_missing": "install python3 (3.9 or newer) on the node, or set ansible_python_interpreter",
    "cleanup_failed": "look at what is left on the node, then `testcell cleanup RUN`",
    "service_died": _LOG,
    "container_exited": _LOG,
    "container_oom": "give the service more memory (`mem_limit`), or let it load less",
    "service_unhealthy": f"{_LOG}, or try its healthcheck there",
    "health_timeout": "read the service's log; raise startup_timeout, or health_check_timeout, when it only needs longer",
    "test_failed": "read test_artifacts/ and the script's log of the case",
    "bench_no_data": "read test.log of the case: whom the client has asked for which model, and what it was answered",
    "bench_partial": "read test.log of the case; `min_completed_ratio` and `max_error_ratio` of `validity` say what still counts",
    "controller_died": "see what ended or held up Testcell on the controller (its memory, `dmesg`), then run again",
    "test_timeout": "read the script's log; raise test_execution.timeout when it only needs longer",
}


# A health check that calls what the image does not have never comes true.
_NO_COMMAND = re.compile(r"executable file not found in \$PATH|command not found\b|sh: .*: not found\b")
_OTHER_CHECK = (
    "the image lacks what its healthcheck calls; put it there, or have Testcell ask itself: `health_check: {kind: http, port: PORT}`"
    " of the service in the metadata needs nothing in the image"
)


def next_step(error_kind: str, run_id: str, message: str = "") -> str:
    """Return what a person can do about a failure, "" when there is nothing better than reading on. message: its words."""
    if error_kind in ("health_timeout", "service_unhealthy") and _NO_COMMAND.search(message):
        return _OTHER_CHECK
    return NEXT_STEPS.get(error_kind, "").replace("RUN", run_id)
