# SPDX-License-Identifier: Apache-2.0
"""Fail static, on real routers: what stays and what goes while agents, bgpd or the controller are away.

Judged by routers and clients. Every test starts from `steady`: everything normal, agents connected."""
import os
import pathlib
import re
import signal
import time

import pytest

from tests.lab import topology as topo
from tests.lab.lab import Lab
from tests.lab.procs import LabError, wait_until
from tests.lab.vty import Vty

BUILD = os.environ.get("SLUICE_BUILD", "build")
WEB_A = topo.SHARDS["web-a"]
POLICY = dict(settle_min_ms=2000, settle_max_ms=5000, restore_hold_ms=3000, no_return_ms=3000, changes_max=200,
              ledger_max=2000)


@pytest.fixture(scope="module", name="lab")
def _lab():
    with Lab(build=BUILD) as lab:
        lab.start_steering(**POLICY)
        yield lab


@pytest.fixture(autouse=True, name="steady")
def _steady(lab):
    wait_until(lambda: connected(lab) == set(topo.NODES), 30, "all agents to be connected")
    lab.wait_catchment(topo.HOME, 60)
    lab.collector.wait_quiet(1.5, 20)
    wait_until(lambda: permits(lab), 20, "somebody to hold a permit")


def nodes(lab):
    return {n["name"]: n for n in lab.api("/v1/nodes")["nodes"]}


def connected(lab):
    return {name for name, n in nodes(lab).items() if n["session"]["connected"]}


def permits(lab, shard="web-a"):
    """Nodes that hold a permit for the shard, as the controller booked it."""
    out = set()
    for name in topo.NODES:
        for s in lab.api(f"/v1/nodes/{name}")["shards"]:
            if s["shard"] == shard and s["permit_ms"] > 0:
                out.add(name)
    return out


def running(lab, node):
    with Vty(lab.vty_path(node)) as vty:
        return vty.cmd("show running-config")


def announcing(lab, prefix=WEB_A):
    return {site for site, names in topo.SITES.items() for n in names if f"network {prefix} " in running(lab, n)}


def log(lab, node):
    return (lab.ground.dir / node / "agent.log").read_text()


def holder(lab):
    """A node of fra (whose site has others) that holds a permit."""
    return wait_until(lambda: sorted(n for n in permits(lab) if n.startswith("fra")), 20, "a permit in fra")[0]


def gone(lab, node):
    return f"to-{node}" not in lab.fib("fra-r", WEB_A)


def back(lab, node):
    wait_until(lambda: not gone(lab, node), 30, f"{node} to return")


# -- the agent --------------------------------------------------------------------------------------------


def test_agent_killed_while_its_service_dies(lab):
    node = holder(lab)
    lab.kill_agent(node)
    lab.kill_nginx(node)
    time.sleep(0.1)  # RestartSec=100ms of the unit
    began = time.monotonic()
    lab.start_agent(node)
    wait_until(lambda: gone(lab, node), 5, f"{node} to be withdrawn", 0.01)
    took = time.monotonic() - began
    lab.start_nginx(node)
    back(lab, node)
    assert took <= 2, f"{took:.2f} s"


def test_restarted_agent_keeps_its_permit_without_a_controller(lab):
    """The lease on disk is its own proof: same boot, not run out."""
    node = holder(lab)
    lab.kill_controller()
    try:
        lab.kill_agent(node)
        lab.start_agent(node)
        wait_until(lambda: "kept from before: directive" in log(lab, node), 5, "the directive to be loaded")
        lab.kill_nginx(node)
        wait_until(lambda: gone(lab, node), 5, f"{node} to be withdrawn by its permit", 0.02)
    finally:
        lab.start_controller()
        lab.start_nginx(node)
    back(lab, node)


def break_state(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x55
    path.write_bytes(data)


def cut_state(path):
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize("damage,words", [(break_state, "checksum"), (cut_state, "routes stay as they are"),
                                          (pathlib.Path.unlink, "no directive is kept")])
def test_damaged_state_is_said_once_and_changes_nothing(lab, damage, words):
    path = lab.ground.dir / "ams1" / "agent" / "directive"
    lab.kill_controller()
    try:
        mark = lab.collector.mark()
        lab.kill_agent("ams1")
        damage(path)
        seen = len(log(lab, "ams1"))
        lab.start_agent("ams1")
        wait_until(lambda: words in log(lab, "ams1")[seen:], 5, "the words")
        lab.collector.wait_quiet(2, 10)
        assert lab.collector.changes_since(mark, real=False) == []
        assert log(lab, "ams1")[seen:].count(words) == 1
        assert "ams" in announcing(lab)
    finally:
        lab.start_controller()


def test_agents_restarted_without_controller_keep_everything(lab):
    before = {n: lab.fib("fra-r", WEB_A) for n in ("fra1",)}
    lab.kill_controller()
    try:
        mark = lab.collector.mark()
        for node in topo.NODES:
            lab.kill_agent(node)
        lab.start_agents()
        lab.collector.wait_quiet(4, 15)
        assert lab.collector.changes_since(mark, real=False) == []
        assert lab.fib("fra-r", WEB_A) == before["fra1"]
    finally:
        lab.start_controller()


# -- bgpd and drift ---------------------------------------------------------------------------------------


def established(lab, node):
    try:
        with Vty(lab.vty_path(node)) as vty:
            peers = vty.json("show bgp summary").get("ipv4Unicast", {}).get("peers", {})
    except (OSError, LabError, ValueError):
        return False
    return bool(peers) and all(p["state"] == "Established" for p in peers.values())


def test_bgpd_killed(lab):
    lab.kill_bgpd("fra1")
    wait_until(lambda: gone(lab, "fra1"), 15, "fra1 to be gone")
    lab.start_bgpd("fra1")
    wait_until(lambda: established(lab, "fra1"), 40, "the session", 0.02)
    began = time.monotonic()
    back(lab, "fra1")
    assert time.monotonic() - began <= 3


def test_drift_is_repaired(lab):
    lines = [f"router bgp {topo.ORIGIN_AS}", "address-family ipv4 unicast", f"no network {WEB_A}"]
    with Vty(lab.vty_path("ams1")) as vty:
        vty.configure(lines)
        began = time.monotonic()
        wait_until(lambda: f"network {WEB_A} " in vty.cmd("show running-config"), 5, "the network to be back", 0.02)
    assert time.monotonic() - began <= 2


# -- the controller ---------------------------------------------------------------------------------------


def kill_everywhere(lab):
    for node in topo.NODES:
        lab.kill_nginx(node)


def start_everywhere(lab):
    for node in topo.NODES:
        if (node, "nginx") not in lab.raising.daemons:
            lab.start_nginx(node)


def test_all_services_die_with_a_controller(lab):
    since = max((e["id"] for e in lab.api("/v1/events?limit=1000")["events"]), default=0)
    kill_everywhere(lab)
    try:
        wait_until(lambda: any(e["id"] > since and e["severity"] == "alert" and e["kind"] == "guard.hold" and
                               "service is down" in e["text"] for e in lab.api("/v1/events?limit=1000")["events"]),
                   40, "an alert that says why")
        for _ in range(10):
            assert len(announcing(lab)) >= 2
            time.sleep(0.2)
    finally:
        start_everywhere(lab)


def test_all_services_die_partitioned(lab):
    """Outstanding permits are used, and only they: two sites stay, and each agent says why it does not go."""
    marks = {n: len(log(lab, n)) for n in topo.NODES}
    lab.kill_controller()
    kill_everywhere(lab)
    try:
        wait_until(lambda: all("no permit" in log(lab, n)[marks[n]:] or f"network {WEB_A} " not in running(lab, n)
                               for n in topo.NODES), 15, "every agent to go or to say why not")
        for _ in range(15):
            assert len(announcing(lab)) >= 2
            time.sleep(0.2)
    finally:
        start_everywhere(lab)
        lab.start_controller()


def test_restarted_controller_counts_old_permits(lab):
    """The new controller knows of no permit; the old ones are out still, and must be counted."""
    lab.kill_controller()
    lab.start_controller()
    kill_everywhere(lab)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            assert len(announcing(lab)) >= 2
            time.sleep(0.1)
    finally:
        start_everywhere(lab)


# -- nothing happens ---------------------------------------------------------------------------------------


def updates_received(lab, router):
    """Of BGP UPDATE messages, from all neighbours."""
    with Vty(lab.vty_path(router)) as vty:
        peers = vty.json("show bgp neighbors")
    return sum(p["messageStats"]["updatesRecv"] for p in peers.values() if "messageStats" in p)


def test_steady_state_is_silent(lab):
    """Not one UPDATE, from any node to its router or from any site to the outside."""
    seen = [(time.monotonic(), updates_received(lab, "fra-r"))]

    def quiet():
        now = updates_received(lab, "fra-r")
        if now != seen[-1][1]:
            seen.append((time.monotonic(), now))
        return time.monotonic() - seen[-1][0] > 6
    # first weights, and bgpd's own second sending of what is new, 5 s after it started
    wait_until(quiet, 60, "the lab to settle", 0.2)
    mark, before = lab.collector.mark(), seen[-1][1]
    end = time.monotonic() + int(os.environ.get("STEADY_SECONDS", "5"))
    while time.monotonic() < end:
        assert updates_received(lab, "fra-r") == before
        assert lab.collector.changes_since(mark, real=False) == []
        time.sleep(0.5)


# -- flapping ---------------------------------------------------------------------------------------------


def test_flapping_at_1_hz_is_damped(lab):
    """Three minutes of a service that dies and returns every second."""
    seconds = int(os.environ.get("FLAP_SECONDS", "20"))
    mark = lab.collector.mark()
    changes, was = 0, not gone(lab, "fra1")
    pid = lab.raising.daemons["fra1", "nginx"].pid
    end = time.monotonic() + seconds
    stopped, turn = False, time.monotonic()
    while time.monotonic() < end:
        if time.monotonic() >= turn:
            if stopped:
                lab.start_nginx("fra1")
            else:
                lab.kill_nginx("fra1")
            stopped, turn = not stopped, turn + 0.5
        now = not gone(lab, "fra1")
        changes += now != was
        was = now
        time.sleep(0.02)
    if stopped:
        lab.start_nginx("fra1")
    back(lab, "fra1")
    assert pid and changes <= 2, f"{changes} route changes at the neighbour; outside: {lab.collector.changes_since(mark)}"
