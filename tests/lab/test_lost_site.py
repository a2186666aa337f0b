# SPDX-License-Identifier: Apache-2.0
"""Silent or gone: a site cut off from the controller alone is left as it is; one that lost its power is taken as lost
once its clients are seen elsewhere, and counts again when it reports."""
import os

import pytest

from tests.lab import topology as topo
from tests.lab.lab import Lab
from tests.lab.procs import wait_until


@pytest.fixture(scope="module")
def lab():
    with Lab(build=os.environ.get("SLUICE_BUILD", "build")) as lab:
        lab.start_steering()
        yield lab


def events(lab, kind):
    return [e for e in lab.api("/v1/events?limit=1000")["events"] if e["kind"] == kind]


def orders(lab):
    return len(events(lab, "decision"))


def test_silence_is_not_death_and_death_is_found_out(lab):
    per_client = 0.25 * topo.NODES["ams1"].capacity_bps / (topo.object_wire_bytes() * 8)
    with lab.load() as load:
        load.spread(per_client * len(topo.HOME))
        load.window(6)
        before = orders(lab)

        lab.cut("ams1", uplink=False)  # its clients are served on
        load.window(14)
        assert not events(lab, "site.lost") and orders(lab) == before

        lab.heal("ams1", uplink=False)
        wait_until(lambda: all(s["age_ms"] < 3000 for s in lab.api("/v1/sites")["sites"]), 20, "ams to report again")
        load.window(6)

        lab.cut("ams1")
        lost = wait_until(lambda: events(lab, "site.lost"), 40, "ams to be taken as lost")
        assert "ams" in lost[0]["text"] and "arrives elsewhere" in lost[0]["text"]
        assert len(lost) == 1

        lab.heal("ams1")
        wait_until(lambda: events(lab, "site.back"), 30, "ams to count again")
    print(lost[0]["text"])
