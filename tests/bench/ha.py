# SPDX-License-Identifier: Apache-2.0
"""`make bench-ha`: three controllers, three etcd members, the lab's agents under load, and a writer that never pauses.

takeover_ms: from SIGKILL of the leader, at a random moment of its lease, to the last agent having taken an order of
the new leader's epoch. route_changes: real changes that the collector heard during all of that. lost_writes:
acknowledged ones that the last leader's events do not have. etcd_loss_route_changes: the same count while one
member, then all of them, were gone."""
import json
import os
import pathlib
import random
import sys
import time

from tests.lab import topology as topo
from tests.lab.ha import COUNT, Ha, Writer
from tests.lab.lab import Lab
from tests.lab.procs import wait_until

RUNS = int(os.environ.get("RUNS", "20"))
OUTAGE_S = 20
RATE = 40  # requests/s: below what would make steering itself act


def say(text):
    print(text, file=sys.stderr, flush=True)


def percentile(values, pct):
    """Nearest rank."""
    values = sorted(values)
    return values[max(0, -(-len(values) * pct // 100) - 1)]


def begin(lab):
    ha = Ha(lab)
    ha.start()
    leader = ha.leader()
    assert ha.request(leader, "PUT", "/v1/cluster", lab.cluster_doc())[0] == 200
    assert ha.request(leader, "PUT", "/v1/mode", {"mode": "steer", "reason": "bench"})[0] == 200
    ha.takeover(0)
    lab.wait_catchment(topo.HOME, 30)
    lab.collector.wait_quiet(2, 30)
    return ha


def takeover(ha, rng):
    """One death; ms until every agent obeys the next leader."""
    old = wait_until(lambda: None if ha.leader() is None else ha.leader() + 1, 30, "a leader") - 1
    epoch = ha.status(old)["epoch"]
    time.sleep(rng.random() * ha.lease_s)
    died = time.monotonic()
    ha.kill_controller(old)
    took_ms = (ha.takeover(epoch) - died) * 1000
    ha.start_controller(old)
    wait_until(lambda: ha.roles().count("standby") == COUNT - 1, 30, "the old leader to stand by")
    return round(took_ms)


def member_loss(ha):
    for i in range(COUNT):
        ha.kill_etcd(i)
        time.sleep(5)
        ha.start_etcd(i)
        wait_until(lambda: ha.leader() is not None, 30, "a leader")
        time.sleep(3)


def etcd_loss(ha):
    for i in range(COUNT):
        ha.kill_etcd(i)
    time.sleep(OUTAGE_S)
    for i in range(COUNT):
        ha.start_etcd(i)
    wait_until(lambda: ha.leader() is not None, 60, "a leader after the outage")
    wait_until(lambda: all(ha.agent(n)["connected"] for n in topo.NODES), 60, "all agents after the outage")
    time.sleep(5)


def changes(lab, mark):
    lab.collector.wait_quiet(2, 30)
    found = lab.collector.changes_since(mark)
    for c in found:
        say(f"  route change: {c}")
    return len(found)


def measure(lab):
    seed = int(os.environ.get("SEED", time.time()))
    rng = random.Random(seed)
    ha = begin(lab)
    with lab.load() as load:
        load.spread(RATE)
        time.sleep(5)
        writer, mark, took = Writer(ha, 0.02), lab.collector.mark(), []
        for i in range(RUNS):
            took.append(takeover(ha, rng))
            say(f"takeover {i + 1}/{RUNS}: {took[-1]} ms")
        routes, mark = changes(lab, mark), lab.collector.mark()
        say("one member after the other is lost")
        member_loss(ha)
        say(f"etcd is lost for {OUTAGE_S} s")
        etcd_loss(ha)
        etcd_routes = changes(lab, mark)
        writer.stop()
        lost = writer.lost()
        served = load.since()
    ha.stop()
    return {"takeover_ms": {"p50": percentile(took, 50), "p99": percentile(took, 99), "n": len(took), "all": took},
            "target_p99_ms": 5000, "lease_s": ha.lease_s, "route_changes": routes, "lost_writes": len(lost),
            "acknowledged_writes": len(writer.acknowledged), "etcd_loss_route_changes": etcd_routes,
            "requests_served_pct": round(served.success_pct, 3), "nodes": len(topo.NODES), "seed": seed}


def main():
    with Lab(build=os.environ.get("SLUICE_BUILD", "build")) as lab:
        result = measure(lab)
    path = pathlib.Path("build/bench/ha.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="ascii")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
