# SPDX-License-Identifier: MIT
"""F16, F18, F65, F67: faults of a container's network, felt at both of its ends, and gone without a trace."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request

import pytest
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos import netns, network
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.chaos.fault import Gone
from ansible_collections.enginelab.testcell.plugins.module_utils.cellnode.errors import CellError


def listing(event):
    """Return the rules and queues of a namespace as the tools of the node show them."""
    with netns.needed(event.place, event.record["ns"]) as door:
        saved = door.asked("iptables-save").splitlines()
        own = [line for line in saved if line.startswith("-A") or (line.startswith(":") and " - " in line)]
        return own, door.asked("tc", "qdisc", "show", "dev", "eth0")


def answers(event) -> bool:
    """Return whether the service answers over the network within 1 s."""
    try:
        with urllib.request.urlopen(f"http://{event.record['address']}:8000/", timeout=1) as reply:
            return reply.status == 200
    except (urllib.error.URLError, TimeoutError):
        return False


def serving(event, place_s=20):
    """Wait until the service listens."""
    with netns.needed(event.place, netns.record(event.aim)) as door:
        assert event.place.ctx.clock.until(lambda: ":8000 " in door.asked("ss", "-ltn"), place_s)


CUTS = [("in", (95, 100), (0, 0)), ("out", (0, 0), (95, 100)), ("both", (95, 100), (95, 100))]


@pytest.mark.parametrize(("direction", "inward", "outward"), CUTS, ids=[cut[0] for cut in CUTS])
def test_a_cut_is_felt_in_its_direction_only(container, event, direction, inward, outward):
    """F16: only requests are lost, only replies, or both; the service is silent, and answers again after the undo."""
    cut = event("network_cut", container(), direction=direction)
    serving(cut)
    cut.prepare()
    before = listing(cut)
    measured = cut.felt().measured
    assert inward[0] <= measured["loss_in_pct"] <= inward[1]
    assert outward[0] <= measured["loss_out_pct"] <= outward[1]
    assert measured["connect"] == "timed out"
    assert measured["dropped_packets"] > 0
    assert not answers(cut)
    cut.ended()
    assert listing(cut) == before
    assert answers(cut)


LOSSES = [(0.1, 0.02, 0.5), (1, 0.3, 3), (5, 2, 12), (20, 8, 36), (80, 60, 95)]


@pytest.mark.parametrize(("wanted", "least", "most"), LOSSES, ids=[f"{loss[0]} %" for loss in LOSSES])
def test_a_loss_is_measured_as_asked_for(container, event, wanted, least, most):
    """F18: 0.1, 1, 5 and 20 % are told from none."""
    loss = event("network_loss", container(), loss_pct=wanted)
    measured = loss.felt().measured
    assert least <= measured["loss_in_pct"] <= most
    assert least <= measured["loss_out_pct"] <= most
    loss.ended()
    assert not loss.effect().applied


@pytest.mark.parametrize("way", ["tbf", "hashlimit"])
def test_a_rate_holds_both_ways(container, event, monkeypatch, way):
    """F18: a link of 256 kbit/s, by queues or, where the kernel has no tbf, by rules."""
    if way == "hashlimit":
        monkeypatch.setattr(network, "_queueless", lambda environ, params: "no tbf here")
    rate = event("network_rate", container(), rate_kbit=256)
    rate.prepare()
    before = listing(rate)
    measured = rate.felt().measured
    assert bool(rate.record["devices"]) == (way == "tbf")
    assert 0 < measured["rate_in_kbit"] <= 512 < measured["before_in_kbit"]
    assert 0 < measured["rate_out_kbit"] <= 512 < measured["before_out_kbit"]
    rate.ended()
    assert listing(rate) == before
    assert not rate.effect().applied


def test_every_rule_names_run_and_event(container, event):
    cut = event("network_cut", container())
    cut.prepare()
    cut.inject()
    added = [line for line in listing(cut)[0] if line.startswith("-A") and "testcell-" in line]
    assert len(added) == 4  # a jump and a drop each way
    assert all(f"testcell:{cut.place.ctx.run.id}:network_cut.0" in line for line in added)


def test_rules_of_others_and_of_another_event_stay(container, event):
    """F66: two events on one target, ended in the order of their beginning."""
    target = container()
    first, second = event("network_loss", target, loss_pct=10), event("network_loss", target, loss_pct=20)
    first.prepare()
    second.prepare()
    with netns.needed(first.place, first.record["ns"]) as door:
        door.asked("iptables", "-t", "mangle", "-A", "PREROUTING", "-p", "tcp", "--dport", "9", "-j", "DROP")
    strangers = listing(first)[0]
    first.inject()
    second.inject()
    first.ended()
    assert second.effect().applied
    second.ended()
    assert listing(first)[0] == strangers
    assert sum("--dport 9 " in line for line in strangers) == 1


@pytest.mark.parametrize("calls", range(1, 13))
def test_a_half_done_injection_is_undone(container, event, inject_until, calls):
    """F63: killed between any two of its calls."""
    cut = event("network_cut", container())
    cut.prepare()
    before = listing(cut)
    inject_until(cut, calls)
    cut.ended()
    assert listing(cut) == before


def test_a_half_done_rate_is_undone(container, event, monkeypatch):
    rate = event("network_rate", container(), rate_kbit=64)
    rate.prepare()
    before, original = listing(rate), network.queues.install
    monkeypatch.setattr(network.queues, "install", lambda *words: original(*words) or (_ for _ in ()).throw(OSError()))
    with pytest.raises(OSError):
        rate.inject()
    assert len(rate.left()) == 1
    rate.ended()
    assert listing(rate) == before


@pytest.mark.parametrize(("kind", "params"), [("network_cut", {}), ("network_rate", {"rate_kbit": 64})])
@pytest.mark.parametrize("end", ["rm", "restart"])
def test_what_is_done_to_a_container_goes_with_it(container, event, docker_cli, kind, params, end):
    """F65: the target is removed, or started again with a network of its own; the undo finds nothing to do."""
    target = container()
    fault = event(kind, target, **params)
    fault.felt()
    docker_cli(*{"rm": ("rm", "-f", target), "restart": ("restart", "-t", "0", target)}[end])
    fault.ended()
    with pytest.raises(Gone):
        fault.effect()
    with pytest.raises(Gone):
        fault.inject()


def test_a_target_that_does_not_run_is_gone(container, event, docker_cli):
    target = container()
    docker_cli("kill", target)
    with pytest.raises(Gone, match=r"decode-1: its container [0-9a-f]{12} does not run"):
        event("network_cut", target).prepare()


def test_a_container_in_the_nodes_network_is_refused(container, event):
    with pytest.raises(CellError, match="uses the node's own network"):
        event("network_cut", container("--network", "host")).prepare()


def test_a_container_without_a_network_is_refused(container, event):
    """F67: what cannot be measured is not injected."""
    with pytest.raises(CellError, match="answers at none of its addresses") as caught:
        event("network_cut", container("--network", "none")).prepare()
    assert caught.value.kind == "chaos_unsupported"


BAD = [
    ("network_cut", {"direction": "up"}, "params.direction is 'up'; allowed: in, out, both"),
    ("network_loss", {}, "params.loss_pct is None; allowed: a number from 0.1 to 100"),
    ("network_loss", {"loss_pct": "20"}, "params.loss_pct is '20'; allowed: a number from 0.1 to 100"),
    ("network_rate", {"rate_kbit": 1}, "params.rate_kbit is 1; allowed: a number from 32 to 1e+07"),
]


@pytest.mark.parametrize(("kind", "params", "message"), BAD)
def test_a_bad_parameter_is_named(event, kind, params, message):
    assert event(kind, **params).lacking() == message


def tool(folder, name, script):
    """Put a program of this name before all others."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    return str(folder)


def test_a_tool_that_is_there_and_does_not_work_is_found_out(event, tmp_path):
    """F67: tried rather than looked for."""
    cut = event("network_cut")
    folder = tool(tmp_path / "bin", "iptables", "echo 'iptables: Operation not supported.' >&2; exit 4")
    cut.place.ctx.environ["PATH"] = f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin"
    assert "'iptables -w 5 -t mangle" in cut.lacking()
    assert "does not work here: iptables: Operation not supported." in cut.lacking()


def test_a_rate_needs_one_of_two_tools(event, tmp_path):
    rate = event("network_rate", rate_kbit=64)
    tool(tmp_path / "bin", "tc", "exit 2")
    rate.place.ctx.environ["PATH"] = f"{tmp_path / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin"
    assert rate.lacking() == ""
    tool(tmp_path / "bin", "iptables", "exit 3")
    assert rate.lacking().startswith("neither tbf nor hashlimit: ")


def test_the_trial_changes_nothing(event):
    def all_rules():
        done = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True)
        return [line for line in done.stdout.splitlines() if not line.startswith(("#", ":"))]

    before = all_rules()
    for kind, params in (("network_cut", {}), ("network_loss", {"loss_pct": 5}), ("network_rate", {"rate_kbit": 64})):
        assert event(kind, **params).lacking() == ""
    assert all_rules() == before
