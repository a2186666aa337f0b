# SPDX-License-Identifier: Apache-2.0
"""agent/apply on a real FRR: what apply_driver asks for is looked at from the neighbour."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from .apply_rig import (ALLOWED, ASAN, DRIVER, PEER_IP, V4, V6, Driver, Vty, communities, gone, is_applied, sees, stays,
                        wait_until)
from .apply_rig import _clean, _driver, _net, _proxy  # noqa: F401  pytest finds fixtures by module

# -- what goes out ------------------------------------------------------------------------------------

def test_announce_and_withdraw_both_families(clean, driver):
    ms = driver.apply(V4[0], V6[0])
    for p in (V4[0], V6[0]):
        path = sees(clean, p)
        assert "community" not in path and "extendedCommunity" not in path
    assert ASAN or ms < 1000
    routes, state = driver.routes()
    assert state["bgp_ok"] and state["asn"] == 64500
    assert routes[V4[0]]["neighbours"] == 1 and routes[V4[0]]["grade"] == "normal"
    driver.apply(f"{V4[0]} withdrawn", f"{V6[0]} withdrawn")
    gone(clean, V4[0], V6[0])
    assert driver.routes()[0][V4[0]]["grade"] == "withdrawn"
    assert "SLUICE" not in clean.node.config()  # our maps are gone too


def test_attributes_arrive(clean, driver):
    driver.apply(f"{V4[0]} prepend=2 community=64500:80 community=64500:90 large=64500:1:2 bw=30 grade=x weight=30",
                 f"{V6[0]} prepend=1 community=65535:0 bw=100 grade=drain weight=100")
    path = sees(clean, V4[0], 2, "64500:80 64500:90")
    assert path["largeCommunity"]["string"] == "64500:1:2"
    assert "LB:64500:3750000" in path["extendedCommunity"]["string"]
    path = sees(clean, V6[0], 1, "graceful-shutdown")
    assert "LB:64500:12500000" in path["extendedCommunity"]["string"]
    routes = driver.routes()[0]
    assert (routes[V4[0]]["grade"], routes[V4[0]]["weight"]) == ("x", 30)
    assert routes[V6[0]]["grade"] == "drain"


def test_change_in_place_without_withdrawal(clean, driver):
    driver.apply(V4[0], V4[1], V6[0])
    mark = clean.log_mark()
    steps = [("prepend=1", 1), ("prepend=3 community=64500:80", 3, "64500:80"),
             ("community=65535:0", 0, "graceful-shutdown"), ("bw=10",), ("bw=11",), ("large=64500:1:1",), ("",)]
    for attrs, *seen in steps:
        ms = driver.apply(f"{V4[0]} {attrs}", V4[1], f"{V6[0]} {attrs}")
        assert ASAN or ms < 500, f"{attrs}: {ms} ms"
        for p in (V4[0], V6[0]):
            path = sees(clean, p, *seen)
            assert ("LB:" in path.get("extendedCommunity", {}).get("string", "")) == ("bw=" in attrs)
    for p in (V4[0], V6[0]):
        assert clean.log_since(mark, p) == ["route"] * len(steps)
    assert clean.log_since(mark, V4[1]) == []  # its own attributes did not change
    assert len(re.findall(r"^route-map SLUICE", clean.node.config(), re.M)) == 1


def test_withdrawal_is_fast(clean, driver):
    driver.apply(*V4)
    for p in V4:
        sees(clean, p)  # applied is in the RIB-out, not yet at the neighbour
    t0 = time.monotonic()
    driver.commit(f"{V4[0]} withdrawn", *V4[1:])
    wait_until("the neighbour lost it", lambda: clean.route(V4[0]) is None, 5, 0.002)
    took = time.monotonic() - t0
    assert ASAN or took < 0.5, f"{took:.3f} s"
    assert all(clean.route(p) for p in V4[1:])


def test_newest_want_wins(clean, driver):
    for i in range(10):
        driver.commit(f"{V4[0]} prepend={i % 4}")
    driver.apply(f"{V4[0]} prepend=2")
    sees(clean, V4[0], 2)


# -- ours and not ours --------------------------------------------------------------------------------


def foreign_part(config):
    """The configuration without what is ours."""
    out, ours = [], False
    for line in config.splitlines():
        if not line.startswith(" "):
            ours = line.startswith("route-map SLUICE")
        if not ours and not any(p in line for p in ALLOWED) and line not in ("exit", "!"):
            out.append(line)
    return out


def test_foreign_is_untouched(clean, driver):
    before = foreign_part(clean.node.config())
    mark = clean.log_mark()
    driver.apply(*V4, *V6)
    driver.apply(*(f"{p} prepend=1" for p in V4 + V6))
    driver.apply(*(f"{p} withdrawn" for p in V4 + V6))
    assert foreign_part(clean.node.config()) == before
    assert clean.log_since(mark, "203.0.113.0/24") == [] and clean.log_since(mark, "192.0.2.0/24") == []


def test_unwanted_is_left_alone(clean, driver):
    """An allowed prefix that somebody announces by hand stays as it is until it is named."""
    clean.node.type("route-map SLUICE-hand-A permit 10", "set community 64500:7", "router bgp",
                    "address-family ipv4 unicast", f"network {V4[2]} route-map SLUICE-hand-A",
                    f"network {V4[3]} route-map FOREIGN")
    wait_until("it is announced", lambda: clean.route(V4[2]) and clean.route(V4[3]))
    mark = clean.log_mark()
    driver.apply(V4[0])
    wait_until("it is reported", lambda: V4[2] in driver.routes()[0])
    assert communities(clean.route(V4[2])) == "64500:7"
    assert clean.log_since(mark, V4[2]) == [] and clean.log_since(mark, V4[3]) == []
    routes = driver.routes()[0]
    assert routes[V4[2]]["announced"] and routes[V4[2]]["grade"] == "?" and not routes[V4[2]]["error"]
    driver.apply(V4[0], f"{V4[2]} withdrawn", f"{V4[3]} prepend=1")  # named now
    gone(clean, V4[2])
    sees(clean, V4[3], 1)
    assert "set metric 7" in clean.node.config()


def test_whitelist(clean, driver):
    driver.apply(V4[0])
    mark = clean.log_mark()
    done = driver.commit(f"{V4[0]} withdrawn", "198.18.77.0/24")
    assert done["err"] == -1007 and "whitelist" in done["why"]
    done = driver.commit(V4[0], "198.18.1.0/25")  # inside an allowed one is not enough
    assert done["err"] == -1007
    done = driver.commit(V4[0], V4[0])
    assert done["err"] != 0
    stays("nothing of a refused call is taken", lambda: clean.route(V4[0]), 1.5)
    assert clean.log_since(mark, V4[0]) == []
    assert "198.18.77" not in clean.node.config()


# -- steady state, adoption ---------------------------------------------------------------------------


def test_steady_state_is_silent(clean, proxy):
    d = Driver(proxy.path)
    try:
        d.apply(f"{V4[0]} prepend=1 bw=30", f"{V6[0]} community=64500:80", V4[1])
        commands, cpu, t0 = len(proxy.commands), d.cpu_s(), time.monotonic()
        events = d.mark()
        # longer than FRR's 5 s route-map delay-timer: our own edits must not be re-announced by it
        clean.stays_silent(8)
        assert proxy.config_commands(commands) == []
        assert d.mark() == events
        share = (d.cpu_s() - cpu) / (time.monotonic() - t0)
        assert ASAN or share <= 0.005, f"{share:.4f} of a core"
        again = len(proxy.commands)
        d.commit(f"{V4[0]} prepend=1 bw=30", f"{V6[0]} community=64500:80", V4[1])  # the same once more
        clean.stays_silent(1.5)
        assert proxy.config_commands(again) == []
    finally:
        d.end()


@pytest.mark.parametrize("how", ["quit", "kill -9"])
def test_adopts_without_an_update(clean, proxy, how):
    wants = [f"{V4[0]} prepend=1 community=64500:80 bw=30", V4[1], f"{V6[0]} community=65535:0", f"{V4[2]} withdrawn"]
    first = Driver(proxy.path)
    first.apply(*wants)
    config, commands = clean.node.config(), len(proxy.commands)
    witness = clean.witness()
    if how == "quit":
        first.end()
    else:
        first.kill()
    second = Driver(proxy.path)
    try:
        wait_until("adopted", lambda: second.routes()[0].get(V4[0], {}).get("announced"))
        routes = second.routes()[0]
        assert routes[V4[1]]["grade"] == "normal" and routes[V6[0]]["grade"] == "drain"
        clean.stays_silent(1, *witness)  # nobody wants anything yet
        since = second.mark()
        second.apply(*wants)
        assert second.mark() > since
        clean.stays_silent(6, *witness)
        assert proxy.config_commands(commands) == []
        assert clean.node.config() == config
    finally:
        second.end()


# -- what can go wrong --------------------------------------------------------------------------------


def test_wrong_path_has_clear_words(clean):
    empty = clean.root / "a-file"
    empty.write_text("")
    rows = [(clean.root / "nowhere" / "bgpd.vty", "no socket at"), (empty, "nothing listens at"),
            (clean.node.dir / "zebra.vty", "not bgpd"), ("/" + "x" * 150, "too long")]
    for path, words in rows:
        d = Driver(path)
        try:
            d.commit(V4[0])
            event = d.wait("bgpd", lambda e: e["event"] == "bgpd")
            assert not event["up"] and words in event["why"] and "frr.vty" in event["why"]
            assert words in d.routes()[0][V4[0]]["error"]
        finally:
            d.end()


def test_permission_has_clear_words(clean):
    copy = clean.root / "driver"  # the tree itself may be closed to others
    shutil.copy(DRIVER, copy)
    d = subprocess.Popen(["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", str(copy),
                          str(clean.node.vty), V4[0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
    try:
        event = json.loads(d.stdout.readline())
        assert not event["up"] and "frrvty" in event["why"]
    finally:
        d.stdin.close()
        d.wait(10)


def test_somebody_in_configure_mode(clean, driver):
    other = Vty(clean.node.vty)
    other.ask("configure terminal")
    other.ask("route-map OTHER permit 10")
    driver.apply(f"{V4[0]} prepend=1")
    other.ask("set metric 3")
    assert "route-map OTHER permit 10\n set metric 3" in clean.node.config()
    other.ask("no route-map OTHER")
    other.close()


def test_refused_session_is_retried(clean, proxy):
    """What a bgpd that locks its configuration would answer."""
    proxy.answer("^configure terminal$", 1, "VTY configuration is locked by other VTY\n", 3)
    d = Driver(proxy.path)
    try:
        since = d.mark()
        d.commit(V4[0])
        event = d.wait("words", lambda e: e["event"] == "applied" and any(r["error"] for r in e["routes"]), since)
        assert "locked by other VTY" in event["routes"][0]["error"]
        d.wait("applied", lambda e: e["event"] == "applied" and is_applied(e, {V4[0]: True}), since)
        assert proxy.config_commands().count("configure terminal") == 4
        assert proxy.config_commands()[:3] == ["configure terminal", "end", "configure terminal"]
    finally:
        d.end()


def test_withdrawal_waits_for_a_map_made_again_but_not_for_long(clean, proxy):
    """Its service is dead: six seconds, even if bgpd never looks at the map."""
    name = "SLUICE-[0-9a-f]{16}-A"
    d = Driver(proxy.path)
    try:
        d.apply(f"{V4[0]} prepend=1", f"{V4[1]} prepend=1")
        mine = re.search(f"route-map ({name}) permit", clean.node.config())[1]
        proxy.answer("show route-map", 0, json.dumps({"BGP": {mine: {"invoked": 0, "processedChange": True}}}), 10000)
        clean.node.type(f"route-map {mine} permit 10", "set metric 9")
        wait_until("said", lambda: "made again" in d.routes()[0][V4[0]]["error"], 3)
        began = time.monotonic()
        d.apply(f"{V4[0]} withdrawn", timeout=8)
        assert time.monotonic() - began > 4
        gone(clean, V4[0])
        assert f"network {V4[1]} route-map {mine}" in clean.node.config()
    finally:
        d.end()


def test_refused_route_does_not_stop_the_others(clean, proxy):
    proxy.answer(f"^network {V4[1]}", 13, "% Something bgpd does not like\n", 2)
    d = Driver(proxy.path)
    try:
        since = d.mark()
        d.commit(V4[0], V4[1], V4[2])
        event = d.wait("words", lambda e: e["event"] == "applied" and any(r["error"] for r in e["routes"]), since)
        got = {r["prefix"]: r for r in event["routes"]}
        assert got[V4[0]]["announced"] and got[V4[2]]["announced"] and not got[V4[1]]["announced"]
        assert "Something bgpd does not like" in got[V4[1]]["error"] and f"network {V4[1]}" in got[V4[1]]["error"]
        d.wait("applied", lambda e: e["event"] == "applied" and is_applied(e, {V4[1]: True}), since, 15)
    finally:
        d.end()


def test_refused_map_line_keeps_the_old_announcement(clean, proxy):
    d = Driver(proxy.path)
    try:
        d.apply(V4[0], V4[1])
        proxy.answer("^set community 64500:80", 0, "% [BGP] Argument form is unsupported or malformed.\n", 1)
        mark, since = clean.log_mark(), d.mark()
        d.commit(f"{V4[0]} community=64500:80", f"{V4[1]} prepend=1")
        event = d.wait("words", lambda e: e["event"] == "applied" and any(r["error"] for r in e["routes"]), since)
        got = {r["prefix"]: r for r in event["routes"]}
        assert "malformed" in got[V4[0]]["error"] and got[V4[0]]["announced"]
        assert not got[V4[1]]["error"]
        assert clean.log_since(mark, V4[0]) == []
        d.wait("applied", lambda e: e["event"] == "applied" and is_applied(e, {V4[0]: True}), since, 15)
        sees(clean, V4[0], 0, "64500:80")
        # dropping has a back-off of its own, that may end just after the route's
        wait_until("the half made one is gone",
                   lambda: len(re.findall(r"^route-map SLUICE", clean.node.config(), re.M)) == 2)
    finally:
        d.end()


def test_unfit_attributes(clean, driver):
    driver.apply(V4[0], V4[1])
    since = driver.mark()
    driver.commit(f"{V4[0]} community=nonsense", f"{V4[1]} prepend=1")
    event = driver.wait("words", lambda e: e["event"] == "applied", since)
    got = {r["prefix"]: r for r in event["routes"]}
    assert "not a community" in got[V4[0]]["error"] and got[V4[0]]["announced"]
    assert not got[V4[1]]["error"]
    sees(clean, V4[0])
    sees(clean, V4[1], 1)


def test_stopped_bgpd(clean, driver):
    driver.apply(V4[0])
    since = driver.mark()
    os.kill(clean.node.pid(), signal.SIGSTOP)
    try:
        event = driver.wait("words", lambda e: e["event"] == "bgpd" and not e["up"], since, 10)
        assert "did not answer" in event["why"]
    finally:
        os.kill(clean.node.pid(), signal.SIGCONT)
    driver.wait("up again", lambda e: e["event"] == "bgpd" and e["up"], since, 20)
    clean.wait_established()
    wait_until("announced", lambda: clean.route(V4[0]))


def test_import_check_and_policy_words(clean, driver):
    clean.node.type("router bgp", "bgp network import-check")
    try:
        driver.commit(V4[0])
        wait_until("said", lambda: "import-check" in driver.routes()[0][V4[0]]["error"])
        assert not driver.routes()[0][V4[0]]["announced"]
    finally:
        clean.node.type("router bgp", "no bgp network import-check")
    wait_until("announced", lambda: driver.routes()[0][V4[0]]["announced"])
    clean.node.type("ip prefix-list NOT1 permit " + V4[0], "route-map EXPORT deny 5",
                    "match ip address prefix-list NOT1", "bgp route-map delay-timer 1")
    try:
        wait_until("said", lambda: "outbound policy" in driver.routes()[0][V4[0]]["error"], 15)
    finally:
        clean.node.type("no route-map EXPORT deny 5", "no ip prefix-list NOT1 permit " + V4[0],
                        "bgp route-map delay-timer 5")
    wait_until("announced", lambda: driver.routes()[0][V4[0]]["announced"], 15)


def test_no_neighbour(clean, driver):
    clean.node.type("router bgp", f"neighbor {PEER_IP} shutdown")
    try:
        driver.commit(V4[0], V6[0])
        wait_until("said", lambda: "no BGP neighbour" in driver.routes()[0][V4[0]]["error"])
        assert not driver.routes()[1]["bgp_ok"]
        assert f"network {V4[0]}" in clean.node.config()  # configured all the same
    finally:
        clean.node.type("router bgp", f"no neighbor {PEER_IP} shutdown")
    clean.wait_established()
    wait_until("reported", lambda: driver.routes()[0][V4[0]]["announced"] and driver.routes()[1]["bgp_ok"], 15)


def test_second_instance(clean, driver):
    """With a vrf's instance beside it `router bgp` alone is ambiguous."""
    clean.node.type("router bgp 64999 vrf RED", "address-family ipv4 unicast", f"network {V4[0]}")
    try:
        driver.apply(f"{V4[0]} prepend=1", V4[1])
        driver.apply(f"{V4[0]} withdrawn", V4[1])
        red = clean.node.config().split("router bgp 64999 vrf RED")[1]
        assert f"network {V4[0]}" in red and V4[1] not in red
    finally:
        clean.node.type("no router bgp 64999 vrf RED")


# -- size ---------------------------------------------------------------------------------------------


def test_thousand_prefixes(clean):
    many = [f"10.{100 + i // 250}.{i % 250}.0/24" for i in range(1000)]
    d = Driver(clean.node.vty, many)
    try:
        d.wait("bgpd", lambda e: e["event"] == "bgpd" and e["up"])
        times = {}
        times["announce"] = d.apply(*many, timeout=60)
        for p in many[::100]:
            sees(clean, p)
        times["change"] = d.apply(*(p + " prepend=1 community=64500:80" for p in many), timeout=60)
        for p in many[::100]:
            sees(clean, p, 1, "64500:80")
        cpu, t0 = d.cpu_s(), time.monotonic()
        clean.stays_silent(8)
        times["idle cpu %"] = 100 * (d.cpu_s() - cpu) / (time.monotonic() - t0)
        times["one"] = d.apply(many[0], *(p + " prepend=1 community=64500:80" for p in many[1:]), timeout=60)
        times["withdraw"] = d.apply(*(p + " withdrawn" for p in many), timeout=60)
        print(times)
        if not ASAN:
            assert times["announce"] < 1500 and times["change"] < 1500, times
            assert times["idle cpu %"] <= 0.75, times
    finally:
        d.end()
