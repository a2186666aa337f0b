# SPDX-License-Identifier: Apache-2.0
"""Raises the topology in order: namespaces, links, addresses, daemons, sessions. Each step's work runs in
parallel where it starts processes, since the processes are what takes time."""
import os
import pwd

from . import render
from . import topology as topo
from .netns import sysctl
from .procs import wait_until
from .vty import Vty, birdc

FRR_BIN = "/usr/lib/frr"
SETTLE_S = 40


class Raising:
    def __init__(self, ground, say):
        self.g = ground
        self.say = say
        self.daemons = {}  # (owner, daemon) -> Popen

    # -- network --------------------------------------------------------------------------------------------

    def network(self):
        names = [*topo.BY_NAME, "mgmt", "ctl"]
        self.g.make_namespaces(names)
        for name in names:
            self._sysctls(name)
        self._links()
        for name in topo.BY_NAME:
            self._addresses(name)
        self._management()

    def _sysctls(self, name):
        values = {f"net.ipv6.conf.{scope}.accept_dad": 0 for scope in ("all", "default")}
        values |= {f"net.ipv6.conf.{scope}.keep_addr_on_down": 1 for scope in ("all", "default")}
        values |= {f"net.ipv4.conf.{scope}.rp_filter": 0 for scope in ("all", "default")}
        speaker = topo.BY_NAME.get(name)
        if speaker and speaker.kind != "node":
            values |= {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1}
        if speaker and speaker.kind == "router":
            # the 5-tuple, spelled out: policy 1 would trust a hash the sender's socket chose, which a veth carries
            # along and a retransmission changes: connections would jump between nodes
            for v in (4, 6):
                values |= {f"net.ipv{v}.fib_multipath_hash_policy": 3, f"net.ipv{v}.fib_multipath_hash_fields": 0x37}
        if speaker and speaker.kind == "bird-stub":
            values |= {"net.ipv4.ip_local_port_range": "2000 65000"}
        sysctl(self.g.ns(name), values)

    def _links(self):
        lines = []
        for link in topo.LINKS:
            a, b = link.ends()
            lines.append(f"link add name {topo.ifname(a, link)} netns {self.g.ns(a)} type veth "
                         f"peer name {topo.ifname(b, link)} netns {self.g.ns(b)}")
        for name in [*topo.NODES, "ctl"]:
            lines.append(f"link add name mg-{name} netns {self.g.ns('mgmt')} type veth "
                         f"peer name mg0 netns {self.g.ns(name)}")
        self.g.batch("mgmt", lines)

    def _addresses(self, name):
        lines = ["link set lo up"]
        for link in topo.links_of(name):
            dev = topo.ifname(name, link)
            lines += [f"addr add {link.addr4(name)}/30 dev {dev}", f"addr add {link.addr6(name)}/64 dev {dev} nodad"]
            # whole packets only: the shaper's drops and the counters then mean what they mean on a wire
            lines += [f"link set {dev} up gso_max_segs 1"]
        if name in topo.NODES:
            lines += self._node_lines(name)
        if name in topo.STUBS:
            lines += [f"addr add {topo.client_addr(name)}/24 dev lo",
                      f"addr add {topo.client_addr(name, True)}/128 dev lo"]
        self.g.batch(name, lines)
        if name in topo.NODES:
            rate = topo.NODES[name].capacity_bps
            self.g.batch(name, [f"qdisc replace dev up0 root tbf rate {rate}bit burst 16kb latency 50ms"], tool="tc")

    def _node_lines(self, name):
        link = topo.upstream_of(name)
        lines = [f"addr add {v}/{128 if ':' in v else 32} dev lo" for v in topo.VIPS.values()]
        lines += [f"route add default via {link.addr4(link.a)}", f"route add default via inet6 {link.addr6(link.a)}"]
        return lines + [f"addr add {topo.NODES[name].mgmt}/24 dev mg0", "link set mg0 up"]

    def _management(self):
        self.g.batch("mgmt", ["link add br0 type bridge", "link set br0 up"]
                     + [f"link set mg-{n} master br0 up" for n in [*topo.NODES, "ctl"]])
        self.g.batch("ctl", ["link set lo up", f"addr add {topo.CONTROLLER_ADDR}/24 dev mg0", "link set mg0 up"])

    # -- daemons --------------------------------------------------------------------------------------------

    def dir_of(self, name):
        return self.g.dir / name

    def make_dirs(self):
        frr = pwd.getpwnam("frr")
        for name, speaker in topo.BY_NAME.items():
            path = self.dir_of(name)
            path.mkdir()
            if speaker.frr:
                os.chown(path, frr.pw_uid, frr.pw_gid)
        www = self.g.dir / "www"
        www.mkdir()
        (www / "obj").write_bytes(os.urandom(topo.OBJECT_BYTES))

    def start_zebra(self, name):
        d = self.dir_of(name)
        (d / "zebra.conf").write_text(f"hostname {name}\n")
        self._spawn(name, "zebra", [f"{FRR_BIN}/zebra", "-z", d / "zserv", "-i", d / "zebra.pid", "--vty_socket", d,
                                    "-f", d / "zebra.conf", "-A", "127.0.0.1", "-P", 0, "--log", "stdout"])

    def start_bgpd(self, name):
        d = self.dir_of(name)
        (d / "bgpd.conf").write_text(render.frr(topo.BY_NAME[name], d))
        self._spawn(name, "bgpd", [f"{FRR_BIN}/bgpd", "-z", d / "zserv", "-i", d / "bgpd.pid", "--vty_socket", d,
                                   "-f", d / "bgpd.conf", "-A", "127.0.0.1", "-P", 0, "--log", "stdout"])

    def start_bird(self, name):
        d = self.dir_of(name)
        (d / "bird.conf").write_text(render.bird(topo.BY_NAME[name], d))
        self._spawn(name, "bird", ["bird", "-f", "-c", d / "bird.conf", "-s", d / "bird.ctl", "-P", d / "bird.pid"])

    def start_gobgpd(self, name):
        d = self.dir_of(name)
        (d / "gobgpd.conf").write_text(render.gobgp(topo.BY_NAME[name], d))
        self._spawn(name, "gobgpd", ["gobgpd", "-f", d / "gobgpd.conf", "--cpus", 1, "--pprof-disable", "-p",
                                     "--api-hosts", "127.0.0.1:50051"])

    def start_nginx(self, name):
        d = self.dir_of(name)
        (d / "nginx.conf").write_text(render.nginx(name, d, self.g.dir / "www"))
        self._spawn(name, "nginx", ["nginx", "-e", d / "error.log", "-p", d, "-c", d / "nginx.conf"])

    def _spawn(self, name, daemon, argv):
        self.daemons[name, daemon] = self.g.spawn(name, argv, log=self.dir_of(name) / f"{daemon}.log")

    def kill(self, name, daemon):
        self.g.kill(self.daemons.pop((name, daemon)))

    def routing(self):
        """Everything that speaks BGP, and the service; the collector hears the very first route."""
        frr = [s.name for s in topo.SPEAKERS if s.frr]
        for name in frr:
            self.start_zebra(name)
        self.start_gobgpd("rc")
        for speaker in topo.SPEAKERS:
            if speaker.bird:
                self.start_bird(speaker.name)
        for name in frr:
            wait_until((self.dir_of(name) / "zserv").exists, SETTLE_S, f"zebra of {name}")
            self.start_bgpd(name)
        for name in topo.NODES:
            self.start_nginx(name)

    # -- readiness ------------------------------------------------------------------------------------------

    def sessions_up(self, name):
        """(established, expected) sessions of one speaker; a daemon that does not answer yet has none."""
        expected = 2 * len(topo.links_of(name))
        speaker = topo.BY_NAME[name]
        try:
            if speaker.frr:
                return self._frr_sessions(name), expected
            if speaker.bird:
                text = birdc(self.dir_of(name) / "bird.ctl", "show protocols")
                return sum("Established" in line for line in text.splitlines()), expected
        except OSError:
            return 0, expected
        return 0, 0  # the collector's sessions are seen from the other end

    def _frr_sessions(self, name):
        with Vty(self.dir_of(name) / "bgpd.vty") as vty:
            summary = vty.json("show bgp summary")
        return sum(peer.get("state") == "Established"
                   for family in summary.values() for peer in family.get("peers", {}).values())

    def settled(self):
        """Waits until every session is up and every site has a way back to every stub."""
        state = {}

        def all_up():
            state.update({n: self.sessions_up(n) for n in topo.BY_NAME})
            up, want = map(sum, zip(*state.values()))
            self.say(f"{up}/{want} BGP session ends up")
            return up >= want
        wait_until(all_up, SETTLE_S, lambda: f"BGP sessions {({n: s for n, s in state.items() if s[0] < s[1]})}", 0.2)
        for name in ("fra-r", "t1", "t2", "t3"):
            for six in (False, True):
                wait_until(lambda n=name, s=six: self._routes_back(n, s), SETTLE_S, f"client routes at {name}")

    def _routes_back(self, name, six):
        have = {r["dst"] for r in self.g.ip_json(name, "-6" if six else "-4", "route", "show")}
        want = {topo.client_prefix6(c) if six else topo.client_prefix4(c) for c in topo.STUBS}
        return want <= have
