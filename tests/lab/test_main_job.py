# SPDX-License-Identifier: Apache-2.0
"""Each mechanism of the main job, on real routers, in one lab raised once.

Order matters little: every test starts from `steady` (everything normal, mode steer, agents connected) and is
judged by routers, clients and the collector.
"""
import json
import os
import re
import signal
import socket
import ssl
import struct
import time

import pytest

from tests.lab import topology as topo
from tests.lab.lab import Lab
from tests.lab.netns import entered
from tests.lab.procs import wait_until

POLICY = dict(settle_min_ms=2000, settle_max_ms=5000, restore_hold_ms=3000, no_return_ms=3000, changes_max=200,
              weaken_share_max=0.40, ledger_max=2000)
BUILD = os.environ.get("SLUICE_BUILD", "build")
WEB_A = topo.SHARDS["web-a"]


@pytest.fixture(scope="module")
def lab():
    with Lab(build=BUILD) as lab:
        lab.start_steering(**POLICY)
        yield lab


@pytest.fixture(autouse=True)
def steady(lab):
    wait_until(lambda: connected(lab) == set(topo.NODES), 20, "all agents to be connected")
    wait_until(lambda: not weakened(lab), 30, "every shard to be normal")
    lab.wait_catchment(topo.HOME, 20)
    lab.collector.wait_quiet(1.5, 20)
    yield
    for site in lab.api("/v1/sites")["sites"]:
        if site["drain"]:
            lab.ctl("undrain", "site", site["name"])


def nodes(lab):
    return {n["name"]: n for n in lab.api("/v1/nodes")["nodes"]}


def connected(lab):
    return {name for name, n in nodes(lab).items() if n["session"]["connected"]}


def weakened(lab):
    return {(s["name"], x["site"]): x["grade"] for s in lab.api("/v1/shards")["shards"] for x in s["sites"]
            if x["grade"] != "normal"}


def events(lab, kind):
    return [e for e in lab.api("/v1/events?limit=1000")["events"] if e["kind"] == kind]


def path_at_t2(lab, prefix=WEB_A):
    """The AS path that the collector last heard from t2."""
    return lab.collector.table([prefix]).get(("t2", prefix))


# -- weights ------------------------------------------------------------------------------------------------


def test_weights_follow_capacity(lab):
    def balanced():
        for shard in ("web-a", "web-a6"):
            hops = lab.fib("fra-r", topo.SHARDS[shard])
            if set(hops) != {"to-fra1", "to-fra2", "to-fra3"}:
                return False
            if not 1.4 <= hops["to-fra1"] / hops["to-fra3"] <= 2.8:
                return False
        return True
    with lab.load() as load:
        load.spread(80, clients=["c1", "c2", "c6"])
        wait_until(balanced, 25, "next-hop weights of about 2:2:1")


# -- grades: drain, withdraw, prepend -----------------------------------------------------------------------


def test_drain_of_a_site_moves_its_clients(lab):
    lab.ctl("drain", "site", "ams", "--reason", "test of drain")
    wait_until(lambda: all(site != "ams" for site in lab.site_catchment().values()), 15, "ams to be empty")
    assert "(65535,0)" in lab.vty("t2", f"show route for {WEB_A} all"), "its transit did not hear graceful-shutdown"
    lab.ctl("undrain", "site", "ams")
    lab.wait_catchment(topo.HOME, 15)


def test_drain_of_a_node_leaves_the_rest_of_its_site(lab):
    lab.ctl("drain", "node", "fra2", "--reason", "new disk")
    wait_until(lambda: "to-fra2" not in lab.fib("fra-r", WEB_A), 15,
               lambda: f"fra2 to leave the ECMP set: {lab.api('/v1/drains')}")
    assert set(lab.fib("fra-r", WEB_A)) == {"to-fra1", "to-fra3"}
    assert all(site == topo.HOME[c] for (c, _), site in lab.site_catchment().items())
    lab.ctl("undrain", "node", "fra2")
    wait_until(lambda: "to-fra2" in lab.fib("fra-r", WEB_A), 15, "fra2 to return")


def test_drain_of_a_site_ends_in_a_withdrawal(lab):
    lab.ctl("drain", "site", "ams", "--reason", "rack moves")
    stages = set()

    def withdrawn():
        drain = lab.api("/v1/drains")["drains"][0]
        stages.add(drain["stage"])
        return drain["stage"] == "withdrawn" and "ams1" not in lab.vty("t2", f"show route for {WEB_A} all")
    wait_until(withdrawn, 30, lambda: f"ams to be withdrawn: {stages}")
    assert "waiting" in stages
    assert all(site != "ams" for site in lab.site_catchment().values())
    lab.ctl("undrain", "site", "ams")
    lab.wait_catchment(topo.HOME, 15)


def test_override_is_heard_and_reverts_by_itself(lab):
    def prepended():
        return re.search(r"\b(\d+) \1 \1\b", lab.vty("t2", f"show route for {WEB_A} all"))
    lab.post("/v1/overrides", {"site": "ams", "shard": "web-a", "grade": "prepend2", "reason": "test", "confirm_s": 5})
    wait_until(prepended, 5, "t2 to hear two prepends")
    wait_until(lambda: not lab.api("/v1/overrides")["overrides"], 10, "the unconfirmed override to be gone")
    wait_until(lambda: not prepended(), 10, "t2 to hear none again")
    lab.wait_catchment(topo.HOME, 15)


def test_guard_refuses_a_drain_too_many(lab):
    lab.ctl("drain", "site", "ams", "--reason", "first")
    wait_until(lambda: all(site != "ams" for site in lab.site_catchment().values()), 15, "ams to be empty")
    done = lab.ground.run("ctl", lab.ctl_argv("drain", "site", "nyc", "--reason", "second"), False)
    assert done.returncode == 1
    assert "I1" in done.stderr + done.stdout
    lab.ctl("undrain", "site", "ams")


def test_overload_is_shed_by_grades_and_given_back(lab):
    mark = lab.collector.mark()
    with lab.load() as load:
        bits = topo.object_wire_bytes() * 8
        for clients, site, util in ((["c1", "c2", "c6"], "fra", 1.5), (["c3", "c4"], "ams", 0.15), (["c5"], "nyc", 0.15)):
            cap = sum(topo.NODES[n].capacity_bps for n in topo.SITES[site])
            load.spread(util * cap / bits, clients=clients)
        wait_until(lambda: weakened(lab), 20, "a shard to be weakened")

        def relieved():
            seen = lab.offered_util(seconds=4)
            return max(seen.values()) <= 1.0
        wait_until(relieved, 60, "no node above its capacity")
        changed = {c.prefix for c in lab.collector.changes_since(mark)}
        assert changed, "the collector heard nothing"
        load.spread(20)
        wait_until(lambda: not weakened(lab), 90, "all grades to be given back")


# -- faults -------------------------------------------------------------------------------------------------


def test_agent_kill_changes_nothing(lab):
    mark = lab.collector.mark()
    before = lab.fib("fra-r", WEB_A)
    lab.kill_agent("fra1")
    lab.kill_agent("ams1")
    wait_until(lambda: connected(lab).isdisjoint({"fra1", "ams1"}), 15, "the controller to see them gone")
    assert lab.fib("fra-r", WEB_A) == before
    lab.start_agents(["fra1", "ams1"])
    wait_until(lambda: connected(lab) == set(topo.NODES), 15, "the agents to be back")
    lab.collector.wait_quiet(3, 10)
    assert lab.collector.changes_since(mark, real=False) == []
    assert lab.fib("fra-r", WEB_A) == before


def test_controller_kill_changes_nothing(lab):
    mark = lab.collector.mark()
    lab.kill_controller()
    time_of_death = time.monotonic()
    lab.start_controller()
    wait_until(lambda: connected(lab) == set(topo.NODES), 20, "the agents to be back")
    lab.collector.wait_quiet(4, 15)
    assert lab.collector.changes_since(mark, real=False) == []
    assert time.monotonic() - time_of_death >= 4


def test_bgpd_kill_is_repaired(lab):
    lab.kill_bgpd("ams1")
    wait_until(lambda: not any(s == "ams" for s in lab.site_catchment().values()), 15, "ams to be gone")
    lab.start_bgpd("ams1")
    lab.wait_catchment(topo.HOME, 30)


def test_drift_is_repaired(lab):
    family = "ipv4"
    from tests.lab.vty import Vty
    with Vty(lab.vty_path("ams1")) as vty:
        vty.configure([f"router bgp {topo.ORIGIN_AS}", f"address-family {family} unicast", f"no network {WEB_A}"])
    began = time.monotonic()

    def announced():
        with Vty(lab.vty_path("ams1")) as vty:
            return f"network {WEB_A}" in vty.cmd("show running-config")
    wait_until(announced, 4, "the network statement to be back")
    assert time.monotonic() - began < 3.5


def test_service_death_withdraws_and_returns(lab):
    began = time.monotonic()
    lab.kill_nginx("fra1")
    wait_until(lambda: "to-fra1" not in lab.fib("fra-r", WEB_A), 5, "fra1 to be withdrawn", poll_s=0.01)
    assert time.monotonic() - began < 3
    lab.start_nginx("fra1")
    wait_until(lambda: "to-fra1" in lab.fib("fra-r", WEB_A), 20, "fra1 to return after its hold-down")


def test_single_node_site_asks_and_is_granted(lab):
    """ams is one node: it may hold no permit, then it has to ask; either way its dead service must go."""
    lab.kill_nginx("ams1")
    wait_until(lambda: not any(s in ("ams", None) for s in lab.site_catchment().values()), 20,
               "everybody to be served elsewhere")
    lab.start_nginx("ams1")
    lab.wait_catchment(topo.HOME, 30)


def test_everything_dying_keeps_two_sites_announced(lab):
    for node in topo.NODES:
        lab.kill_nginx(node)
    wait_until(lambda: any(e["severity"] == "alert" for e in events(lab, "guard.hold")), 30, "an alert that says why")
    announced = {site for site, names in topo.SITES.items()
                 for n in names if f"network {WEB_A}" in lab.vty(n, "show running-config")}
    assert len(announced) >= 2, announced
    for node in topo.NODES:
        lab.start_nginx(node)


# -- bad input ----------------------------------------------------------------------------------------------


def agents_port(lab):
    return (topo.CONTROLLER_ADDR, topo.AGENT_PORT)


def tls_socket(lab, cert=None):
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname = False
    ctx.load_verify_locations(lab.pki_dir / "ca.pem")
    if cert:
        ctx.load_cert_chain(f"{cert}.pem", f"{cert}.key")
    with entered(lab.ground.ns("ctl")):
        raw = socket.socket()
    raw.settimeout(5)
    raw.connect(agents_port(lab))
    return ctx.wrap_socket(raw)


def refused(sock, data=b""):
    """True when the other side ends the connection."""
    try:
        if data:
            sock.sendall(data)
        while True:
            if not sock.recv(4096):
                return True
    except (ssl.SSLError, ConnectionError):
        return True
    except socket.timeout:
        return False
    finally:
        sock.close()


def other_ca(lab):
    where = lab.ground.dir / "other-pki"
    if not where.exists():
        where.mkdir()
        lab._run("pki", "init", where, "--cluster", "other")
        lab._run("pki", "issue", "fra1", "--dir", where, "--role", "node")
    return where / "fra1"


def test_mtls_refuses_wrong_certificates(lab):
    before = connected(lab)
    assert refused(tls_socket(lab), struct.pack(">I", 5) + b"hello"), "no certificate"
    assert refused(tls_socket(lab, other_ca(lab)), struct.pack(">I", 5) + b"hello"), "another CA"
    assert connected(lab) == before
    assert any("certificate" in e["text"] for e in events(lab, "agent.rejected"))


def test_bad_frames_end_the_session_only(lab):
    lab._run("pki", "issue", "stranger", "--dir", lab.pki_dir, "--role", "node", "--force")
    cert = lab.pki_dir / "stranger"
    assert refused(tls_socket(lab, cert), struct.pack(">I", 1 << 30)), "oversized"
    assert refused(tls_socket(lab, cert), struct.pack(">I", 0)), "empty"
    assert refused(tls_socket(lab, cert), struct.pack(">I", 4) + b"\xff\xff\xff\xff"), "garbage"
    half = tls_socket(lab, cert)
    half.sendall(struct.pack(">I", 100) + b"half")
    half.close()
    texts = " ".join(e["text"] for e in events(lab, "agent.rejected"))
    assert "limit" in texts or "larger" in texts
    assert connected(lab) == set(topo.NODES)


def test_unknown_node_is_refused_in_words(lab):
    lab._run("pki", "issue", "stranger", "--dir", lab.pki_dir, "--role", "node", "--force")

    def rename(conf):
        conf["node"] = "stranger"
        conf["controller"]["cert"] = str(lab.pki_dir / "stranger.pem")
        conf["controller"]["key"] = str(lab.pki_dir / "stranger.key")
        conf["frr"]["vty"] = "/nonexistent/bgpd.vty"
    lab.start_agent("fra2", edit=rename)  # a second agent on fra2's place; the first is remembered below
    log = lab.ground.dir / "fra2" / "agent.log"
    try:
        for words in ('node "stranger" is not in the cluster document', "/nonexistent/bgpd.vty"):
            wait_until(lambda w=words: w in log.read_text(), 10, f"{words} in the agent's log")
    finally:
        lab.stop_agent("fra2")
        end_all(lab, "fra2")
        lab.start_agent("fra2")


def end_all(lab, node):
    """Ends every agent this lab started on a node."""
    for child in list(lab.ground.children):
        argv = [str(a) for a in child.args]
        if any(a.endswith("sluice-agent") for a in argv) and any(f"/{node}/agent.yaml" in a for a in argv):
            lab.ground.kill(child, signal.SIGTERM)


def test_second_agent_of_one_name_is_refused(lab):
    first = lab.agents["fra3"]
    lab.start_agent("fra3")
    second = lab.agents["fra3"]
    try:
        wait_until(lambda: any("two agents cannot share a name" in e["text"] for e in events(lab, "agent.refused")), 10,
                   "the second to be refused")
        assert "fra3" in connected(lab)
    finally:
        lab.ground.kill(second, signal.SIGTERM)
        lab.agents["fra3"] = first


def test_invalid_document_changes_nothing(lab):
    before = lab.api("/v1/cluster")
    doc = lab.cluster_doc()
    doc["sites"][0]["nodes"][0]["capacity"]["bps"] = -5
    doc["colour"] = "red"
    doc["services"][0]["shards"][1]["prefixes"] = ["198.18.1.0/25"]
    path = lab._write(lab.ground.dir / "ctl" / "bad.yaml", doc)
    done = lab.ground.run("ctl", lab.ctl_argv("apply", "-f", path), False)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "/sites/0/nodes/0/capacity/bps" in said and "/colour" in said and "/services/0/shards/1" in said, said
    assert lab.api("/v1/cluster") == before


def test_prefix_outside_the_whitelist_is_refused(lab):
    doc = lab.cluster_doc(**POLICY)
    doc["services"][0]["shards"].append({"name": "rogue", "prefixes": ["203.0.113.0/24"]})
    lab.apply(doc)
    try:
        lab.collector.wait_quiet(3, 15)
        for node in topo.NODES:
            assert "203.0.113.0" not in lab.vty(node, "show running-config")
    finally:
        lab.apply(lab.cluster_doc(**POLICY))


def test_changes_need_a_token(lab):
    argv = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", str(lab.pki_dir / "ca.pem"), "-X", "PUT",
            "-d", json.dumps({"mode": "freeze"}), f"https://{topo.CONTROLLER_ADDR}:{topo.API_PORT}/v1/mode"]
    assert lab.ground.run("ctl", argv).stdout == "401"
    assert lab.api("/v1/mode")["mode"] == "steer"
