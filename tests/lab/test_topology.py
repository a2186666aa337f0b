# SPDX-License-Identifier: Apache-2.0
"""The lab shows by itself, with the fake announcer, that it behaves as the Internet it stands for."""
import errno
import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from . import topology as topo
from .lab import ROOT, Lab
from .netns import entered
from .procs import LabError, wait_until

STAY = dict(topo.HOME)
NO_FRA = {**STAY, "c1": "ams", "c2": "ams", "c6": "nyc"}


@pytest.fixture(scope="module", name="lab")
def _lab():
    with Lab(quiet=True) as lab:
        yield lab


@pytest.fixture(autouse=True)
def _normal(request):
    """Every test starts from everything announced at grade normal."""
    if "lab" in request.fixturenames:
        lab = request.getfixturevalue("lab")
        lab.fake.everywhere()
        lab.wait_catchment(STAY)
        lab.collector.wait_quiet(0.5)


def test_nothing_is_announced_at_raise():
    with Lab(quiet=True) as lab:
        assert not lab.collector.table()
        assert set(lab.catchment(timeout_s=0.3).values()) == {None}


def test_normal_catchments(lab):
    assert {c: s for (c, _), s in lab.site_catchment().items()} == STAY


def test_prepend1_moves_only_the_multi_homed(lab):
    lab.fake.site("fra", "prepend1")
    lab.wait_catchment({**STAY, "c2": "ams", "c6": "nyc"})


def test_community_grade_moves_less_than_prepend1(lab):
    lab.fake.site("fra", topo.LESS_COMMUNITY)
    lab.wait_catchment({**STAY, "c6": "nyc"})
    lab.fake.site("ams", topo.LESS_COMMUNITY)
    lab.wait_catchment({**STAY, "c4": "nyc", "c6": "nyc"})


def test_prepend2_moves_everybody(lab):
    lab.fake.site("fra", "prepend2")
    lab.wait_catchment(NO_FRA)
    lab.fake.site("fra", "prepend1")  # the tie must not go to the older route on the way back
    lab.wait_catchment({**STAY, "c2": "ams", "c6": "nyc"})


@pytest.mark.parametrize("site", ["fra", "ams"])  # FRR's transit honours it by itself, BIRD's by filter
def test_drain_moves_everybody(lab, site):
    lab.fake.site(site, "drain")
    lab.wait_catchment(NO_FRA if site == "fra" else {**STAY, "c3": "fra", "c4": "nyc"})


def test_withdraw_moves_everybody(lab):
    lab.fake.withdraw_site("fra")
    lab.wait_catchment(NO_FRA)


def test_one_shard_moves_alone(lab):
    lab.fake.site("fra", "drain", shards=["web-b"])
    lab.wait_catchment(NO_FRA, shards=["web-b"])
    lab.wait_catchment(STAY, shards=[s for s in topo.SHARDS if s != "web-b"])


@pytest.mark.parametrize("shard", ["web-a", "web-a6"])
def test_weights_reach_the_kernel(lab, shard):
    def weights():
        hops = lab.fib("fra-r", topo.SHARDS[shard])
        return {d: w * 100 / sum(hops.values()) for d, w in hops.items()}

    wait_until(lambda: weights() == {"to-fra1": 40, "to-fra2": 40, "to-fra3": 20}, 5, weights)
    lab.fake.announce("fra1", shard, weight=10)
    wait_until(lambda: weights() == {"to-fra1": 25, "to-fra2": 50, "to-fra3": 25}, 5, weights)
    lab.fake.withdraw("fra2", shard)
    wait_until(lambda: weights() == {"to-fra1": 50, "to-fra3": 50}, 5, weights)


def test_weights_are_not_news_to_the_world(lab):
    mark = lab.collector.mark()
    for node in topo.NODES:
        lab.fake.announce(node, "web-a", weight=7)
    wait_until(lambda: len(set(lab.fib("fra-r", topo.SHARDS["web-a"]).values())) == 1, 5, "equal weights")
    lab.collector.wait_quiet(1)
    assert not lab.collector.changes_since(mark, ["web-a"])


def test_collector_hears_each_real_change_once(lab):
    mark = lab.collector.mark()
    lab.fake.announce("nyc1", "web-a", "64500:81")
    lab.collector.wait_quiet(1)
    assert lab.collector.count_since(mark, ["web-a"], ["t3"]) == {("t3", topo.SHARDS["web-a"]): 1}
    mark = lab.collector.mark()
    lab.fake.announce("nyc1", "web-a", "64500:81")
    lab.collector.wait_quiet(1)
    assert not lab.collector.changes_since(mark)


def test_management_network_is_apart(lab):
    def connect(name, addr):
        with entered(lab.node(name).ns), socket.socket() as sock:
            sock.settimeout(1)
            return sock.connect_ex((addr, 7400))

    assert all(connect("ctl", n.mgmt) == errno.ECONNREFUSED for n in topo.NODES.values())
    assert connect("fra1", topo.CONTROLLER_ADDR) == errno.ECONNREFUSED
    assert connect("c1", topo.CONTROLLER_ADDR) != errno.ECONNREFUSED
    assert "mg0" not in lab.node("fra1").sh("ip route get 10.101.1.1")


def test_overload_breaks_no_connection_and_no_session(lab):
    """ECMP must keep a connection on its node: retransmissions change the sender's own flow hash."""
    mark = lab.collector.mark()
    with lab.load() as load:
        load.spread(450)
        window = load.window(6)
        assert load.cpu_pct() < 30
    assert set(window.failed) == {"timeout"} and window.success_pct > 50
    assert not lab.collector.changes_since(mark)


def test_witness_sees_offered_load(lab):
    with lab.load() as load:
        load.set_rate("c5", "web-a", 60)  # 60 x 42 kB = 20 of 40 Mbit/s at nyc1
        load.window(1)
        mark = lab.witness.mark()
        window = load.window(4)
        seen = lab.witness.since(mark)
    assert window.success_pct == 100.0 and set(window.by_node) == {"nyc1"}
    assert 0.35 < seen["nyc1"].offered_util < 0.65
    assert abs(seen["nyc1"].offered_util - seen["nyc1"].carried_util) < 0.05
    assert seen["ams1"].offered_util == 0


def test_overload_is_lossy_and_still_seen_as_offered(lab):
    with lab.load() as load:
        load.set_rate("c5", "web-a", 200)  # 68 of 40 Mbit/s
        load.window(3)
        mark = lab.witness.mark()
        window = load.window(4)
        seen = lab.witness.since(mark)["nyc1"]
    assert window.success_pct < 90
    assert seen.offered_util > 1.4 and 0.9 < seen.carried_util < 1.02


def test_killed_nginx_refuses_and_comes_back(lab):
    lab.kill_nginx("ams1")
    assert lab.catchment(["c3"], ["web-a"]) == {("c3", "web-a"): None}
    lab.start_nginx("ams1")
    lab.wait_catchment({"c3": "ams"}, clients=["c3"])


def test_killed_bgpd_moves_traffic_and_comes_back_silent(lab):
    lab.kill_bgpd("ams1")
    lab.wait_catchment({**STAY, "c3": "fra", "c4": "nyc"})
    lab.start_bgpd("ams1")
    wait_until(lambda: lab.raising.sessions_up("ams1") == (2, 2), 15, "sessions of ams1")
    assert not lab.vty("ams1", "show bgp ipv4 unicast json").get("routes")


def test_cut_node_is_left_and_comes_back(lab):
    lab.cut("nyc1")
    lab.wait_catchment({**STAY, "c5": "fra"}, timeout_s=15)
    lab.heal("nyc1")
    lab.wait_catchment(STAY, timeout_s=20)
    assert lab.raising.sessions_up("nyc1") == (2, 2)
    lab.check()


def test_deaf_collector_says_so():
    with Lab(quiet=True) as lab:
        lab.raising.kill("rc", "gobgpd")
        with pytest.raises(LabError):
            wait_until(lambda: lab.collector.mark() < 0, 5, "never")


# -- raising and removing -------------------------------------------------------------------------------------


def left_behind(lab_id):
    spaces = [p.name for p in pathlib.Path("/run/netns").glob(f"sl{lab_id}-*")]
    mark = f"SLUICE_LAB={lab_id}".encode()
    pids = []
    for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                pids.append(path.parent.name)
        except OSError:
            pass
    return spaces + pids + list(pathlib.Path("/tmp").glob(f"sluice-lab-{lab_id}-*"))


def test_two_labs_side_by_side(lab):
    with Lab(quiet=True) as other:
        other.fake.site("nyc")
        other.wait_catchment({c: "nyc" for c in topo.STUBS})
        lab.wait_catchment(STAY)
        gone = other.ground.id, other.ground.dir
    assert not left_behind(gone[0]) and not gone[1].exists()
    lab.wait_catchment(STAY)


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", ["raising", "up"])
def test_nothing_left_behind(sig, when):
    # a job in the background inherits an ignored SIGINT: the child is to feel Ctrl-C all the same
    code = ("import signal, sys; from tests.lab.lab import Lab\n"
            "signal.signal(signal.SIGINT, signal.default_int_handler)\nwith Lab(collector=False) as lab:\n"
            " load = lab.load(); load.spread(20)\n print('UP', flush=True); sys.stdin.read()\n")
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as child:
        for line in child.stderr:
            lab_id = line.split("raising the lab ")[1].split(":")[0]
            if when == "raising" and "4/6" in line or " up in " in line:
                break
        if when == "up":
            assert child.stdout.readline() == "UP\n"
        child.send_signal(sig)
        child.communicate()
    assert child.returncode != 0
    wait_until(lambda: not left_behind(lab_id), 10, lambda: f"removal of {left_behind(lab_id)}")
