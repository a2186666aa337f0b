# SPDX-License-Identifier: Apache-2.0
"""The main job, on real routers, in at most 150 s.

Five scenes; each says what it shows, measures it with clients and neighbour routers (never by Sluice's own
word), and claims something that can be false. A false claim makes the exit status 1. Figures go to
build/demo/summary.json. KEEP=1 leaves everything running and says how to talk to it.
"""
import json
import os
import pathlib
import sys
import time

from tests.lab import topology as topo
from tests.lab.lab import ROOT, Lab
from tests.lab.procs import LabError, wait_until
from tests.lab.vty import Vty

WIRE_BITS = topo.object_wire_bytes() * 8
SITE_BPS = {s: sum(topo.NODES[n].capacity_bps for n in nodes) for s, nodes in topo.SITES.items()}
CALM_UTIL = {"fra": 0.35, "ams": 0.20, "nyc": 0.20}
CROWD_UTIL = 1.6
# The lab's Internet converges in under a second; the defaults are made for the real one (README, "Policy").
POLICY = dict(settle_min_ms=4000, settle_max_ms=10000, restore_hold_ms=6000, no_return_ms=5000, changes_max=60,
              weaken_share_max=0.40)
OBSERVE_S, RELIEF_LIMIT_S, RESTORE_LIMIT_S = 15, 30, 60
RELIEF_WINDOW_S = 5
SETTLE_S = 8


class Demo:
    def __init__(self, lab, load):
        self.lab, self.load = lab, load
        self.summary = {"normal": {}, "flash": {}, "kill": {}, "restore": {}, "controller_kill": {}}
        self.claims = []
        self.began = time.monotonic()

    # -- talking --------------------------------------------------------------------------------------------

    def say(self, text=""):
        print(f"{time.monotonic() - self.began:6.1f} s  {text}" if text else "", flush=True)

    def scene(self, letter, text):
        print(f"\n\033[1m({letter}) {text}\033[0m" if sys.stdout.isatty() else f"\n({letter}) {text}", flush=True)

    def claim(self, text, true):
        self.claims.append((text, bool(true)))
        self.say(f"{'ok  ' if true else 'FAIL'} {text}")

    def utils(self, seen):
        return "  ".join(f"{n} {s.offered_util:.2f}" for n, s in seen.items())

    # -- demand ---------------------------------------------------------------------------------------------

    def demand(self, site, util):
        """Clients homed at a site ask for util x its capacity, spread over all shards."""
        homed = [c for c, home in topo.HOME.items() if home == site]
        self.load.spread(util * SITE_BPS[site] / WIRE_BITS, clients=homed)

    def calm(self):
        for site, util in CALM_UTIL.items():
            self.demand(site, util)

    # -- measuring ------------------------------------------------------------------------------------------

    def served(self, seconds):
        """Success of all clients over the next seconds, and what the routers saw meanwhile."""
        mark = self.lab.witness.mark()
        window = self.load.window(seconds)
        return window, self.lab.witness.since(mark)

    def route_changes(self, mark):
        """Distinct changes since a mark: bursts per prefix, whoever told of them."""
        last, count = {}, 0
        for c in sorted(self.lab.collector.changes_since(mark, list(topo.SHARDS)), key=lambda c: c.mono_s):
            if c.mono_s - last.get(c.prefix, -9) > 2:
                count += 1
            last[c.prefix] = c.mono_s
        return count

    def grades(self):
        """{(shard, site): grade} as the API shows them; for narration only."""
        shards = self.lab.api("/v1/shards")["shards"]
        return {(s["name"], x["site"]): x["grade"] for s in shards for x in s["sites"]}

    def steered(self):
        return {k: g for k, g in self.grades().items() if g != "normal"}

    def show_moves(self):
        moved = self.steered()
        by_site = {}
        for (shard, site), grade in sorted(moved.items()):
            by_site.setdefault((site, grade), []).append(shard)
        for (site, grade), shards in by_site.items():
            self.say(f"     {site}: {', '.join(shards)} at {grade}")


def start(demo):
    """As an operator has it today: FRR announces everything everywhere. Then Sluice comes, in observe."""
    lab = demo.lab
    for node in topo.NODES:
        with Vty(lab.vty_path(node)) as vty:
            for prefix in topo.SHARDS.values():
                family = "ipv6" if ":" in prefix else "ipv4"
                vty.configure([f"router bgp {topo.ORIGIN_AS}", f"address-family {family} unicast", f"network {prefix}"])
    lab.wait_catchment(topo.HOME)
    lab.start_controller()
    lab.start_agents()
    demo.say(lab.apply(**POLICY).strip())
    wait_until(lambda: all_reporting(lab), 15, "reports of every agent")


def all_reporting(lab):
    nodes = lab.api("/v1/nodes")["nodes"]
    return len(nodes) == len(topo.NODES) and all(n["session"]["connected"] and n["age_ms"] is not None for n in nodes)


def normal(demo):
    demo.scene("a", "Normal: everybody is served by the nearest site; Sluice is in its first mode, observe")
    demo.calm()
    demo.load.window(2)
    window, seen = demo.served(5)
    by_site = {}
    for node, count in window.by_node.items():
        site = topo.NODES[node].site
        by_site[site] = by_site.get(site, 0) + count
    demo.say(f"clients: {window}")
    demo.say("served by " + ", ".join(f"{s} {n / window.seconds:.0f}/s" for s, n in sorted(by_site.items())))
    demo.say(f"utilisation asked of each node (its router counts): {demo.utils(seen)}")
    demo.summary["normal"] = {"success_pct": window.success_pct, "p95_ms": window.p95_ms}
    demo.claim("all clients are served", window.success_pct > 99)


def flash(demo):
    lab, out = demo.lab, demo.summary["flash"]
    demo.scene("b", f"Flash crowd at fra: {CROWD_UTIL} x its capacity, while the cluster has room")
    demo.demand("fra", CROWD_UTIL)
    demo.say(f"mode observe for {OBSERVE_S} s: Sluice looks and touches nothing")
    mark = lab.collector.mark()
    demo.load.window(OBSERVE_S - 10)
    window, seen = demo.served(10)
    out["observe_success_pct"] = window.success_pct
    out["peak_node_util_before"] = max(s.offered_util for s in seen.values())
    demo.say(f"clients: {window}")
    demo.say(f"utilisation: {demo.utils(seen)}")
    demo.claim("clients lose while nobody steers", window.success_pct < 95)
    demo.claim("observe changes no route", demo.route_changes(mark) == 0)
    steer(demo, out)


def steer(demo, out):
    lab = demo.lab
    mark, weights = lab.collector.mark(), lab.fib("fra-r", topo.SHARDS["web-a"])
    lab.ctl("mode", "steer", "--reason", "flash crowd at fra")
    began = time.monotonic()
    demo.say("mode steer")
    out["time_to_relief_s"] = relief(demo, began)
    demo.say(f"relief after {out['time_to_relief_s']} s; the last 10 s of the scene count")
    demo.load.window(SETTLE_S)  # the last moves still break the connections they move
    window, seen = demo.served(10)
    out["steer_success_pct"] = window.success_pct
    out["peak_node_util_after"] = max(s.offered_util for s in seen.values())
    out["route_changes"] = demo.route_changes(mark)
    out["weights_before"], out["weights_after"] = weights, lab.fib("fra-r", topo.SHARDS["web-a"])
    demo.show_moves()
    demo.say(f"clients: {window}")
    demo.say(f"utilisation: {demo.utils(seen)}")
    demo.say(f"next-hop weights in fra's router: {weights} -> {out['weights_after']}")
    demo.claim(f"relief after {out['time_to_relief_s']} s", out["time_to_relief_s"] is not None)
    demo.claim("no server is overwhelmed", out["peak_node_util_after"] <= 1.0)
    demo.claim("clients are served again", window.success_pct > 99)
    demo.claim("weights moved inside fra", weights != out["weights_after"])


def relief(demo, began):
    """Seconds from steer to the start of the first RELIEF_WINDOW_S in which no node was asked for more than it has."""
    lab, marks = demo.lab, [demo.lab.witness.mark()]
    shown = began
    while time.monotonic() - began < RELIEF_LIMIT_S + RELIEF_WINDOW_S:
        demo.load.window(1)
        marks.append(lab.witness.mark())
        if time.monotonic() - shown >= 4:
            demo.say(f"     {demo.utils(lab.witness.since(marks[-2], marks[-1]))}")
            shown = time.monotonic()
        if len(marks) <= RELIEF_WINDOW_S:
            continue
        first = marks[-1 - RELIEF_WINDOW_S]
        if max(s.offered_util for s in lab.witness.since(first, marks[-1]).values()) <= 1.0:
            return round(max(first.at_s - began, 0), 1)
    return None


def kill(demo):
    lab, out = demo.lab, demo.summary["kill"]
    victim = "fra3"
    prefix = topo.SHARDS["web-a"]
    demo.scene("c", f"A server dies: kill -9 of nginx on {victim}")
    mark = demo.load.mark()
    began = time.monotonic()
    lab.kill_nginx(victim)
    link = f"to-{victim}"
    wait_until(lambda: link not in lab.fib("fra-r", prefix), 10, "the route to go", poll_s=0.005)
    out["withdraw_ms"] = round(1000 * (time.monotonic() - began), 1)
    demo.say(f"{victim}'s routes left its router after {out['withdraw_ms']:.0f} ms")
    outage = demo.load.mark() + 1  # the second under way still holds the fault
    demo.load.window(6)
    window, others = demo.load.since(mark), demo.load.since(outage)
    out["requests_lost"] = sum(window.failed.values())
    out["requests"] = window.ended
    demo.say(f"clients over {window.seconds} s: {window}")
    lab.start_nginx(victim)
    began = time.monotonic()
    wait_until(lambda: link in lab.fib("fra-r", prefix), 20, "the server to be announced again")
    out["return_s"] = round(time.monotonic() - began, 1)
    after = demo.load.window(4)
    demo.say(f"nginx is back: announced again after {out['return_s']} s (hold-down); clients: {after}")
    out["others_success_pct"], out["return_success_pct"] = others.success_pct, after.success_pct
    demo.claim("others took over", others.success_pct > 99)
    demo.claim("the dead server was withdrawn within 1 s", out["withdraw_ms"] <= 1000)


def restore(demo):
    lab, out = demo.lab, demo.summary["restore"]
    demo.scene("d", "The crowd leaves: everything returns, one step at a time")
    mark = lab.collector.mark()
    moved = len(demo.steered())
    demo.calm()
    began = time.monotonic()
    try:
        wait_until(lambda: not demo.steered(), RESTORE_LIMIT_S, "every shard to be normal again", poll_s=0.5)
        out["restored_s"] = round(time.monotonic() - began, 1)
    except LabError:
        out["restored_s"] = None
        demo.show_moves()
    lab.collector.wait_quiet(1.0, 10)
    home = lab.site_catchment()
    out["route_changes"] = demo.route_changes(mark)
    out["moved"] = moved
    demo.say(f"{moved} weakened announcements given back in {out['restored_s']} s, {out['route_changes']} changes")
    demo.claim("everybody is at home again", all(home[c, s] == topo.HOME[c] for c, s in home))
    demo.claim("no flapping: at most two changes per weakened announcement", out["route_changes"] <= 2 * max(moved, 1))


def controller_kill(demo):
    lab, out = demo.lab, demo.summary["controller_kill"]
    demo.scene("e", "The controller is killed under load, and started again")
    lab.collector.wait_quiet(1.0, 10)
    mark = lab.collector.mark()
    fibs = {r: {s: lab.fib(r, p) for s, p in topo.SHARDS.items()} for r in ("fra-r", "t1", "t2", "t3")}
    lab.kill_controller()
    demo.say("kill -9; agents keep what is announced")
    window = demo.load.window(5)
    lab.start_controller()
    wait_until(lambda: all_reporting(lab), 15, "the agents to come back")
    demo.say("started again; every agent is back")
    demo.load.window(5)
    changes = lab.collector.changes_since(mark, real=False)
    same = fibs == {r: {s: lab.fib(r, p) for s, p in topo.SHARDS.items()} for r in fibs}
    out["route_changes"] = len(changes)
    out["success_pct"] = window.success_pct
    demo.claim("not one UPDATE was heard", not changes)
    demo.claim("every router forwards as before", same)


def table(demo):
    f, k, r, c = (demo.summary[x] for x in ("flash", "kill", "restore", "controller_kill"))
    rows = [
        ("flash crowd, nobody steers: clients served", f"{f['observe_success_pct']:.1f} %"),
        ("flash crowd, Sluice steers: clients served", f"{f['steer_success_pct']:.1f} %"),
        ("hottest server, before -> after", f"{f['peak_node_util_before']:.2f} -> {f['peak_node_util_after']:.2f}"),
        ("time to relief", f"{f['time_to_relief_s']} s, {f['route_changes']} route changes"),
        ("server killed: out of the router's FIB", f"{k['withdraw_ms']:.0f} ms, {k['requests_lost']} requests lost"),
        ("crowd gone: everything given back", f"{r['restored_s']} s, {r['route_changes']} route changes"),
        ("controller killed and restarted", f"{c['route_changes']} route changes"),
    ]
    print()
    for name, value in rows:
        print(f"  {name:<46} {value}")


def keep(demo):
    lab = demo.lab
    line = " ".join(lab.ctl_argv())
    print(f"\nKEEP=1: everything runs on. Talk to it with\n\n  ip netns exec {lab.ground.ns('ctl')} {line} status\n"
          f"\nAPI https://{topo.CONTROLLER_ADDR}:{topo.API_PORT}/v1 in that namespace; CA {lab.pki_dir}/ca.pem; "
          f"token in {lab.pki_dir}/lab.token\nCtrl-C removes everything.", flush=True)
    try:
        while True:
            demo.load.window(3600)
    except KeyboardInterrupt:
        print()


def play(demo):
    start(demo)
    for scene in (normal, flash, kill, restore, controller_kill):
        scene(demo)
    table(demo)


def write(summary):
    path = pathlib.Path(ROOT) / "build" / "demo" / "summary.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return path.relative_to(ROOT)


def main():
    began = time.monotonic()
    try:
        with Lab(build=os.environ.get("SLUICE_BUILD", "build")) as lab, lab.load(seconds=7200) as load:
            demo = Demo(lab, load)
            demo.began = began
            play(demo)
            demo.summary["wall_s"] = round(time.monotonic() - began, 1)
            demo.summary["claims"] = {text: true for text, true in demo.claims}
            print(f"\nfigures in {write(demo.summary)}; {demo.summary['wall_s']} s")
            if os.environ.get("KEEP"):
                keep(demo)
    except KeyboardInterrupt:
        print("\ninterrupted; everything is removed", file=sys.stderr)
        return 130
    except LabError as e:
        print(f"\nthe demo failed: {e}", file=sys.stderr)
        return 1
    failed = [text for text, true in demo.claims if not true]
    for text in failed:
        print(f"not true: {text}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
