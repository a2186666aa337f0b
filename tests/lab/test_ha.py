# SPDX-License-Identifier: Apache-2.0
"""Three controllers, three etcd members, agents under load: a leader dies, a member dies, etcd is lost and comes
back. No route changes, nothing acknowledged is lost. The long form with figures is `make bench-ha`."""
import os
import signal
import threading
import time

import pytest

from tests.lab import topology as topo
from tests.lab.ha import COUNT, Ha, Writer
from tests.lab.lab import Lab
from tests.lab.procs import wait_until

BUILD = os.environ.get("SLUICE_BUILD", "build")
TAKEOVER_S = 15  # of a loaded machine; the figure is the bench's


@pytest.fixture(scope="module")
def ha():
    with Lab(build=BUILD) as lab:
        ha = Ha(lab)
        ha.start()
        leader = ha.leader()
        doc = lab.cluster_doc()
        assert ha.request(leader, "PUT", "/v1/cluster", doc)[0] == 200
        assert ha.request(leader, "PUT", "/v1/mode", {"mode": "steer", "reason": "test"})[0] == 200
        ha.takeover(0)
        lab.wait_catchment(topo.HOME, 30)
        lab.collector.wait_quiet(2, 30)
        with lab.load() as load:
            load.spread(30)  # less than what would make steering itself act
            yield ha
        ha.stop()


def changes(ha, mark):
    ha.lab.collector.wait_quiet(1, 20)
    return ha.lab.collector.changes_since(mark)


def test_standby_reads_and_redirects(ha):
    leader = ha.leader()
    standby = next(i for i in range(COUNT) if i != leader)
    status, headers, body = ha.request(standby, "PUT", "/v1/mode", {"mode": "steer", "reason": "sent on"})
    assert (status, headers["Location"]) == (
        307, f"https://{topo.CONTROLLER_ADDR}:{topo.API_PORT + leader}/v1/mode"), body
    wait_until(lambda: ha.request(standby, "GET", "/v1/mode")[2]["mode"] == "steer", 5, "the standby's mirror")
    got = ha.status(standby)
    assert got["leader"]["role"] == "standby" and got["leader"]["api"].endswith(str(topo.API_PORT + leader))
    assert got["leader"]["store_age_ms"] < 5000
    assert ha.request(standby, "GET", "/readyz")[2]["role"] == "standby"
    out = ha.lab.ground.run("ctl", [ha.lab.binary("sluicectl"), "--url",
                                    f"https://{topo.CONTROLLER_ADDR}:{topo.API_PORT + standby}", "--ca",
                                    str(ha.lab.pki_dir / "ca.pem"), "--token-file", str(ha.lab.pki_dir / "lab.token"),
                                    "mode", "steer", "--reason", "through a standby"])
    assert out.returncode == 0


def test_enrols_through_a_standby(ha):
    leader = ha.leader()
    standby = next(i for i in range(COUNT) if i != leader)
    status, _, made = ha.request(leader, "POST", "/v1/nodes/fra1/token", {})
    assert status == 200
    home = ha.lab.ground.dir / "late"
    out = ha.lab.ground.run("ctl", [ha.lab.binary("sluice-agent"), "enroll", "--token-file", "-", "--dir", str(home),
                                    "--controller", f"{topo.CONTROLLER_ADDR}:{topo.API_PORT + standby}"],
                            input=made["token"] + "\n")
    assert f"does not lead: asking {topo.CONTROLLER_ADDR}:{topo.API_PORT + leader}" in out.stderr
    assert (home / "node.pem").exists() and (home / "ca.pem").read_text() == (ha.lab.pki_dir / "ca.pem").read_text()


class FibWatch:
    """Next hops and weights of every shard at a router, again and again: what a site's own router saw."""

    def __init__(self, lab, router):
        self.lab, self.router, self.seen = lab, router, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            now = {s: self.lab.fib(self.router, p) for s, p in topo.SHARDS.items()}
            if not self.seen or self.seen[-1] != now:
                self.seen.append(now)
            self._stop.wait(0.05)

    def stop(self):
        self._stop.set()
        self._thread.join(10)
        return self.seen


def test_leader_killed(ha):
    """Also with a node drained inside its site: the new leader has not heard its helpers yet, and leaves it alone."""
    drain = {"reason": "repair", "wait_s": 1}
    assert ha.request(ha.leader(), "POST", "/v1/nodes/fra3/drain", drain)[0] == 200
    wait_until(lambda: all("to-fra3" not in ha.lab.fib("fra-r", p) for p in topo.SHARDS.values()), 20,
               "fra3 to be drained")
    ha.lab.collector.wait_quiet(2, 20)
    mark, writer, fib = ha.lab.collector.mark(), Writer(ha), FibWatch(ha.lab, "fra-r")
    epoch = ha.status(ha.leader())["epoch"]
    wait_until(lambda: len(writer.acknowledged) > 10, 20, "writes")
    old = ha.leader()
    ha.kill_controller(old)
    ha.takeover(epoch, TAKEOVER_S)
    before = len(writer.acknowledged)
    wait_until(lambda: len(writer.acknowledged) > before + 10, 20, "writes to the new leader")
    writer.stop()
    assert not writer.lost()
    assert ha.status(ha.leader())["mode"] == "steer"
    assert [d["name"] for d in ha.status(ha.leader())["drains"]] == ["fra3"]
    seen = fib.stop()
    assert len(seen) == 1, seen
    assert ha.request(ha.leader(), "POST", "/v1/nodes/fra3/undrain", {})[0] == 200
    ha.start_controller(old)
    wait_until(lambda: ha.roles().count("standby") == 2, 15, "the old leader to stand by")
    assert not changes(ha, mark)


def test_leader_stopped_in_its_tracks(ha):
    """A process that sleeps through its lease wakes up as no leader; agents would refuse its orders anyway."""
    mark, old = ha.lab.collector.mark(), ha.leader()
    epoch = ha.status(old)["epoch"]
    os.kill(ha.controllers[old].pid, signal.SIGSTOP)
    try:
        others = [i for i in range(COUNT) if i != old]
        wait_until(lambda: any((ha.status(i) or {}).get("leader", {}).get("role") == "leader" for i in others),
                   TAKEOVER_S, "another leader", poll_s=0.3)
    finally:
        os.kill(ha.controllers[old].pid, signal.SIGCONT)
    wait_until(lambda: ha.roles().count("standby") == 2, 15, lambda: f"the sleeper to stand by: {ha.roles()}")
    ha.takeover(epoch, 30)
    assert not changes(ha, mark)


def test_member_lost(ha):
    mark, writer = ha.lab.collector.mark(), Writer(ha)
    wait_until(lambda: len(writer.acknowledged) > 5, 20, "writes")
    ha.kill_etcd(0)
    before = len(writer.acknowledged)
    wait_until(lambda: len(writer.acknowledged) > before + 10, 30, "writes without a member")
    writer.stop()
    assert not writer.lost()
    ha.start_etcd(0)
    assert not changes(ha, mark)


def test_etcd_lost(ha):
    mark, leader = ha.lab.collector.mark(), ha.leader()
    for i in range(COUNT):
        ha.kill_etcd(i)
    wait_until(lambda: ha.status(leader)["leader"]["role"] == "lost", 10, "the leader to stop acting", poll_s=0.2)
    status, headers, _ = ha.request(leader, "PUT", "/v1/mode", {"mode": "freeze", "reason": "must not happen"})
    assert status == 503 and headers["Retry-After"]
    wait_until(lambda: {"leader", "store"} <= {a["kind"] for a in ha.status(leader)["alerts"]}, 10, "both alerts")
    time.sleep(3)  # longer than anything that could still be under way
    assert not ha.lab.collector.changes_since(mark)
    for i in range(COUNT):
        ha.start_etcd(i)
    wait_until(lambda: ha.leader() is not None, 30, "a leader again")
    wait_until(lambda: all(ha.agent(n)["connected"] for n in topo.NODES), 30, "all agents")
    assert ha.status(ha.leader())["mode"] == "steer"
    assert not changes(ha, mark)
