# SPDX-License-Identifier: Apache-2.0
"""An operator's hands in FRR, and FRR's own restarts, while agent/apply runs: what is ours comes back, what is not
ours stays as the operator left it. The place and its helpers are test_apply.py's."""
import grp
import re
import shutil
import signal
import subprocess
import time

from tests.lab import test_apply as ta
from tests.lab.test_apply import V4, V6, Driver, Vty, sees, wait_until

_net, _clean, _driver = ta._net, ta._clean, ta._driver  # pytest finds fixtures by module

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


def test_full_reload_by_the_operator(clean, driver):
    """frr-reload.py removes whatever its file does not name: all of ours. It is back at once; theirs is theirs."""
    driver.apply(*WANTS)
    text = ta.NODE_CONF.replace("set metric 7", "set metric 8")
    done = reload_from(clean, text)
    ended = time.monotonic()
    assert "set metric 8" in clean.node.config(), done.stdout + done.stderr
    wait_until("announced again", lambda: all_there(clean), 10)
    took = time.monotonic() - ended
    sees(clean, V4[0], 1)
    sees(clean, V6[0], 0, "64500:80")
    assert took <= 2.5, f"{took:.2f} s"
    reload_from(clean, ta.NODE_CONF)
    wait_until("metric back", lambda: "set metric 7" in clean.node.config(), 5)
    wait_until("announced again", lambda: all_there(clean), 10)


def test_vtysh_file_by_the_operator(clean, driver):
    """`vtysh -f` adds lines: nothing of ours changes, nothing is sent."""
    driver.apply(*WANTS)
    path = clean.node.dir / "more.conf"
    path.write_text("route-map OPERATOR permit 10\n set metric 5\n")
    witness = (clean.updates(), clean.log_mark())
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
    ta.stays("announced all the time", lambda: all_there(clean), 4)
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
    driver.wait("applied", lambda e: e["event"] == "applied" and ta.is_applied(e, {V4[0]: True}), since, 10)
    sees(clean, V4[0])


def test_group_frrvty_is_enough(clean):
    """No root: any user in group frrvty announces and withdraws."""
    grp.getgrnam("frrvty")
    copy = clean.root / "driver-frrvty"
    shutil.copy(ta.DRIVER, copy)
    d = Driver.__new__(Driver)
    argv = ["setpriv", "--reuid=nobody", "--regid=frrvty", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
    old, ta.DRIVER = ta.DRIVER, copy
    try:
        Driver.__init__(d, clean.node.vty, argv=argv)
    finally:
        ta.DRIVER = old
    try:
        d.apply(V4[0])
        sees(clean, V4[0])
        d.apply(f"{V4[0]} withdrawn")
        ta.gone(clean, V4[0])
    finally:
        d.end()


def test_hand_made_route_map_of_a_foreign_name_survives(clean, driver):
    """Somebody's map that only looks a little like ours."""
    clean.node.type("route-map SLUICEGATE permit 10", "set metric 3")
    driver.apply(*WANTS)
    driver.apply(*(w.split()[0] + " withdrawn" for w in WANTS))
    assert re.search(r"^route-map SLUICEGATE permit 10", clean.node.config(), re.M)
    clean.node.type("no route-map SLUICEGATE")
