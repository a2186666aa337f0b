# SPDX-License-Identifier: Apache-2.0
"""The engine that the simulator proves is the one that runs, and it learns: the second identical drain is predicted
better than the first. Predicted by the API before the drain, measured by the routers after it."""
import os

import pytest

from tests.lab import topology as topo
from tests.lab.lab import Lab
from tests.lab.procs import wait_until

POLICY = dict(settle_min_ms=3000, settle_max_ms=8000, restore_hold_ms=60000, ledger_max=2000)
CAPACITY = {s: sum(topo.NODES[n].capacity_bps for n in nodes) for s, nodes in topo.SITES.items()}


@pytest.fixture(scope="module")
def lab():
    with Lab(build=os.environ.get("SLUICE_BUILD", "build")) as lab:
        lab.start_steering(**POLICY)
        yield lab


def site_util(lab, seconds):
    """As the routers in front of the nodes count it."""
    nodes = lab.offered_util(seconds=seconds)
    return {s: sum(nodes[n] * topo.NODES[n].capacity_bps for n in names) / CAPACITY[s]
            for s, names in topo.SITES.items()}


def predicted(lab, site):
    answer = lab.ctl("whatif", "--drain", site, "-o", "json")
    return {f["site"]: f["util_after"] for f in answer["forecast"]}


def drain_once(lab, site, load):
    """Error of the prediction for the receivers, in utilisation."""
    load.window(6)
    said = predicted(lab, site)
    lab.ctl("drain", "site", site, "--reason", "test of learning")
    wait_until(lambda: site not in lab.site_catchment(timeout_s=0.5).values(), 15, f"{site} to be empty")
    load.window(10)  # until the change has settled and was learned from
    seen = site_util(lab, 8)
    lab.ctl("undrain", "site", site)
    lab.wait_catchment(topo.HOME, 15)
    load.window(10)
    return sum(abs(said[s] - seen[s]) for s in said if s != site), said, seen


def test_second_identical_move_is_predicted_better(lab):
    with lab.load() as load:
        bits = topo.object_wire_bytes() * 8
        for site, util in (("fra", 0.2), ("ams", 0.2), ("nyc", 0.5)):
            homed = [c for c, home in topo.HOME.items() if home == site]
            load.spread(util * CAPACITY[site] / bits, clients=homed)
        load.window(5)
        first, *first_seen = drain_once(lab, "nyc", load)
        second, *second_seen = drain_once(lab, "nyc", load)
    print(f"prediction error: first {first:.3f} {first_seen}, second {second:.3f} {second_seen}")
    assert second < first
