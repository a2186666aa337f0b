# SPDX-License-Identifier: Apache-2.0
"""An operator's hands in FRR, and FRR's own restarts, while agent/apply runs: what is ours comes back, what is not
ours stays as the operator left it. The place and its helpers are apply_rig.py's."""
import grp
import re
import shutil
import signal
import subprocess
import time

import pytest

from .apply_rig import DRIVER, NODE_CONF, V4, V6, Driver, Vty, gone, has_ended, is_applied, sees, stays, wait_until
from .apply_rig import _clean, _driver, _net  # noqa: F401  pytest finds fixtures by module

WANTS = [f"{V4[0]} prepend=1 bw=30", f"{V6[0]} community=64500:80", V4[1]]


def all_there(net):
    return all(net.route(p) for p in (V4[0], V4[1], V6[0]))


def reload_from(net, text):
    """What `systemctl reload frr` does with a changed frr.conf, for bgpd alone."""
    path = net.node.dir / "frr.conf"
    path.write_text(text.replace("@DIR@", str(net.node.dir)))
    shutil.chown(path, "frr", "frr")
    return subprocess.run(["ip", "netns", "exec", net.node.ns, "/usr/bin/python3", "/usr/lib/frr/frr-reload.py", "--reload",
                           "--daemon", "bgpd", "--vty_socket", net.node.dir, "--rundir", net.node.dir, "--confdir",
                           net.node.dir, "--bindir", "/usr/bin", path], capture_output=True, text=True, timeout=60,
                          check=False)


def only_map(net):
    names = set(re.findall(r"^route-map (SLUICE\S+)", net.node.config(), re.M))
    assert len(names) == 1
    return names.pop()


def test_typed_no_network_is_repaired(clean, driver):
    driver.apply(f"{V4[0]} prepend=1", f"{V6[0]} prepend=1")
    mark = clean.log_mark()
    t0 = time.monotonic()
    clean.node.type("router bgp", "address-family ipv4 unicast", f"no network {V4[0]}", "address-family ipv6 unicast",
                    f"no network {V6[0]}")
    for p in (V4[0], V6[0]):
        wait_until("withdrawn and back", lambda: clean.log_since(mark, p)[-1:] == ["route"], 4)
    assert time.monotonic() - t0 < 2.5
    sees(clean, V4[0], 1)


EDITS = [["route-map @ permit 10", "set community 64500:666"], ["route-map @ permit 10", "set metric 9"],
         ["route-map @ deny 5"], ["route-map @ permit 10", "no set as-path prepend"], ["no route-map @"]]


@pytest.fixture(name="quick_timer")
def _quick_timer(clean):
    """bgpd acts on an edited map after 2 s instead of 5."""
    clean.node.type("bgp route-map delay-timer 2")
    yield
    clean.node.type("bgp route-map delay-timer 5")


def edit(net, lines, within):
    """Edits the one map there is by hand; returns when it has been replaced."""
    name = only_map(net)
    net.node.type(*(line.replace("@", name) for line in lines))
    wait_until(f"the map is replaced after {lines}", lambda: f" {name}\n" not in net.node.config() and
               f"route-map {name} " not in net.node.config(), within)
    assert net.node.config().count(f"route-map {only_map(net)}") == 3


@pytest.mark.usefixtures("quick_timer")
def test_edited_map_is_repaired_unseen(clean, driver):
    """By the time bgpd acts on the edited map nothing uses it any more, so the neighbour hears nothing."""
    driver.apply(f"{V4[0]} prepend=1", f"{V4[1]} prepend=1")
    witness = clean.witness()
    for lines in EDITS:
        edit(clean, lines, 2)
    clean.stays_silent(3, *witness)
    sees(clean, V4[0], 1)


@pytest.mark.usefixtures("quick_timer")
def test_map_made_again_is_left_alone_until_bgpd_has_looked(clean, driver):
    """Until then its `network` statement points at freed memory (FRR 8.4), and a hand on it corrupts bgpd."""
    driver.apply(f"{V4[0]} prepend=1", f"{V4[1]} prepend=1")
    pid, mark, since = clean.node.pid(), clean.log_mark(), driver.mark()
    name, began = only_map(clean), time.monotonic()
    edit(clean, ["no route-map @", "route-map @ deny 10"], 4)
    assert time.monotonic() - began >= 1.8  # bgpd's timer, not sooner
    assert any("made again" in r["error"] for e in driver.events[since:] if e["event"] == "applied" for r in e["routes"])
    sees(clean, V4[0], 1)
    sees(clean, V4[1], 1)
    clean.node.type(f"route-map {name} permit 10", f"no route-map {name}")  # bgpd's memory is used some more
    assert "withdrawn" not in clean.log_since(mark, V4[0])
    assert clean.node.pid() == pid and not has_ended(pid)


def test_repointed_network_is_repaired(clean, driver):
    driver.apply(f"{V4[0]} prepend=1")
    mark = clean.log_mark()
    clean.node.type("router bgp", "address-family ipv4 unicast", f"network {V4[0]} route-map FOREIGN")
    wait_until("changed and back", lambda: clean.log_since(mark, V4[0]) == ["route", "route"], 4)
    sees(clean, V4[0], 1)


def test_bgpd_killed_and_restarted(clean, driver):
    driver.apply(f"{V4[0]} prepend=1 bw=30", f"{V6[0]} community=64500:80", f"{V4[1]} withdrawn")
    since = driver.mark()
    clean.node.end("bgpd", signal.SIGKILL)
    down = driver.wait("bgpd down", lambda e: e["event"] == "bgpd" and not e["up"], since)
    assert "bgpd" in down["why"]
    mark = clean.log_mark()
    routes, state = driver.routes()
    assert not state["bgp_ok"] and not routes[V4[0]]["announced"] and routes[V4[0]]["error"]
    clean.node.start_bgpd()
    driver.wait("bgpd up", lambda e: e["event"] == "bgpd" and e["up"], since)
    wait_until("announced again", lambda: clean.route(V4[0]) and clean.route(V6[0]), 30)
    sees(clean, V4[0], 1)
    sees(clean, V6[0], 0, "64500:80")
    driver.wait("applied", lambda e: e["event"] == "applied" and is_applied(e, {V4[0]: True, V4[1]: False}), since, 20)
    clean.settle(mark)


def test_bgpd_without_instance(clean):
    """vtysh -b types the configuration some time after bgpd started."""
    clean.node.end("bgpd", signal.SIGKILL)
    clean.node.set_conf("hostname node\n")
    clean.node.start_bgpd()
    d = Driver(clean.node.vty)
    try:
        d.commit(V4[0])
        wait_until("said", lambda: "router bgp" in d.routes()[0][V4[0]]["error"])
        assert "router bgp" not in clean.node.config()  # never made by us
        mark = clean.log_mark()
        v = Vty(clean.node.vty)
        v.ask("configure terminal")
        for line in NODE_CONF.splitlines():
            v.ask(line.strip())
        v.ask("end")
        v.close()
        wait_until("announced", lambda: clean.route(V4[0]), 30)
        d.wait("applied", lambda e: e["event"] == "applied" and is_applied(e, {V4[0]: True}))
        clean.settle(mark)
    finally:
        d.end()
        clean.node.set_conf(NODE_CONF)


def test_full_reload_by_the_operator(clean, driver):
    """frr-reload.py removes whatever its file does not name: all of ours. It is back at once; theirs is theirs."""
    driver.apply(*WANTS)
    text = NODE_CONF.replace("set metric 7", "set metric 8")
    done = reload_from(clean, text)
    ended = time.monotonic()
    assert "set metric 8" in clean.node.config(), done.stdout + done.stderr
    wait_until("announced again", lambda: all_there(clean), 10)
    took = time.monotonic() - ended
    sees(clean, V4[0], 1)
    sees(clean, V6[0], 0, "64500:80")
    assert took <= 2.5, f"{took:.2f} s"
    reload_from(clean, NODE_CONF)
    wait_until("metric back", lambda: "set metric 7" in clean.node.config(), 5)
    wait_until("announced again", lambda: all_there(clean), 10)
    # what was reloaded is sent once more when bgpd's timer expires: the next test wants silence
    wait_until("bgpd has looked at all maps", lambda: '"processedChange":true' not in clean.node.ask("show route-map json"))
    clean.node.type("bgp route-map delay-timer 5")


def test_vtysh_file_by_the_operator(clean, driver):
    """`vtysh -f` adds lines: nothing of ours changes, nothing is sent."""
    driver.apply(*WANTS)
    path = clean.node.dir / "more.conf"
    path.write_text("route-map OPERATOR permit 10\n set metric 5\n")
    witness = clean.witness()
    subprocess.run(["ip", "netns", "exec", clean.node.ns, "vtysh", "--vty_socket", clean.node.dir, "-d", "bgpd", "-f", path],
                   check=True, capture_output=True, timeout=30)
    assert "route-map OPERATOR permit 10" in clean.node.config()
    clean.stays_silent(2.5, *witness)
    clean.node.type("no route-map OPERATOR")


def test_zebra_restart(clean, driver):
    driver.apply(*WANTS)
    mark = clean.log_mark()
    clean.node.end("zebra", signal.SIGKILL)
    clean.node.start("zebra", clean.node.zconf)
    wait_until("zebra's socket", (clean.node.dir / "zserv").exists, 10)
    stays("announced all the time", lambda: all_there(clean), 4)
    assert "withdrawn" not in clean.log_since(mark, V4[0]) + clean.log_since(mark, V6[0])


def test_config_lock_held_by_a_vtysh(clean, driver):
    """Somebody who locks the configuration (frr-reload, `configure terminal exclusive`): retried until it is free."""
    other = Vty(clean.node.vty)
    status, text = other.ask("configure terminal file-lock")
    if status or text.startswith("%"):
        status, text = other.ask("configure terminal exclusive")
    locked = status == 0 and not text.startswith("%")
    since = driver.mark()
    driver.commit(V4[0])
    if locked:
        event = driver.wait("an outcome", lambda e: e["event"] == "applied", since)
        if event["routes"][0]["error"]:
            assert "configure terminal" in event["routes"][0]["error"]
    other.ask("end")
    other.close()
    driver.wait("applied", lambda e: e["event"] == "applied" and is_applied(e, {V4[0]: True}), since, 10)
    sees(clean, V4[0])


def test_group_frrvty_is_enough(clean):
    """No root: any user in group frrvty announces and withdraws."""
    grp.getgrnam("frrvty")
    copy = clean.root / "driver-frrvty"
    shutil.copy(DRIVER, copy)
    argv = ["setpriv", "--reuid=nobody", "--regid=frrvty", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
    d = Driver(clean.node.vty, argv=argv, program=copy)
    try:
        d.apply(V4[0])
        sees(clean, V4[0])
        d.apply(f"{V4[0]} withdrawn")
        gone(clean, V4[0])
    finally:
        d.end()


def test_hand_made_route_map_of_a_foreign_name_survives(clean, driver):
    """Somebody's map that only looks a little like ours."""
    clean.node.type("route-map SLUICEGATE permit 10", "set metric 3")
    driver.apply(*WANTS)
    driver.apply(*(w.split()[0] + " withdrawn" for w in WANTS))
    assert re.search(r"^route-map SLUICEGATE permit 10", clean.node.config(), re.M)
    clean.node.type("no route-map SLUICEGATE")
