# SPDX-License-Identifier: Apache-2.0
"""The small Internet, as data: who exists, who is connected to whom, which addresses they use.

Tie-breaks are made deterministic by router-ids: sites < transits < stubs. At equal AS-path length a transit
prefers its own site (lower id than any transit), and a stub prefers t1 to t2 to t3. Hence prepend1 at a
site moves only the multi-homed stubs, and prepend2 moves everybody.
"""
from dataclasses import dataclass

ORIGIN_AS = 64500
SERVICE_PORT = 80
OBJECT_BYTES = 40000

SHARDS = {
    "web-a": "198.18.1.0/24",
    "web-b": "198.18.2.0/24",
    "web-c": "198.18.3.0/24",
    "web-d": "198.18.4.0/24",
    "web-a6": "2001:db8:a1::/48",
    "web-b6": "2001:db8:a2::/48",
}


def vip_of(prefix):
    """First address of a shard's prefix: the VIP clients talk to."""
    base = prefix.split("/")[0]
    return base + "1" if ":" in base else base[:-1] + "1"


VIPS = {shard: vip_of(p) for shard, p in SHARDS.items()}


@dataclass(frozen=True)
class Speaker:
    name: str
    kind: str  # node, router, transit (FRR); bird-transit, bird-stub; collector
    asn: int
    router_id: str
    site: str = ""
    capacity_bps: int = 0  # of a node's uplink, towards the clients
    mgmt: str = ""

    @property
    def frr(self):
        return self.kind in ("node", "router", "transit")

    @property
    def bird(self):
        return self.kind.startswith("bird")


@dataclass(frozen=True)
class Link:
    a: str
    b: str
    index: int

    def ends(self):
        return (self.a, self.b)

    def other(self, name):
        return self.b if name == self.a else self.a

    def addr4(self, name):
        return f"10.64.{self.index}.{1 if name == self.a else 2}"

    def addr6(self, name):
        return f"2001:db8:64:{self.index:x}::{1 if name == self.a else 2}"


def _mbit(n):
    return n * 1000 * 1000


SPEAKERS = [
    Speaker("fra-r", "router", ORIGIN_AS, "10.0.0.1", site="fra"),
    Speaker("fra1", "node", ORIGIN_AS, "10.0.0.11", "fra", _mbit(20), "10.255.0.11"),
    Speaker("fra2", "node", ORIGIN_AS, "10.0.0.12", "fra", _mbit(20), "10.255.0.12"),
    Speaker("fra3", "node", ORIGIN_AS, "10.0.0.13", "fra", _mbit(10), "10.255.0.13"),
    Speaker("ams1", "node", ORIGIN_AS, "10.0.0.2", "ams", _mbit(40), "10.255.0.21"),
    Speaker("nyc1", "node", ORIGIN_AS, "10.0.0.3", "nyc", _mbit(40), "10.255.0.31"),
    Speaker("t1", "transit", 65101, "10.0.1.1"),
    Speaker("t2", "bird-transit", 65102, "10.0.1.2"),
    Speaker("t3", "transit", 65103, "10.0.1.3"),
    *[Speaker(f"c{n}", "bird-stub", 65200 + n, f"10.0.2.{n}") for n in range(1, 7)],
    Speaker("rc", "collector", 65300, "10.0.3.1"),
]

# upstream (or peer) first: in a link to a node, the first end is the neighbour router that witnesses it
_PAIRS = """
fra-r-fra1 fra-r-fra2 fra-r-fra3  t1-fra-r t2-ams1 t3-nyc1  t1-t2 t2-t3 t1-t3
t1-c1 t1-c2 t2-c2 t2-c3 t2-c4 t3-c4 t3-c5 t3-c6 t1-c6  t1-rc t2-rc t3-rc fra-r-rc
"""


def _links():
    names = {s.name for s in SPEAKERS}
    out = []
    for pair in _PAIRS.split():
        a, b = next((pair[:i], pair[i + 1:]) for i in range(len(pair))
                    if pair[i] == "-" and pair[:i] in names and pair[i + 1:] in names)
        out.append(Link(a, b, len(out) + 1))
    return out


LINKS = _links()
BY_NAME = {s.name: s for s in SPEAKERS}
NODES = {s.name: s for s in SPEAKERS if s.kind == "node"}
STUBS = {s.name: s for s in SPEAKERS if s.kind == "bird-stub"}
SITES = {site: [n.name for n in NODES.values() if n.site == site] for site in ("fra", "ams", "nyc")}
# towards whom a transit prepends once what carries the community of grade `less`
LESS_COMMUNITY = f"{ORIGIN_AS}:80"
LESS_TOWARDS = {"t1": ["c6"], "t2": ["c4"]}
# where each stub's traffic lands while every site announces at grade normal
HOME = {"c1": "fra", "c2": "fra", "c3": "ams", "c4": "ams", "c5": "nyc", "c6": "fra"}

MGMT_NET = "10.255.0"
CONTROLLER_ADDR = f"{MGMT_NET}.1"
AGENT_PORT = 7400
API_PORT = 7443


def links_of(name):
    return [link for link in LINKS if name in link.ends()]


def upstream_of(node):
    """The link over which a node is reached: its other end is the witness."""
    return next(link for link in LINKS if link.b == node)


def ifname(owner, link):
    return "up0" if owner in NODES else f"to-{link.other(owner)}"


def client_prefix4(stub):
    return f"10.101.{stub[1:]}.0/24"


def client_prefix6(stub):
    return f"2001:db8:c{int(stub[1:]):x}::/48"


def client_addr(stub, six=False):
    return f"2001:db8:c{int(stub[1:]):x}::1" if six else f"10.101.{stub[1:]}.1"


def object_wire_bytes(six=False):
    """Bytes one GET /obj puts on the node's uplink as its shaper counts them (Ethernet header included)."""
    head, options = (14 + 40 + 20 if six else 14 + 20 + 20), 12  # timestamps
    mss = 1500 - (head - 14) - options
    payload = OBJECT_BYTES + 260  # status line and headers
    segments = -(-payload // mss)
    return payload + segments * (head + options) + (head + 20) + 2 * (head + options)  # SYN-ACK, ACK, FIN
