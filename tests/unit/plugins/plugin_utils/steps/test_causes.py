# SPDX-License-Identifier: MIT
from __future__ import annotations

import json

import pytest
from ansible_collections.enginelab.testcell.plugins.plugin_utils.steps import causes
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict import failure, names, verdicts
from ansible_collections.enginelab.testcell.plugins.plugin_utils.verdict.verdicts import CaseVerdict

OOM = "INFO loading\nERROR torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\nEngineCore encountered an issue.\n"


def refined(tmp_path, build, kind, *, verdict="fail", service="a", log=None, inspect=None, test_log=None, probes=None):
    """Return the verdict after a look at the files that the arguments say."""
    case = build.case(services=[build.service("a"), build.service("b")])
    folder = tmp_path / "nodes" / "n1" / "services"
    folder.mkdir(parents=True)
    for name, text in (log or {}).items():
        (folder / f"{name}.log").write_text(text)
    if inspect is not None:
        (folder / "a.inspect.json").write_text(inspect)
    if test_log is not None:
        (tmp_path / "test.log").write_text(test_log)
    found = failure.of(kind, "it ended", at=5.0, step="deploy", node="n1", service=service, evidence=("bye",))
    reasons = (found.message, "another")
    return causes.refine(CaseVerdict(verdict, True, False, found, reasons), case, tmp_path, probes=probes or {})


def test_the_cause_takes_the_place_of_what_only_wraps_it(tmp_path, build):
    found = refined(tmp_path, build, "container_exited", log={"a": OOM})
    cause = found.failure
    assert (cause.error_kind, cause.owner, cause.retriable, cause.rule) == ("gpu_oom", "engine", False, "gpu-oom")
    assert cause.message == "it ended (container_exited); its cause: " + OOM.splitlines()[1]
    assert (cause.evidence, cause.at, cause.node, cause.service) == ((OOM.splitlines()[1], "bye"), 5.0, "n1", "a")
    assert (found.verdict, found.control_ok, found.reasons) == ("fail", True, (cause.message, "another"))


REFUSED = "service a on n1: OCI runtime create failed: runc create failed: error setting rlimit type 8: operation not permitted"
NAMED = {
    "by its message": (REFUSED, (), "resource_limit"),
    "by what Compose wrote": (
        "compose up failed with exit code 1: it said",
        ("fetching", 'could not select device driver "nvidia" with capabilities: [[gpu]]'),
        "gpu_runtime_missing",
    ),
    "by nothing": ("compose up failed with exit code 1: it said", (), "unknown"),
}


@pytest.mark.parametrize(("message", "evidence", "kind"), NAMED.values(), ids=NAMED)
def test_words_of_the_engine_that_the_node_does_not_know_are_named_by_the_rules(
    tmp_path, build, message, evidence, kind
):
    found = failure.of("unknown", message, at=5.0, step="deploy", node="n1", service="a", evidence=evidence)
    decided = CaseVerdict("error", False, False, found, (message,))
    named = causes.refine(decided, build.case(services=[build.service("a")]), tmp_path)
    assert (named.failure.error_kind, named.failure.message, named.verdict) == (kind, message, "error")
    assert (named.failure.owner, bool(named.failure.rule)) == (failure.of(kind, "", at=0.0).owner, kind != "unknown")


KEPT = {
    "a kind that says why": ("port_conflict", {"log": {"a": OOM}}),
    "nothing came home": ("service_died", {}),
    "a log without a cause": ("service_died", {"log": {"a": "RuntimeError: worker 0 gave no output\n"}}),
    "another service's log": ("service_died", {"log": {"b": OOM}}),
    "a warning": ("service_died", {"log": {"a": "WARNING 01-02 03:04:05 [x.py:1] No space left on device\n"}}),
    "requests that are refused while services start": (
        "health_timeout",
        {"log": {"a": "connect: connection refused\n"}},
    ),
    "a word that would make it no failure": (
        "service_died",
        {"log": {"a": "KeyboardInterrupt\nJob was cancelled by user\n"}},
    ),
    "a lock in a log": ("service_died", {"log": {"a": "is held by another run\n"}}),
    "an inspect file that is none": ("container_exited", {"inspect": "{"}),
    "a test that says nothing": ("test_failed", {"test_log": "hello\n"}),
}


@pytest.mark.parametrize(("kind", "files"), KEPT.values(), ids=KEPT)
def test_without_a_clear_cause_the_failure_stays(tmp_path, build, kind, files):
    assert refined(tmp_path, build, kind, **files).failure.error_kind == kind


ENDS = [
    (
        "test_failed",
        "one\n\n  \x1b[31mtwo\x1b[0m\n" + "".join(f"{number}\n" for number in range(4)),
        ("  two", *"0123"),
    ),
    ("test_timeout", "10%\r100%\nwaiting for the rest", ("100%", "waiting for the rest")),
    ("bench_no_data", "x" * 20_000 + "\n", ("x" * 200,)),
    ("bench_failed", b"caf\xff\n", ("caf\ufffd",)),
    ("test_failed", "", ()),
    ("test_failed", None, ()),
    ("service_died", "hello\n", ()),
]


@pytest.mark.parametrize(("kind", "log", "said"), ENDS)
def test_what_a_test_wrote_last_stands_beside_its_failure(tmp_path, build, kind, log, said):
    if log is not None:
        (tmp_path / "test.log").write_bytes(log if isinstance(log, bytes) else log.encode())
    found = failure.of(kind, "it ended", at=5.0, step="test", node="n1")
    decided = causes.refine(CaseVerdict("fail", True, False, found, ("it ended",)), build.case(services=[]), tmp_path)
    assert (decided.failure.error_kind, decided.failure.evidence, decided.reasons) == (kind, said, ("it ended",))


def test_without_a_service_all_their_logs_are_read_and_the_one_that_tells_is_named(tmp_path, build):
    cause = refined(tmp_path, build, "engine_dead", service="", log={"a": "fine\n", "b": OOM}).failure
    assert (cause.error_kind, cause.service, cause.node) == ("gpu_oom", "b", "n1")


def test_what_the_engine_says_of_a_container_comes_before_its_log(tmp_path, build):
    state = json.dumps([{"State": {"Status": "exited", "ExitCode": 137, "OOMKilled": True}}])
    cause = refined(tmp_path, build, "container_exited", log={"a": OOM}, inspect=state).failure
    assert (cause.error_kind, cause.rule) == ("container_oom", "fact-state")


def test_a_cause_of_the_node_makes_the_verdict_graver_and_never_better(tmp_path, build):
    found = refined(tmp_path, build, "container_exited", log={"a": "write: no space left on device\n"})
    assert (found.failure.error_kind, found.verdict, found.control_ok) == ("disk_full", "error", False)


def card(index, fault=""):
    return {"index": index, "name": "H100", "uuid": f"GPU-{index}", "fault": fault}


LOOKS = {
    "no look": ({}, None, []),
    "all well": ({"gpus": [card(0)]}, {"cards": [card(0)], "error": ""}, []),
    "no GPU at all": ({}, {"cards": [], "error": ""}, []),
    "a fault": ({"gpus": [card(0)]}, {"cards": [card(0, "ERR!")], "error": ""}, ["GPU 0 (H100) reports ERR!"]),
    "one is gone": (
        {"gpus": [card(0), card(1)]},
        {"cards": [card(0)], "error": ""},
        ["GPU 1 (H100, GPU-1) was there before and is not any more"],
    ),
    "the tool fails now": (
        {"gpus": [card(0)]},
        {"cards": [], "error": "nvidia-smi did not answer within 10 s"},
        ["nvidia-smi did not answer within 10 s"],
    ),
    "the tool failed before": ({"gpu_error": "no driver"}, {"cards": [], "error": "no driver"}, []),
}


@pytest.mark.parametrize(("before", "now", "said"), LOOKS.values(), ids=LOOKS)
def test_a_look_at_the_gpus_says_what_became_of_them(before, now, said):
    found = causes.of_gpus(before, now)
    assert [fact.text for fact in found] == said
    assert {fact.kind for fact in found} <= {"gpu_fault"}


@pytest.mark.parametrize(("kind", "node"), [("service_died", "n1"), ("test_failed", "n2"), ("bench_failed", "n1")])
def test_a_look_at_the_node_comes_before_what_a_log_says(tmp_path, build, kind, node):
    seen = {node: causes.of_gpus({}, {"cards": [card(0, "ERR!")], "error": ""})}
    found = refined(tmp_path, build, kind, log={"a": OOM}, test_log=OOM, probes=seen).failure
    assert (found.error_kind, found.owner, found.node, found.retriable) == ("gpu_fault", "node", node, False)
    assert found.message.endswith("its cause: GPU 0 (H100) reports ERR!")


def test_a_look_at_a_node_says_nothing_of_services_on_another(tmp_path, build):
    seen = {"n2": causes.of_gpus({}, {"cards": [card(0, "ERR!")], "error": ""})}
    assert refined(tmp_path, build, "service_died", probes=seen).failure.error_kind == "service_died"


@pytest.mark.parametrize("verdict", names.VERDICTS[1:-1])
@pytest.mark.parametrize("kind", sorted(causes.OF_SERVICES | causes.OF_THE_TEST))
def test_no_log_makes_a_verdict_better(tmp_path, build, kind, verdict):
    found = refined(tmp_path, build, kind, verdict=verdict, log={"a": OOM, "b": OOM}, test_log=OOM)
    assert found.failure.error_kind == "gpu_oom"
    assert verdicts.GRAVITY.index(found.verdict) <= verdicts.GRAVITY.index(verdict)
    assert found.result_ok is False and found.control_ok <= True


def test_the_log_of_a_script_tells_why_it_failed_and_the_verdict_stays(tmp_path, build):
    found = refined(
        tmp_path, build, "test_failed", test_log="curl: (7) Failed to connect to h port 80: Connection refused\n"
    )
    assert (found.failure.error_kind, found.verdict, found.control_ok) == ("http_refused", "fail", True)


def test_of_a_long_log_the_beginning_and_the_end_are_read(tmp_path, build):
    long = "x" * 99 + "\n"
    log = long * 60_000 + OOM + long * 60_000
    assert refined(tmp_path, build, "service_died", log={"a": log}).failure.error_kind == "service_died"
    (tmp_path / "2").mkdir()
    assert (
        refined(tmp_path / "2", build, "service_died", log={"a": long * 90_000 + OOM}).failure.error_kind == "gpu_oom"
    )
