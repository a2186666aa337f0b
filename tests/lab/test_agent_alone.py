# SPDX-License-Identifier: Apache-2.0
"""sluice-agent alone on a real FRR, looked at from the neighbour: health to routes, attributes by state, disabling,
reloading, addresses, hooks, and the ends it can come to."""
import contextlib
import json
import signal
import subprocess
import sys
import time

import pytest

from .agent_rig import FAST, Agent, ask
from .apply_rig import Net, communities, purge, wait_until

P1, P2, P3 = "198.18.1.0/24", "198.18.2.0/24", "198.18.3.1/32"
SERVER = """\
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 8080))
s.listen(16)
print("ready", flush=True)
while True:
    s.accept()[0].close()
"""


class Server:
    """Listens on 127.0.0.1:8080 of the node."""

    def __init__(self, ns):
        self.argv = ["ip", "netns", "exec", ns, sys.executable, "-c", SERVER]
        self.proc = None

    def start(self):
        self.proc = subprocess.Popen(self.argv, stdout=subprocess.PIPE)
        assert self.proc.stdout.readline() == b"ready\n"

    def kill(self):
        if self.proc:
            self.proc.kill()
            self.proc.wait()
            self.proc.stdout.close()
            self.proc = None


@pytest.fixture(scope="module", name="net")
def _net():
    net = Net()
    try:
        yield net.up()
    finally:
        net.down()


def base(net, **service):
    return {"frr": {"vty": str(net.node.vty)}, "allow": {"prefixes": ["198.18.0.0/16"]},
            "services": [{"name": "web", "prefixes": [P1], "hold_down_ms": 200,
                          "checks": [{"kind": "listen", "target": "127.0.0.1:8080", **FAST}], **service}]}


@pytest.fixture(name="rig")
def _rig(net):
    """(net, server, agent): the agent is given its file by the test."""
    server = Server(net.node.ns)
    agent = Agent(net.root / "agent", base(net), net.node.ns)
    for left in agent.root.iterdir():
        if left != agent.file:
            left.unlink()
    server.start()
    yield net, server, agent
    server.kill()
    with contextlib.suppress(Exception):
        agent.end(signal.SIGKILL)
    purge(net.node)
    wait_until("nothing is left", lambda: not any(net.route(p) for p in (P1, P2, P3)))


def path(net, prefix, **want):
    """The neighbour's path, once it has the wanted keys."""
    def check():
        got = net.route(prefix)
        return got if got and all(got.get(k) == v for k, v in want.items()) else None
    return wait_until(f"{prefix} with {want}", check, 5)


def gone(net, prefix, timeout=5):
    wait_until(f"{prefix} gone", lambda: not net.route(prefix), timeout)


def test_killed_service_is_withdrawn_and_comes_back(rig):
    net, server, agent = rig
    agent.start()
    path(net, P1)
    t0 = time.monotonic()
    server.kill()
    gone(net, P1)
    assert time.monotonic() - t0 < 2, agent.log()
    assert agent.service()["status"] == "down"
    server.start()
    path(net, P1)


def test_attributes_by_state(rig):
    net, server, agent = rig
    up = {"med": 100, "communities": ["64500:1", "64500:2:3"], "extcommunities": ["rt 64500:9", "soo 64500:8"]}
    agent.write(base(net, prefixes=[P1, P2], on_down="degrade", on_disabled="degrade", med_increase=10, up=up,
                     down={"med": 1000, "prepends": 2}, disabled={"communities": ["65535:0"]}))
    agent.start()
    got = path(net, P1, metric=100)
    assert communities(got) == "64500:1" and got["largeCommunity"]["string"] == "64500:2:3"
    assert "RT:64500:9" in got["extendedCommunity"]["string"] and "SoO:64500:8" in got["extendedCommunity"]["string"]
    path(net, P2, metric=110)
    mark = net.log_mark()
    server.kill()
    got = path(net, P1, metric=1000)
    assert got["aspath"]["string"].split() == ["64500"] * 3 and not communities(got)
    path(net, P2, metric=1010)
    assert agent.ask("disable", "web", "--reason", "work on the disks").returncode == 0
    wait_until("drain", lambda: communities(net.route(P1) or {}) == "graceful-shutdown", 5)
    assert "withdrawn" not in net.log_since(mark, P1)  # degrading is no withdrawal
    time.sleep(2.5)
    updates = net.updates()
    net.stays_silent(3, updates)  # and it is settled: what is read back is what was wanted


def test_disable_survives_restarts_and_needs_a_reason(rig):
    net, _server, agent = rig
    agent.start()
    path(net, P1)
    assert agent.ask("disable", "web").returncode == 2
    refused = agent.ask("disable", "nobody", "--reason", "x")
    assert refused.returncode == 1 and 'no service "nobody"' in refused.stderr
    assert agent.ask("disable", "web", "--reason", "disk change").returncode == 0
    gone(net, P1)
    assert agent.service()["disabled"] == "disk change"
    agent.end()
    agent.start()
    wait_until("it is still disabled", lambda: agent.service().get("disabled") == "disk change")
    assert not net.route(P1)
    assert "disabled: disk change" in agent.ask("status").stdout
    assert agent.ask("enable", "web").returncode == 0
    path(net, P1)


def test_disable_file(rig):
    net, _server, agent = rig
    off = agent.root / "off"
    agent.write(base(net, disable_file=str(off)))
    agent.start()
    path(net, P1)
    off.touch()
    gone(net, P1)
    assert agent.service()["reason"] == f"disabled: {off} exists"
    off.unlink()
    path(net, P1)


def test_stop_keeps_and_a_killed_agent_changes_nothing(rig):
    net, _server, agent = rig
    agent.start()
    path(net, P1)
    updates = net.updates()
    agent.end()
    assert net.route(P1)
    agent.start()
    wait_until("it answers", lambda: agent.service()["status"] == "up")
    agent.end(signal.SIGKILL)
    agent.start()
    wait_until("it answers again", lambda: agent.service()["status"] == "up")
    net.stays_silent(2, updates)


def test_on_stop_withdraw(rig):
    net, _server, agent = rig
    config = base(net, on_stop="withdraw")
    config["services"].append({"name": "other", "prefixes": [P2], "on_stop": "keep",
                               "checks": [{"kind": "listen", "target": "127.0.0.1:8080", **FAST}]})
    agent.write(config)
    agent.start()
    path(net, P1)
    path(net, P2)
    agent.end()
    gone(net, P1)
    assert net.route(P2)
    agent.write(base(net, prefixes=[P2], on_agent_loss="withdraw"))
    lost = ask("lost", "-c", agent.file)
    assert lost.returncode == 0, lost.stderr
    gone(net, P2)


def test_lost_agent_withdraws_only_what_it_should(rig):
    net, _server, agent = rig
    config = base(net, on_agent_loss="withdraw")
    config["services"].append({"name": "other", "prefixes": [P2],
                               "checks": [{"kind": "listen", "target": "127.0.0.1:8080", **FAST}]})
    agent.write(config)
    agent.start()
    path(net, P1)
    path(net, P2)
    agent.end(signal.SIGKILL)
    assert ask("lost", "-c", agent.file).returncode == 0
    gone(net, P1)
    assert net.route(P2)


def test_reload_keeps_what_did_not_change(rig):
    net, _server, agent = rig
    agent.start()
    path(net, P1)
    wait_until("it is settled", lambda: (agent.status() or {}).get("routes", [{}])[0].get("neighbours") == 1)
    before = agent.service()["age_ms"]
    updates = net.updates()
    # an unknown key: the former configuration goes on
    good = agent.file.read_text()
    agent.file.write_text(good + "colour: red\n")
    agent.hup()
    wait_until("it is refused", lambda: "not reloaded" in agent.log())
    refused = agent.ask("reload")
    assert refused.returncode == 1 and "line" in refused.stderr
    assert agent.service()["status"] == "up"
    # a second service is added: the first one goes on as it was
    config = base(net)
    config["services"].append({"name": "two", "prefixes": [P2],
                               "checks": [{"kind": "listen", "target": "127.0.0.1:8080", **FAST}]})
    agent.write(config)
    agent.hup()
    path(net, P2)
    assert agent.service()["age_ms"] >= before
    assert "web: up -> " not in agent.log()
    assert net.updates() == updates + 1
    # and removed: it is withdrawn
    agent.write(base(net))
    assert agent.ask("reload").returncode == 0
    gone(net, P2)
    assert net.route(P1)


def on_lo(net, address):
    out = subprocess.run(["ip", "-n", net.node.ns, "-j", "addr", "show", "dev", "lo"], capture_output=True, text=True,
                         check=True).stdout
    return any(a["local"] == address for link in json.loads(out) for a in link["addr_info"])


def test_addresses_come_first_and_go_last(rig):
    net, server, agent = rig
    agent.write(base(net, prefixes=[P3], addresses=["198.18.3.1"], vip={"interface": "lo", "dynamic": True}))
    agent.start()
    path(net, P3)
    assert on_lo(net, "198.18.3.1")
    server.kill()
    gone(net, P3)
    assert on_lo(net, "198.18.3.1"), "the address went before the route"
    wait_until("the address goes, too", lambda: not on_lo(net, "198.18.3.1"), 10, 0.2)
    server.start()
    path(net, P3)
    assert on_lo(net, "198.18.3.1")
    subprocess.run(["ip", "-n", net.node.ns, "addr", "del", "198.18.3.1/32", "dev", "lo"], check=True)
    wait_until("it is put back", lambda: on_lo(net, "198.18.3.1"), 3)
    subprocess.run(["ip", "-n", net.node.ns, "addr", "del", "198.18.3.1/32", "dev", "lo"], check=True)


def test_hooks_run_and_do_not_block(rig):
    net, server, agent = rig
    seen = agent.root / "seen"
    config = base(net, hooks={"up": "note", "down": "note", "disabled": "note"})
    config["commands"] = [{"name": "note", "argv": ["/bin/sh", "-c",
                                                    f'echo "$STATE $SERVICE $PREFIXES: $REASON" >> {seen}; sleep 1']}]
    agent.write(config)
    agent.start()
    path(net, P1)
    wait_until("up", lambda: seen.exists() and f"up web {P1}: all checks pass" in seen.read_text())
    t0 = time.monotonic()
    server.kill()
    gone(net, P1)
    assert time.monotonic() - t0 < 1
    wait_until("down", lambda: f"down web {P1}: listen: nothing listens" in seen.read_text())
    agent.ask("disable", "web", "--reason", "because")
    wait_until("disabled", lambda: f"disabled web {P1}: disabled: because" in seen.read_text())


def test_neighbour_selection_marks_routes(rig):
    net, _server, agent = rig
    config = base(net, neighbours=["transit1"])
    config["neighbours"] = [{"name": "transit1", "community": "64500:101"},
                            {"name": "transit2", "community": "64500:102"}]
    agent.write(config)
    agent.start()
    assert communities(path(net, P1)) == "64500:101"


def test_exec_weight_reaches_the_neighbour(rig):
    net, _server, agent = rig
    code = agent.root / "code"
    code.write_text("30")
    config = base(net, checks=[{"kind": "exec", "command": "load", "exit_weight": True, **FAST}])
    config["commands"] = [{"name": "load", "argv": ["/bin/sh", "-c", f"exit $(cat {code})"]}]
    agent.write(config)
    agent.start()
    def has(mbps):
        got = net.route(P1) or {}
        return f"LB:64500:{mbps * 125000}" in got.get("extendedCommunity", {}).get("string", "")
    wait_until("weight 30", lambda: has(30))
    code.write_text("0")
    wait_until("weight 100", lambda: has(100))
    code.write_text("1")
    gone(net, P1)


def test_words_that_are_no_text(rig):
    """A command may say anything, and a long reason may be cut inside a character: status is JSON all the same."""
    net, _server, agent = rig
    config = base(net, checks=[{"kind": "exec", "command": "says", **FAST}])
    config["commands"] = [{"name": "says", "argv": ["/bin/sh", "-c", r"printf '\377\376 %s\n' \
                           $(printf '\303\251%.0s' $(seq 200)); exit 1"]}]
    agent.write(config)
    agent.start()
    wait_until("down", lambda: agent.service()["status"] == "down")
    assert "?? \u00e9\u00e9" in agent.service()["checks"][0]["reason"]
    assert agent.ask("metrics").returncode == 0


def test_check_and_print(rig):
    net, _server, agent = rig
    assert ask("-n", "-c", agent.file).returncode == 0
    canonical = ask("--print-config", "-c", agent.file).stdout
    again = agent.root / "again.yaml"
    again.write_text(canonical)
    assert ask("--print-config", "-c", again).stdout == canonical
    again.write_text(canonical.replace("kind: listen", "kind: psychic"))
    wrong = ask("-n", "-c", again)
    assert wrong.returncode == 1 and "services[0].checks[0]: kind" in wrong.stderr
    assert ask("-n", "--colour").returncode == 2
    assert ask("dance").returncode == 2


def test_metrics_file_is_good(rig):
    net, _server, agent = rig
    text = agent.root / "sluice.prom"
    agent.write({**base(net), "metrics_file": str(text)})
    agent.start()
    path(net, P1)
    wait_until("the file", text.exists, 10)
    assert subprocess.run(["promtool", "check", "metrics"], stdin=open(text, encoding="utf-8"), check=False,
                          capture_output=True).returncode == 0
    assert f'sluice_agent_route_announced{{prefix="{P1}"}}' in text.read_text()
    assert agent.ask("metrics").stdout.startswith("# HELP")
