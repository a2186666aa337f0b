# SPDX-License-Identifier: Apache-2.0
"""Drills in the lab, for tests and benches: begin one, follow it, ask what came of it, as an operator would."""
import json
import time

from . import topology as topo
from .procs import LabError, wait_until

# The lab's Internet converges in under a second and nobody in it damps flaps.
POLICY = dict(settle_min_ms=1000, settle_max_ms=3000, stale_ms=2000, restore_hold_ms=60000, ledger_max=1000000,
              weaken_share_max=0.9)
CAPACITY = {s: sum(topo.NODES[n].capacity_bps for n in nodes) for s, nodes in topo.SITES.items()}
CALM = {"fra": 0.25, "ams": 0.25, "nyc": 0.30}


def document(lab, shards):
    doc = lab.cluster_doc(**POLICY)
    doc["services"][0]["shards"] = [{"name": s, "prefixes": [topo.SHARDS[s]]} for s in shards]
    return doc


def calm(load, shards, util=None):
    """Clients homed at each site ask for so much of its capacity."""
    for site, u in (util or CALM).items():
        homed = [c for c, home in topo.HOME.items() if home == site]
        load.spread(u * CAPACITY[site] / (topo.object_wire_bytes() * 8), clients=homed, shards=shards)


def start(lab, kind, *where, hold="1s", reason="test"):
    """Begins a drill; its id."""
    return lab.ctl("drill", "start", kind, *where, "--hold", hold, "--reason", reason, "-o", "json")["id"]


def refused(lab, kind, *where):
    """What speaks against it: {code: reason}."""
    done = lab.ground.run("ctl", lab.ctl_argv("drill", "plan", kind, *where, "--reason", "test", "-o", "json"), False)
    if not done.stdout:  # a plan was just being made
        return {"busy": done.stderr}
    return {a["code"]: a["reason"] for a in json.loads(done.stdout)["against"]}


def state(lab, drill):
    return lab.api(f"/v1/drills/{drill}")["state"]


def wait_state(lab, drill, want, timeout_s=60):
    """Until the drill is in one of these states; which. LabError when it ends before."""
    want = (want,) if isinstance(want, str) else want
    seen = []

    def there():
        seen.append(state(lab, drill))
        if seen[-1] == "closed" and "closed" not in want:
            raise LabError(f"{drill} ended before {want}: {lab.api(f'/v1/drills/{drill}')['reasons']}")
        return seen[-1] in want
    wait_until(there, timeout_s, f"{drill} in {want}, last {seen[-3:]}")
    return seen[-1]


def finish(lab, drill, timeout_s=90):
    """Waits for the end; the report."""
    wait_state(lab, drill, "closed", timeout_s)
    return lab.api(f"/v1/drills/{drill}/report")


def run(lab, kind, *where, hold="1s", timeout_s=90):
    return finish(lab, start(lab, kind, *where, hold=hold), timeout_s)


def weights(lab):
    """{node: weight in its site}"""
    return {n["name"]: n["weight"] for n in lab.api("/v1/nodes")["nodes"]}


def all_normal(lab):
    """Every shard is announced as the document wants it, read back."""
    shards = lab.api("/v1/shards")["shards"]
    return all(x["announced"] and x["grade"] == x["base"] and x["wanted"] == x["base"] for s in shards
               for x in s["sites"])


def wait_normal(lab, timeout_s=15):
    began = time.monotonic()
    wait_until(lambda: all_normal(lab), timeout_s, "every shard as the document wants it")
    return time.monotonic() - began


def ready(lab, timeout_s=30):
    """Nothing speaks against a drill of each site."""
    last = {}

    def calm_now():
        last.update({"why": [refused(lab, "soft-drain", "--site", s) for s in topo.SITES]})
        return not any(last["why"])
    try:
        wait_until(calm_now, timeout_s, "nothing against a drill")
    except LabError as e:
        raise LabError(f"{e}: {last}") from None
