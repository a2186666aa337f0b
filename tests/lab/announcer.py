# SPDX-License-Identifier: Apache-2.0
"""A stand-in for sluice-agent: types grades and weights into a node's bgpd, to try the lab by itself."""
from . import topology as topo
from .vty import Vty

GSHUT = "graceful-shutdown"


def _map_lines(name, grade, weight):
    lines = [f"no route-map {name}", f"route-map {name} permit 10"]
    if weight:
        lines.append(f"set extcommunity bandwidth {weight}")
    if grade.startswith("prepend"):
        lines.append(f"set as-path prepend {' '.join([str(topo.ORIGIN_AS)] * int(grade[7:]))}")
    elif grade == "drain":
        lines.append(f"set community {GSHUT} additive")
    elif grade != "normal":
        lines.append(f"set community {grade} additive")
    return lines + ["exit"]


class Announcer:
    """announce(node, shard, grade, weight) and withdraw(node, shard); a spare map is written, then swapped in."""

    def __init__(self, vty_path_of):
        self._path = vty_path_of
        self._spare = {}

    def announce(self, node, shard, grade="normal", weight=None):
        """weight is in Mbit/s, by default the node's capacity; 0 leaves the community away."""
        if weight is None:
            weight = topo.NODES[node].capacity_bps // 1000000
        turn = self._spare.get((node, shard), 0)
        self._spare[node, shard] = 1 - turn
        name = f"FAKE-{shard}-{turn}"
        self._edit(node, shard, f"network {topo.SHARDS[shard]} route-map {name}", _map_lines(name, grade, weight))

    def withdraw(self, node, shard):
        self._edit(node, shard, f"no network {topo.SHARDS[shard]}")

    def _edit(self, node, shard, line, before=()):
        family = "ipv6" if ":" in topo.SHARDS[shard] else "ipv4"
        with Vty(self._path(node)) as vty:
            vty.configure([*before, f"router bgp {topo.ORIGIN_AS}", f"address-family {family} unicast", line])

    def site(self, site, grade="normal", shards=topo.SHARDS):
        for node in topo.SITES[site]:
            for shard in shards:
                self.announce(node, shard, grade)

    def withdraw_site(self, site, shards=topo.SHARDS):
        for node in topo.SITES[site]:
            for shard in shards:
                self.withdraw(node, shard)

    def everywhere(self):
        for site in topo.SITES:
            self.site(site)
