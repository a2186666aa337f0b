# SPDX-License-Identifier: Apache-2.0
"""The bench's lab: one router that is the witness, and places around it, each with a service of its own.

`rtr` (AS 65101) runs zebra and bgpd as a neighbour router would; what its kernel has is the truth. A place is a
namespace on a link of its own: with FRR and sluice-agent, or with ExaBGP and its healthcheck. Debian's defaults
everywhere, but for the times that a bench cannot wait for: reconnects, and the coalescing after a session came up."""
import contextlib
import json
import os
import pathlib
import pwd
import re
import select
import socket
import struct
import sys
import time

from tests.lab.netns import entered
from tests.lab.procs import Ground, LabError, wait_until
from tests.lab.vty import Vty

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = os.environ.get("SLUICE_BUILD", "build")
FRR_BIN = "/usr/lib/frr"
ROUTER_AS, PORT = 65101, 80
RTM_NEWROUTE, RTM_DELROUTE, RTMGRP_IPV4_ROUTE, RTA_DST = 24, 25, 0x40, 1


class Fib:
    """The router's kernel tells when a route comes or goes; times are time.monotonic() of the telling."""

    def __init__(self, ns):
        with entered(ns):
            self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self.sock.bind((0, RTMGRP_IPV4_ROUTE))
        self.has = set()

    def read(self, timeout_s):
        """[(time, prefix, present)] of one delivery, or [] after timeout_s."""
        if not select.select([self.sock], [], [], max(0, timeout_s))[0]:
            return []
        data, now, out = self.sock.recv(1 << 20), time.monotonic(), []
        while len(data) >= 16:
            size, kind = struct.unpack_from("=IH", data)
            if kind in (RTM_NEWROUTE, RTM_DELROUTE):
                prefix = self._prefix(data[16:size])
                if prefix:
                    (self.has.add if kind == RTM_NEWROUTE else self.has.discard)(prefix)
                    out.append((now, prefix, kind == RTM_NEWROUTE))
            data = data[(size + 3) & ~3:]
        return out

    @staticmethod
    def _prefix(body):
        length, rest = body[1], body[12:]
        while len(rest) >= 4:
            size, kind = struct.unpack_from("=HH", rest)
            if kind == RTA_DST:
                return f"{socket.inet_ntoa(rest[4:8])}/{length}"
            rest = rest[(size + 3) & ~3:]
        return None

    def wait(self, want, timeout_s):
        """Until want(self.has); the time of the message that made it so."""
        deadline, at = time.monotonic() + timeout_s, time.monotonic()
        while not want(self.has):
            for at, _, _ in self.read(deadline - time.monotonic()):
                pass
            if time.monotonic() > deadline:
                raise LabError(f"timed out after {timeout_s} s; the router has {sorted(self.has)[:5]}...")
        return at


class Lab:
    """with Lab(["sluice", "exa"]) as lab: ..."""

    def __init__(self, places):
        self.places = {name: i + 1 for i, name in enumerate(places)}
        self.services = {}

    def __enter__(self):
        self.ground = Ground()
        try:
            self._raise()
        except BaseException:
            self.ground.close()
            raise
        return self

    def __exit__(self, *exc):
        self.ground.close()

    # -- addresses --

    def addr(self, place):
        return f"10.9.{self.places[place]}.1"

    def router_addr(self, place):
        return f"10.9.{self.places[place]}.2"

    def vip(self, place):
        return f"198.18.{self.places[place]}.1"

    def prefix(self, place):
        return f"198.18.{self.places[place]}.0/24"

    def asn(self, place):
        return 64500 + self.places[place]

    # -- up --

    def _raise(self):
        names = ["rtr", *self.places]
        self.ground.make_namespaces(names)
        lines = []
        for p in self.places:
            lines.append(f"link add name up0 netns {self.ground.ns(p)} type veth peer name p{self.places[p]} netns "
                         f"{self.ground.ns('rtr')}")
        self.ground.batch(None, lines)
        self.ground.batch("rtr", ["link set lo up"] + [line for p in self.places for line in
                          (f"addr add {self.router_addr(p)}/24 dev p{self.places[p]}", f"link set p{self.places[p]} up")])
        for p in self.places:
            self.ground.batch(p, ["link set lo up", f"addr add {self.addr(p)}/24 dev up0", "link set up0 up",
                                  f"addr add {self.vip(p)}/32 dev lo"])
        self.fib = Fib(self.ground.ns("rtr"))
        peers = [(self.addr(p), self.asn(p)) for p in self.places]
        self.frr("rtr", ROUTER_AS, peers, "no bgp ebgp-requires-policy")

    def dir(self, name):
        d = self.ground.dir / name
        d.mkdir(exist_ok=True)
        return d

    def frr(self, place, asn, peers, *lines):
        """zebra and bgpd as Debian starts them, with these neighbours."""
        d, frr = self.dir(place), pwd.getpwnam("frr")
        os.chown(d, frr.pw_uid, frr.pw_gid)
        conf = [f"hostname {place}", "route-map ALL permit 10", f"router bgp {asn}", *[f" {line}" for line in lines],
                " no bgp network import-check", " coalesce-time 0"]
        for addr, peer_as in peers:
            conf += [f" neighbor {addr} remote-as {peer_as}", f" neighbor {addr} timers connect 1"]
            if place != "rtr":
                conf += [" address-family ipv4 unicast", f"  neighbor {addr} route-map ALL out",
                         " exit-address-family"]
        (d / "bgpd.conf").write_text("\n".join(conf) + "\n")
        (d / "zebra.conf").write_text(f"hostname {place}\n")
        common = ["-z", d / "zserv", "--vty_socket", d, "-A", "127.0.0.1", "-P", 0]
        self.ground.spawn(place, [f"{FRR_BIN}/zebra", *common, "-i", d / "zebra.pid", "-f", d / "zebra.conf"],
                          log=d / "zebra.log")
        wait_until((d / "zserv").exists, 15, f"zebra of {place}")
        self.ground.spawn(place, [f"{FRR_BIN}/bgpd", *common, "-i", d / "bgpd.pid", "-f", d / "bgpd.conf"],
                          log=d / "bgpd.log")
        wait_until((d / "bgpd.vty").exists, 15, f"bgpd of {place}")

    def node(self, place):
        """FRR beside an agent."""
        self.frr(place, self.asn(place), [(self.router_addr(place), ROUTER_AS)])

    def vty(self, place):
        return self.ground.dir / place / "bgpd.vty"

    def established(self, place):
        def up():
            with Vty(self.vty("rtr")) as vty:
                peers = vty.json("show bgp summary").get("ipv4Unicast", {}).get("peers", {})
            return peers.get(self.addr(place), {}).get("state") == "Established"
        wait_until(up, 30, f"the session of {place}")

    # -- services --

    def serve(self, place):
        self.services[place] = self.ground.spawn(place, ["/usr/bin/python3", "-S", "-E", "-u",
                                                         ROOT / "tests" / "bench" / "service.py", self.vip(place), PORT])
        self.wait_answer(place)

    def wait_answer(self, place):
        def answers():
            with entered(self.ground.ns(place)):
                sock = socket.socket()
            with sock:
                sock.settimeout(1)
                return sock.connect_ex((self.vip(place), PORT)) == 0
        wait_until(answers, 10, f"the service of {place}", 0.01)

    # -- announcers --

    def binary(self, name):
        path = (ROOT / BUILD / name).resolve()
        if not path.exists():
            raise LabError(f"{path} is missing: build it first")
        return path

    def agent(self, place, conf):
        d = self.dir(place)
        path = d / "agent.yaml"
        path.write_text(json.dumps(conf, indent=1) + "\n")
        (d / "agent").mkdir(mode=0o700, exist_ok=True)
        return self.ground.spawn(place, [self.binary("sluice-agent"), "-c", path], log=d / "agent.log")

    def exabgp(self, place, checks):
        """checks: one healthcheck's arguments each."""
        d = self.dir(place)
        procs = [f"process hc{i} {{\n run /usr/bin/exabgp-healthcheck {args};\n encoder text;\n}}\n"
                 for i, args in enumerate(checks)]
        names = ", ".join(f"hc{i}" for i in range(len(checks)))
        conf = "".join(procs) + f"""neighbor {self.router_addr(place)} {{
 router-id {self.addr(place)};
 local-address {self.addr(place)};
 local-as {self.asn(place)};
 peer-as {ROUTER_AS};
 family {{ ipv4 unicast; }}
 api {{ processes [ {names} ]; }}
}}
"""
        (d / "exabgp.conf").write_text(conf)
        env = {"exabgp_daemon_user": "root", "exabgp_api_cli": "false", "exabgp_log_destination": "stdout",
               "exabgp_daemon_drop": "false"}
        return self.ground.spawn(place, ["/usr/sbin/exabgp", d / "exabgp.conf"], log=d / "exabgp.log", env=env)


def share_ms(log_text, died_s):
    """From each death to the line that withdraws the route being written to bgpd, by the times in the agent's debug
    log (the same clock): the kernel's clearing up and the grace time are in it."""
    typed = [int(us) / 1e6 for us in re.findall(r"bgpd, at (\d+) us: no network ", log_text)]
    return [(min(t for t in typed if t > died) - died) * 1000 for died in died_s]


def quantile(values, q):
    """The nearest rank: of 30 values the 99 % quantile is the largest."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, max(0, -(-int(q * 1000) * len(ordered) // 1000) - 1))], 1)


def summary(values):
    return {"p50": quantile(values, 0.5), "max": round(max(values), 1), "n": len(values)}


def usage(pid):
    """(RSS bytes, CPU seconds) of a process with all its descendants, those already collected included."""
    rss, cpu = 0, 0.0
    todo = [pid]
    while todo:
        p = todo.pop()
        with contextlib.suppress(OSError, ValueError):
            stat = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
            rss += int(stat[21]) * os.sysconf("SC_PAGE_SIZE")
            cpu += sum(int(x) for x in stat[11:15]) / os.sysconf("SC_CLK_TCK")
            for task in pathlib.Path(f"/proc/{p}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
    return rss, cpu


def save(name, result):
    path = ROOT / "build" / "bench" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to build/bench/{name}.json")


def verdict(rows):
    """rows: (what, value, limit, "<=" or ">="). Prints them; the number that missed."""
    missed = 0
    for what, value, sign, limit in rows:
        good = value <= limit if sign == "<=" else value >= limit
        missed += not good
        print(f"  {'ok  ' if good else 'MISS'} {what}: {value} (target {sign} {limit})")
    return missed


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
