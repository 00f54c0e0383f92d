# SPDX-License-Identifier: MIT
"""Lines that their loggers call information: most state a setting or what goes on as it should, some tell of a failure."""

from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify import decide
from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify.rules import Rule, Rules, own

# Each would be taken for a failure by its words, were it not for its level or for what it says of a setting.
QUIET = (
    "INFO 07-14 12:00:00 [core_client.py:412] heartbeat timeout set to 1s",
    "INFO 07-14 12:00:00 [launcher.py:80] Shutting down FastAPI HTTP server.",
    "INFO: Shutting down cleanly",
    "INFO:     Finished server process [1]",
    'INFO:     10.0.0.1:4100 - "POST /v1/chat/completions HTTP/1.1" 200 OK',
    "n1:100:200 [0] NCCL INFO NCCL_TIMEOUT set by environment to 600",
    "n1:100:200 [0] NCCL INFO NCCL_IB_RETRY_CNT set by environment to 7.",
    "n1:100:200 [0] NCCL INFO NET/IB : No device found.",
    "2025-07-14 12:00:00,123 - INFO - request timeout: 600 s, max retries: 3",
    '2025-07-14 12:00:00,123 INFO httpx: HTTP Request: POST http://10.0.0.1:8000/v1/completions "HTTP/1.1 200 OK"',
    "DEBUG:urllib3.connectionpool:Incremented Retry for (url='/v1/models'): Retry(total=3, connect=None, read=None)",
    "I0714 12:00:00.123456   4242 transfer_engine.cpp:88] Transfer Engine kv transfer timeout is 30 seconds",
    "mooncake-1  | I0714 12:00:00.123456   4242 client.cpp:88] kv transfer timeout is 30 seconds",
    'time="2025-07-14T12:00:00Z" level=info msg="Container stop timeout of 10s, health check timeout 5s"',
    'time="2025-07-14T12:00:00Z" level=debug msg="registry mirror read timeout: 5s"',
    '{"level":"info","ts":1752490000.1,"caller":"raft/raft.go:1","msg":"heartbeat timeout is 1s"}',
    '{"severity": "INFO", "message": "watchdog timeout is 300 seconds"}',
    '{"asctime": "12:00:00", "levelname": "DEBUG", "message": "request timeout: 30 s"}',
    "[2025-07-14 12:00:00] INFO - Connection pool: size=10, connect timeout=5s, read timeout=60s",
    "(APIServer pid=10) INFO 11-13 06:17:46 [api_server.py:1325] KV transfer timeout: 480 s",
    "(EngineCore_DP0 pid=7) INFO 11-13 06:17:46 [core.py:93] watchdog timeout: 300, disable_custom_all_reduce=False",
    "[2025-09-17 16:23:13 TP1] INFO: watchdog timeout is 300 seconds",
    "vllm-1  | INFO 07-14 12:00:00 [serve.py:9] health check timeout: 30s, 5 retries",
    "2025-07-14T12:00:00.1Z  INFO sglang_router_rs::server: health check timeout: 5s, interval: 60s",
    "[2025-07-14 12:00:00,100 I 100 100] (raylet) main.cc:204: heartbeat timeout 10000, health_check_failure_threshold=5",
    "2025/07/14 12:00:00 [notice] 1#1: request timeout 60s for worker processes",
    "INFO watchdog timeout: 600 s, max_retries=3, retry_on_failure=True, fail_fast=False",
    "INFO  Rate limit is 100 requests per second",
    "TRACE h2::proto: request timeout: 5s",
    "2025-07-14 12:00:00 DEBUG [client] read timeout=5.0, abort_on_timeout: false",
    "retry policy: max 5 retries, timeout 30s",
    "Watchdog timeout 600000 ms configured",
    "Request timeout is set to 30 s",
    "The request timeout has been set to 30 s",
    "heartbeat timeout defaults to 10s",
    "Using a request timeout of 600 s for collectives",
    "[2025-09-17 16:23:13] server_args=ServerArgs(model_path='/m', watchdog_timeout=300, error_on_oom=True)",
    "non-default args: {'distributed_timeout_seconds': 600, 'kv_load_failure_policy': 'fail'}",
)
LOUD = (
    ("nccl_error", "n1:1:2 [0] NCCL INFO misc/socket.cc:455 connect to 10.0.0.2<41234> returned Connection refused"),
    ("nccl_error", "n1:1:2 [3] NCCL INFO misc/socket.cc:50 -> 6"),
    ("http_refused", "INFO 07-14 12:00:00 [router.py:10] POST http://10.0.0.2:8000/generate: Connection refused"),
    ("engine_dead", "INFO engine died"),
    ("disk_full", "I0714 12:00:00.1 4 eviction_manager.go:369] reclaim of ephemeral-storage: no space left on device"),
    ("service_flapping", 'I0714 12:00:00.1 4 pod_workers.go:1] "Error syncing pod" err="CrashLoopBackOff: back-off 5m0s restarting failed container=vllm"'),
    ("container_oom", 'I0714 12:00:00.1 4 event.go:307] "Event occurred" kind="Pod" reason="OOMKilled"'),
    ("registry_unreachable", 'time="2025-07-14T12:00:00Z" level=info msg="Attempting next endpoint for pull after error: Get \\"https://registry-1.docker.io/v2/\\": dial tcp 1.2.3.4:443: i/o timeout"'),
    ("image_auth", 'time="2025-07-14T12:00:00Z" level=info msg="trying next host" error="failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized" host=ghcr.io'),
    ("http_timeout", "INFO:client:request timed out after 30 s"),
    ("http_timeout", "2025-07-14 12:00:00 INFO read timeout after 60 s while waiting for http://10.0.0.2:8000/generate"),
    ("gpu_oom", "INFO:root:torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.00 GiB."),
    ("dns_failure", '{"level":"info","msg":"retrying","reason":"dial tcp: lookup etcd-0: no such host"}'),
    ("tls_error", '{"level":"info","ts":1,"msg":"http: TLS handshake failed: x509: certificate has expired or is not yet valid"}'),
    ("overloaded", 'INFO:     10.0.0.1:4100 - "POST /v1/chat/completions HTTP/1.1" 503 Service Unavailable'),
    ("http_5xx", 'INFO:     10.0.0.1:4100 - "POST /v1/chat/completions HTTP/1.1" 500 Internal Server Error'),
    ("http_4xx", 'INFO:     10.0.0.1:4100 - "POST /v1/chat/completions HTTP/1.1" 400 Bad Request'),
    ("nccl_timeout", "INFO [rank1] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=92) ran for 600012 ms"),
    ("health_timeout", "INFO health check did not become ready within 600 s"),
    ("agent_lost", "INFO agent gpu7 missed 5 heartbeats and is considered gone"),
    ("ssh_dropped", "INFO ssh: Connection to 10.0.0.4 closed by remote host."),
    ("cancelled", "INFO run was cancelled by the user"),
    ("model_not_found", "INFO model /models/x not found"),
    ("gpu_fault", "I0714 12:00:00.1 1 kmsg.go:20] NVRM: Xid (PCI:0000:1b:00): 79, pid=1, GPU has fallen off the bus."),
    ("clock_skew", "INFO clock of node-b is 12.4 s ahead"),
    ("lock_held", "INFO node-b is locked by run 20250714"),
    ("docker_daemon_down", "INFO Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"),
    ("kv_transfer_failed", "INFO 07-14 12:00:00 [nixl.py:1] KV transfer of request 7 failed"),
    ("port_conflict", "INFO: [Errno 98] Address already in use"),
    ("http_timeout", "heartbeat timeout set to 1s; POST http://10.0.0.2:8000/generate: request timed out after 30 s"),
)  # fmt: skip


@pytest.mark.parametrize("line", QUIET)
def test_settings_and_normal_progress_are_no_failure(line):
    assert decide.classify(line).error_kind == "unknown"


@pytest.mark.parametrize(("kind", "line"), LOUD)
def test_a_failure_that_is_logged_as_information_is_found(kind, line):
    assert decide.classify(line).error_kind == kind


def test_a_rule_of_the_user_s_decides_for_itself_which_information_is_a_failure():
    rule = Rule("mine", "nccl_error", "specific", "system", ("leaf switch flips",))
    line = "INFO 12:00:00 leaf switch flips"
    assert decide.classify(line, rules=Rules((rule, *own().rules), users=1)).error_kind == "nccl_error"
    assert decide.classify(line, rules=Rules((rule, *own().rules))).error_kind == "unknown"
