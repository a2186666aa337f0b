# SPDX-License-Identifier: Apache-2.0
"""What the router in front of each node sees: new connections offered, bytes each way. Sluice has no part in it.

A SYN counts once per (client, port, VIP) in 10 s, so that retries do not look like demand; demand stays visible
when the node or its uplink drowns.
"""
import json
import time
from dataclasses import dataclass

from . import topology as topo

SEEN_S = 10

_HEAD = f"""
table inet witness {{
	set seen4 {{ type ipv4_addr . inet_service . ipv4_addr; flags dynamic,timeout; timeout {SEEN_S}s; size 65536; }}
	set seen6 {{ type ipv6_addr . inet_service . ipv6_addr; flags dynamic,timeout; timeout {SEEN_S}s; size 65536; }}
"""
_COUNTERS = "".join(f"\tcounter {what}_@NODE@ {{}}\n" for what in ("to", "from", "conns4", "conns6"))
_NEW = ("tcp dport {port} tcp flags & (syn|ack) == syn {ip} saddr . tcp sport . {ip} daddr != @{set} "
        "add @{set} {{ {ip} saddr . tcp sport . {ip} daddr }} counter name {counter}")


def ruleset(nodes):
    rules = ["\tchain forward {\n\t\ttype filter hook forward priority 0;"]
    for node in nodes:
        out = f'oifname "to-{node}"'
        rules += [f"\t\t{out} counter name to_{node}", f'\t\tiifname "to-{node}" counter name from_{node}',
                  f"\t\t{out} " + _NEW.format(port=topo.SERVICE_PORT, ip="ip", set="seen4", counter=f"conns4_{node}"),
                  f"\t\t{out} " + _NEW.format(port=topo.SERVICE_PORT, ip="ip6", set="seen6", counter=f"conns6_{node}")]
    return _HEAD + "".join(_COUNTERS.replace("@NODE@", n) for n in nodes) + "\n".join(rules) + "\n\t}\n}\n"


@dataclass
class Sample:
    at_s: float
    counters: dict  # node -> {"to", "from", "conns4", "conns6"}


@dataclass
class Seen:
    """One node over one window."""
    conns_per_s: float
    offered_util: float  # new connections x object size / capacity: above 1 when more is asked than fits
    carried_util: float  # what came back over the uplink / capacity
    in_bps: float
    out_bps: float


class Witness:
    def __init__(self, ground):
        self.g = ground
        self.routers = {}
        for node in topo.NODES:
            self.routers.setdefault(topo.upstream_of(node).a, []).append(node)

    def install(self):
        for router, nodes in self.routers.items():
            self.g.run(router, ["nft", "-f", "-"], input=ruleset(nodes))

    def mark(self):
        counters = {n: {} for n in topo.NODES}
        at_s = time.monotonic()
        for router in self.routers:
            listing = json.loads(self.g.run(router, ["nft", "-j", "list", "counters"]).stdout)
            for item in listing["nftables"]:
                counter = item.get("counter")
                if counter:
                    what, node = counter["name"].split("_", 1)
                    counters[node][what] = counter["packets"] if what.startswith("conns") else counter["bytes"]
        return Sample(at_s, counters)

    def since(self, mark, now=None):
        """{node: Seen} between two marks (now: a fresh one)."""
        now = now or self.mark()
        seconds = max(now.at_s - mark.at_s, 1e-3)
        return {n: self._seen(n, seconds, {k: v - mark.counters[n][k] for k, v in now.counters[n].items()})
                for n in topo.NODES}

    @staticmethod
    def _seen(node, seconds, delta):
        capacity_bytes = topo.NODES[node].capacity_bps / 8 * seconds
        offered = sum(delta[f"conns{v}"] * topo.object_wire_bytes(v == 6) for v in (4, 6))
        return Seen(conns_per_s=(delta["conns4"] + delta["conns6"]) / seconds,
                    offered_util=offered / capacity_bytes, carried_util=delta["from"] / capacity_bytes,
                    in_bps=delta["to"] * 8 / seconds, out_bps=delta["from"] * 8 / seconds)
