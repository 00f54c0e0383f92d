# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify import decide, task
from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify.facts import Fact, Facts
from ansible_collections.enginelab.testcell.plugins.plugin_utils.classify.rules import SPECIFIC

OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."
DEAD = "Engine core initialization failed. See root cause above. Failed core proc(s): {}"
FULL = "OSError: [Errno 28] No space left on device: '/x'"

ORDER = {
    "a wrapper after its cause": (f"{OOM}\n{DEAD}", "gpu_oom"),
    "a wrapper before its cause": (f"{DEAD}\n{OOM}", "gpu_oom"),
    "a wrapper alone": (DEAD, "engine_start_failed"),
    "the earliest of two causes": (f"{FULL}\n{OOM}", "disk_full"),
    "the earliest of two causes, the other way": (f"{OOM}\n{FULL}", "gpu_oom"),
    "a warning before the error": (f"WARNING 01-02 03:04:05 [x.py:1] {FULL}\nERROR 01-02 03:04:06 [y.py:2] {OOM}", "gpu_oom"),
    "a warning alone": (f"WARNING 01-02 03:04:05 [x.py:1] {FULL}", "disk_full"),
    "the daemon's socket": ("dial unix /var/run/docker.sock: connect: connection refused", "docker_daemon_down"),
    "ssh": ("ssh: connect to host n1 port 22: Connection refused", "ssh_refused"),
    "http": ("dial tcp 10.0.0.1:8000: connect: connection refused", "http_refused"),
    "NCCL": ("n1:1:2 [0] NCCL WARN socketStartConnect: Connect to 10.0.0.1<1> failed : Connection refused", "nccl_error"),
    "an image that a registry limits": ("pull access denied for x: toomanyrequests: limit", "registry_rate_limited"),
    "shared memory": ("OSError: [Errno 28] No space left on device: '/dev/shm/x'", "shm_too_small"),
    "noise alone": ("Shared connection to n1 closed.", "unknown"),
    "noise beside a cause": (f"Shared connection to n1 closed.\n{FULL}", "disk_full"),
    "noise before a full disk": (f"[WARNING]: sftp transfer mechanism failed on [n1]. Use ANSIBLE_DEBUG=1\n{FULL}", "disk_full"),
    "nothing at all": ("", "unknown"),
    "lines without a failure": ("INFO started\nINFO ready", "unknown"),
    "a cause after how a request ended": (f"POST /v1/completions: HTTP 500\nConnection reset by peer\n{OOM}", "gpu_oom"),
    "how a request ended after what happened": ("AssertionError: 3 == 4\nrequests.ReadTimeout: Read timed out. (read timeout=5)", "http_timeout"),
    "a status as information": ('INFO: 10.0.0.1:4 - "POST /v1/chat/completions HTTP/1.1" 500 Internal Server Error', "http_5xx"),
    "a cause that lasts beside one that a retry mends": ("dial tcp: lookup hub: no such host; certificate has expired", "tls_error"),
    "a cause that lasts further down": (f"dial tcp: lookup hub: no such host\nretrying\nretrying\n{OOM}", "dns_failure"),
    "two causes that last, one line after the other": (f"{OOM}\n{FULL}\n", "gpu_oom"),
    "what a logger calls information": ("time=x level=info msg=\"container exited with code 3\"", "unknown"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "kind"), ORDER.values(), ids=ORDER)
def test_the_earliest_specific_cause_wins(text, kind):
    assert decide.classify(text).error_kind == kind


WELL = {
    "names of packages": "2026-01-02 03:04:05 install libcurl3-gnutls:amd64 <none> 7.88.1-10+deb12u12",
    "apt": "debconf: delaying package configuration, since apt-utils is not installed",
    "npm": "19 notice 2.6kB lib/utils/explain-eresolve.js",
    "a server without a key": "0.00.025.365 W srv llama_server: security: no API key is set and CORS allows all origins",
    "clients that come and go": "Accepted client connection\nClient connection closed",
    "dockerd": 'level=info msg="skip loading plugin aufs" error="exec: \\"modprobe\\": executable file not found in $PATH"',
    "a skipped test": "SKIPPED [1] tests/test_ports.py:43: ::1 cannot be used here: [Errno 99] Cannot assign requested address",
    "the name of a test": "1.32s call     tests/node/test_ssh.py::test_a_key_that_is_revoked_is_refused[permission denied]",
    "the name of a task": "TASK [run_close : Assert that the run has passed] ***********\nok: [localhost] => {",
    "a trace of calls": "  0.00    0.000218           3        62           getcwd",
    "a load test without a failure": "requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout",
    "a benchmark that had all answered": "100%|###| 100/100 [00:02<00:00, 3.1it/s]\nSuccessful requests:   100\nFailed requests:   0",
    "an end": "the lab is gone",
}  # fmt: skip


@pytest.mark.parametrize("text", WELL.values(), ids=WELL)
def test_what_tells_of_no_failure_is_unknown(text):
    assert decide.classify(text).error_kind == "unknown"


FORMS = {
    "colours": "\x1b[31mNo space\x1b[0m left on device",
    "a progress bar": "10%\r20%\rNo space left on device\r",
    "blanks": "No   space \t left on    device",
    "a line broken by width": "docker: Error response from daemon: write /var/lib/docker/tmp/GetImageBlob1: no space\nleft on device.",
    "a logger's time": "2026-01-02T03:04:05.123Z ERROR [x] No space left on device",
    "docker compose logs": "engine-1  | No space left on device",
    "escaped line ends": '{"log": "begin\\\\nNo space left on device\\\\nend"}',
    "escaped once": 'msg: "begin\\nNo space left on device\\nend"',
    "bytes that are no UTF-8": b"\xff\xfe No space left on device \xc3",
    "a very long line": b"x" * 300_000 + b" No space left on device " + b"y" * 300_000,
    "typographic quotes": "cannot create \u2018x\u2019: No space left on device",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_the_form_of_a_line_does_not_matter(text):
    assert decide.classify(text).error_kind == "disk_full"


@pytest.mark.parametrize(
    ("text", "retriable"),
    [
        ("artifact a.log: checksum mismatch", True),
        ("SafetensorError: Error while deserializing header: HeaderTooLarge", False),
    ],
)
def test_a_broken_file_is_read_again_only_where_it_is_sent_again(text, retriable):
    """A model's file lies on the node: a retry reads it as it is."""
    found = decide.classify(text)
    assert (found.error_kind, found.retriable) == ("artifact_corrupt", retriable)


def test_no_retry_brings_a_program_that_is_missing():
    found = decide.classify("bash: rsync: command not found")
    assert (found.error_kind, found.retriable) == ("transfer_failed", False)


def test_the_place_that_a_line_names_is_told():
    assert decide.classify("engine-1  | No space left on device").service == "engine"
    assert decide.classify('fatal: [n7]: FAILED! => {"msg": "[Errno 28] No space left on device"}').node == "n7"


def test_the_evidence_is_the_line_that_decided_and_it_is_short():
    found = decide.classify(f"hello\n{FULL} {'x' * 5000}\nbye")
    assert len(found.evidence) == 1 and found.evidence[0].startswith("OSError") and len(found.evidence[0]) <= 400


def test_what_is_unknown_shows_its_three_most_telling_lines_with_their_count():
    text = "\n".join(
        ["all is well"] * 9
        + ["ERROR: the flux broke at 1", "ERROR: the flux broke at 2", "Frob: odd failure", "x.GlueError: dry"]
    )
    found = decide.classify(text)
    assert (found.error_kind, found.retriable, found.rule) == ("unknown", False, "")
    assert found.evidence == ("ERROR: the flux broke at 1 (2 times)", "Frob: odd failure", "x.GlueError: dry")


FACTS = {
    "row 53, killed for memory": (Facts(state={"Status": "exited", "ExitCode": 137, "OOMKilled": True}), "", "container_oom"),
    "row 53, killed": (Facts(state={"Status": "exited", "ExitCode": 137, "OOMKilled": False}), "", "container_exited"),
    "ended, and its log says why": (Facts(state={"Status": "exited", "ExitCode": 1}), OOM, "gpu_oom"),
    "unhealthy": (Facts(state={"Status": "running", "Health": {"Status": "unhealthy"}}), "", "service_unhealthy"),
    "restarting": (Facts(state={"Status": "restarting", "ExitCode": 1}), "", "service_flapping"),
    "unreachable alone": (Facts(unreachable=True), "", "node_unreachable"),
    "unreachable by its key": (Facts(unreachable=True), "root@n1: Permission denied (publickey).", "ssh_auth"),
    "exit 124": (Facts(rc=124), "", "test_timeout"),
    "exit 3": (Facts(rc=3), "", "test_failed"),
    "SQLITE_BUSY_SNAPSHOT": (Facts(sqlite=517), "", "db_locked"),
    "SQLITE_READONLY_DBMOVED": (Facts(sqlite="SQLITE_READONLY_DBMOVED"), "", "db_readonly"),
    "SQLITE_NOTADB": (Facts(sqlite=26), "", "db_corrupt"),
    "SQLITE_FULL": (Facts(sqlite=13), "", "disk_full"),
    "SQLITE_OK": (Facts(sqlite=0), "", "unknown"),
    "429": (Facts(status=429), "", "overloaded"),
    "502": (Facts(status=502), "", "http_5xx"),
    "404": (Facts(status=404), "", "http_4xx"),
    "200": (Facts(status=200), "", "unknown"),
    "close 1009": (Facts(close_code=1009), "", "protocol_error"),
    "close 1006": (Facts(close_code=1006), "", "hub_disconnected"),
    "close 1000": (Facts(close_code=1000), "", "unknown"),
    "ENOSPC": (Facts(errno=28), "", "disk_full"),
    "EROFS": (Facts(errno=30), "", "fs_readonly"),
    "EIO": (Facts(errno=5), "", "io_error"),
    "ECONNREFUSED of ssh": (Facts(errno=111), "ssh: connect to host n1 port 22: Connection refused", "ssh_refused"),
    "an exception without text": (Facts(exceptions=("asyncio.TimeoutError",)), "", "http_timeout"),
    "the innermost exception": (Facts(exceptions=("requests.ConnectionError", "urllib3.NameResolutionError", "socket.gaierror")), "", "dns_failure"),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "text", "kind"), FACTS.values(), ids=FACTS)
def test_facts_come_before_text(facts, text, kind):
    assert decide.classify(text, facts=facts).error_kind == kind


def test_a_probe_comes_before_text_and_after_facts():
    full = Fact("disk_full", SPECIFIC, "0 bytes are free on /", "probe")
    assert decide.classify(OOM, probes=[full]).error_kind == "disk_full"
    assert decide.classify(OOM, facts=Facts(sqlite=11), probes=[full]).error_kind == "db_corrupt"


def test_an_active_fault_is_named_and_changes_no_kind():
    found = decide.classify(FULL, during_fault="chaos-3")
    assert (found.error_kind, found.during_fault) == ("disk_full", "chaos-3")


TASKS = {
    "stderr": ({"rc": 1, "msg": "non-zero return code", "stderr": FULL}, "disk_full"),
    "a loop": ({"msg": "One or more items failed", "results": [{"failed": False}, {"failed": True, "stderr": FULL}]}, "disk_full"),
    "unreachable": ({"unreachable": True, "msg": "Task failed: ssh: connect to host n1 port 22: Connection refused"}, "ssh_refused"),
    "an HTTP status": ({"status": 503, "msg": "Status code was 503"}, "overloaded"),
    "our own": ({"failed": True, "msg": "x", "failure": {"error_kind": "gpu_oom", "retriable": False, "owner": "engine"}}, "gpu_oom"),
    "nothing known": ({"failed": True, "rc": 3, "msg": "non-zero return code"}, "test_failed"),
}  # fmt: skip


@pytest.mark.parametrize(("result", "kind"), TASKS.values(), ids=TASKS)
def test_a_task_tells_by_its_result(result, kind):
    found = task.of_result(result, host="n1")
    assert (found.error_kind, found.node) == (kind, "n1" if "failure" not in result else "")
