# SPDX-License-Identifier: Apache-2.0
"""The lab as tests, benches and the demo use it.

    with Lab(build="build") as lab:
        lab.start_controller(); lab.start_agents()
        lab.catchment()

SLUICE_LAB_KEEP=DIR in the environment saves logs and configurations there before they go.
Leaving the block, Ctrl-C, SIGTERM, an exception or SIGKILL: nothing is left behind (see reaper.py).
"""
import pathlib
import signal
import sys
import threading
import time

from . import probe
from . import topology as topo
from .announcer import Announcer
from .collector import Collector
from .load import Load
from .procs import Ground, LabError, wait_until
from .raising import Raising
from .sluice import Sluice
from .vty import Vty, birdc
from .witness import Witness

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS = 6


class Node:
    """One namespace by its name: a node, a router, a client network, or `ctl`."""

    def __init__(self, lab, name):
        self.lab, self.name = lab, name
        self.ns = lab.ground.ns(name)
        self.dir = lab.ground.dir / name

    def sh(self, argv, check=True, timeout=30, **kwargs):
        """Runs argv inside; returns its output. `sh("text")` goes through a shell."""
        argv = ["sh", "-c", argv] if isinstance(argv, str) else argv
        return self.lab.ground.run(self.name, argv, check, timeout, **kwargs).stdout

    def spawn(self, argv, log=None, **kwargs):
        """Starts a process inside that lives as long as the lab, unless ended by lab.ground.kill()."""
        return self.lab.ground.spawn(self.name, argv, log=log, **kwargs)


class Lab(Sluice):
    def __init__(self, build="build", quiet=False, collector=True):
        self.build = (ROOT / build).resolve()
        self.quiet = quiet
        self.nodes = topo.NODES
        self.sites = topo.SITES
        self.shards = topo.SHARDS
        self.vips = topo.VIPS
        self.clients = list(topo.STUBS)
        self._want_collector = collector
        self.collector = None
        self._step = 0
        self._old_term = None

    # -- up and down ----------------------------------------------------------------------------------------

    def __enter__(self):
        started = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            self._old_term = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        self.ground = Ground()
        try:
            self._raise()
        except BaseException:
            self.close()
            raise
        self._say(f"up in {time.monotonic() - started:.1f} s", end="\n")
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.stop_sluice_quietly()
        self.ground.close()
        if self._old_term is not None:
            signal.signal(signal.SIGTERM, self._old_term)
            self._old_term = None

    def _raise(self):
        self.raising = Raising(self.ground, self._say)
        self.witness = Witness(self.ground)
        self.fake = Announcer(self.vty_path)
        self._next("namespaces and links")
        self.raising.make_dirs()
        self.raising.network()
        self._next("witness counters")
        self.witness.install()
        self._next("routing daemons and nginx")
        self.raising.routing()
        self._next("BGP sessions")
        self.raising.settled()
        self._next("route collector")
        if self._want_collector:
            self.collector = Collector(self.ground)
        self._next("service")
        wait_until(self._all_serve, 10, "nginx on every node")

    def _next(self, what):
        self._step += 1
        self._say(what)

    def _say(self, text, end="\r"):
        if self.quiet:
            return
        tty = sys.stderr.isatty()
        line = f"raising the lab {self.ground.id}: {self._step}/{STEPS} {text}"
        if tty:
            print(f"\r\033[K{line}", end=end if end == "\n" else "", file=sys.stderr, flush=True)
        elif line != getattr(self, "_said", ""):
            print(line, file=sys.stderr, flush=True)
        self._said = line

    def _all_serve(self):
        return all((self.ground.dir / n / "nginx.pid").exists() for n in self.nodes)

    # -- looking --------------------------------------------------------------------------------------------

    def node(self, name):
        return Node(self, name)

    def vty_path(self, name, daemon="bgpd"):
        return self.ground.dir / name / f"{daemon}.vty"

    def vty(self, name, command, daemon="bgpd"):
        """Answer of a speaker: FRR's vty or BIRD's control socket. A command ending in ` json` comes back parsed."""
        if topo.BY_NAME[name].bird:
            return birdc(self.ground.dir / name / "bird.ctl", command)
        with Vty(self.vty_path(name, daemon)) as vty:
            return vty.json(command[:-5]) if command.endswith(" json") else vty.cmd(command)

    def fib(self, router, prefix):
        """Next hops of a prefix in the router's kernel: {device: weight}; empty when there is no route."""
        found = self.ground.ip_json(router, "-6" if ":" in prefix else "-4", "route", "show", prefix)
        if not found:
            return {}
        hops = [h for r in found for h in r.get("nexthops", [r])]
        return {h["dev"]: h.get("weight", 1) for h in hops if "dev" in h}

    def catchment(self, clients=None, shards=None, timeout_s=2.0):
        """{(client, shard): node that answered, or None}, by real requests."""
        return probe.ask_all(self.ground, [(c, s) for c in clients or self.clients for s in shards or self.shards],
                             timeout_s)

    def site_catchment(self, **kwargs):
        """{(client, shard): site or None}."""
        return {k: topo.NODES[n].site if n else None for k, n in self.catchment(**kwargs).items()}

    def wait_catchment(self, want, timeout_s=10, **kwargs):
        """Waits until every shard's site per client is as in want ({client: site or None}). Returns seconds taken."""
        began = time.monotonic()

        def same():
            kwargs.setdefault("timeout_s", 0.5)
            self.last_catchment = self.site_catchment(**kwargs)
            return all(site == want[c] for (c, _), site in self.last_catchment.items() if c in want)
        try:
            wait_until(same, timeout_s, f"catchment {want}")
        except LabError as e:
            raise LabError(f"{e}; last seen: {self.last_catchment}") from None
        return time.monotonic() - began

    def offered_util(self, mark=None, seconds=1.0):
        """{node: utilisation offered to it}, since a witness mark, or over the next `seconds`."""
        if mark is None:
            mark = self.witness.mark()
            time.sleep(seconds)
        return {n: s.offered_util for n, s in self.witness.since(mark).items()}

    # -- faults ---------------------------------------------------------------------------------------------

    def kill_nginx(self, node):
        self.raising.kill(node, "nginx")

    def start_nginx(self, node):
        self.raising.start_nginx(node)

    def kill_bgpd(self, node):
        self.raising.kill(node, "bgpd")

    def start_bgpd(self, node):
        self.raising.start_bgpd(node)

    def cut(self, node, uplink=True, mgmt=True):
        """Pulls a node's cables, at the far ends: what runs on it does not know more than a lost carrier tells."""
        self._cables(node, "down", uplink, mgmt)

    def heal(self, node, uplink=True, mgmt=True):
        self._cables(node, "up", uplink, mgmt)

    def _cables(self, node, state, uplink, mgmt):
        if uplink:
            self.ground.run(topo.upstream_of(node).a, ["ip", "link", "set", f"to-{node}", state])
        if mgmt:
            self.ground.run("mgmt", ["ip", "link", "set", f"mg-{node}", state])

    def check(self):
        """LabError if a daemon ended that nobody asked to end; with the end of its log."""
        for (name, daemon), child in self.raising.daemons.items():
            if child.poll() is not None:
                log = self.ground.dir / name / f"{daemon}.log"
                raise LabError(f"{daemon} of {name} ended with {child.returncode}: {log.read_text()[-1000:]}")

    # -- load -----------------------------------------------------------------------------------------------

    def load(self, **kwargs):
        return Load(self, **kwargs)
