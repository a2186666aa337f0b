# SPDX-License-Identifier: Apache-2.0
"""The load of all client networks: wraps build/lab-load, keeps its lines, and sums them over windows.

    with lab.load() as load:
        load.spread(300)                      # requests/s, over all clients and VIPs
        load.set_rate("c1", "web-a", 12.5)
        w = load.window(5)                    # the next 5 s
        w.success_pct, w.p95_ms, w.by_node
"""
import json
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from . import topology as topo
from .netns import RUN
from .procs import LabError, wait_until


@dataclass
class Window:
    """Sums over whole seconds. ok and failed count by the second in which a request ended; latency in ms."""
    seconds: int = 0
    offered: int = 0
    ok: int = 0
    failed: Counter = field(default_factory=Counter)
    by_node: Counter = field(default_factory=Counter)
    max_ms: float = 0.0
    latency_ms: Counter = field(default_factory=Counter)

    def add(self, flow):
        self.offered += flow["offered"]
        self.ok += flow["ok"]
        self.failed.update(flow["failed"])
        self.by_node.update(flow["nodes"])
        self.max_ms = max(self.max_ms, flow["max_ms"])
        self.latency_ms.update(dict(flow["latency_ms"]))

    @property
    def ended(self):
        return self.ok + sum(self.failed.values())

    @property
    def success_pct(self):
        """None when nothing ended."""
        return 100.0 * self.ok / self.ended if self.ended else None

    def percentile_ms(self, pct):
        want, seen = self.ok * pct / 100, 0
        for top in sorted(self.latency_ms):
            seen += self.latency_ms[top]
            if seen >= want:
                return min(top, self.max_ms)
        return None

    p50_ms = property(lambda self: self.percentile_ms(50))
    p95_ms = property(lambda self: self.percentile_ms(95))
    p99_ms = property(lambda self: self.percentile_ms(99))

    def __str__(self):
        if not self.ended:
            return f"{self.offered} offered, none ended"
        return (f"{self.offered / max(self.seconds, 1):.0f}/s offered, {self.success_pct:.2f} % served, "
                f"p50 {self.p50_ms or 0:.1f} p95 {self.p95_ms or 0:.1f} max {self.max_ms:.0f} ms"
                + (f", failed {dict(self.failed)}" if self.failed else ""))


class Load:
    def __init__(self, lab, seconds=3600, seed=1, deadline_ms=2000, inflight_max=8192):
        self.lab = lab
        self.lines = []  # one parsed JSON line a second
        self.final = None
        argv = [lab.build / "lab-load", "--seconds", seconds, "--seed", seed, "--deadline-ms", deadline_ms,
                "--inflight-max", inflight_max, "--port", topo.SERVICE_PORT]
        for c in topo.STUBS:
            argv += ["--client", f"{c}={RUN}/{lab.ground.ns(c)},{topo.client_addr(c)},{topo.client_addr(c, True)}"]
        self.log = lab.ground.dir / "load.log"
        self.child = lab.ground.spawn("ctl", argv, log=self.log, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._cond = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for raw in self.child.stdout:
            line = json.loads(raw)
            with self._cond:
                if line["final"]:
                    self.final = line
                else:
                    self.lines.append(line)
                self._cond.notify_all()
        with self._cond:
            self._cond.notify_all()

    # -- rates: shard names or VIPs, requests per second ----------------------------------------------------

    def set_rate(self, client, vip, per_second):
        self._tell(f"rate {client} {topo.VIPS.get(vip, vip)} {per_second:.6f}")

    def spread(self, per_second, clients=None, shards=None):
        """The same rate from every client to every shard, per_second in all."""
        pairs = [(c, s) for c in clients or topo.STUBS for s in shards or topo.SHARDS]
        for c, s in pairs:
            self.set_rate(c, s, per_second / len(pairs))

    def _tell(self, text):
        try:
            self.child.stdin.write(text.encode() + b"\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            raise LabError(f"lab-load has ended: {self.log.read_text()}") from None

    # -- results --------------------------------------------------------------------------------------------

    def mark(self):
        """Position for since(): the number of seconds reported so far."""
        with self._cond:
            return len(self.lines)

    def since(self, mark=0, upto=None, clients=None, shards=None):
        """Window over the seconds reported from mark up to `upto` (a later mark; None: now)."""
        vips = {topo.VIPS.get(s, s) for s in shards} if shards else None
        with self._cond:
            lines = self.lines[mark:upto]
        out = Window(seconds=len(lines))
        for line in lines:
            for flow in line["flows"]:
                if (not clients or flow["client"] in clients) and (not vips or flow["vip"] in vips):
                    out.add(flow)
        return out

    def window(self, seconds, **which):
        """Waits for the next whole seconds and sums them."""
        start = self.mark()
        self.wait_lines(start + seconds)
        return self.since(start, start + seconds, **which)

    def wait_lines(self, count):
        deadline = time.monotonic() + count - self.mark() + 10
        with self._cond:
            while len(self.lines) < count:
                if self.child.poll() is not None or not self._cond.wait(max(0, deadline - time.monotonic())):
                    raise LabError(f"lab-load gave no line: {self.log.read_text()}")

    def series(self, clients=None, shards=None):
        """[(wall seconds, Window of that second)]: a time line for plots and for finding outages."""
        with self._cond:
            count = len(self.lines)
        return [(self.lines[i]["wall_s"], self.since(i, i + 1, clients, shards)) for i in range(count)]

    def cpu_pct(self):
        """Share of one core used by the generator so far."""
        with self._cond:
            return 100 * self.lines[-1]["cpu_s"] / self.lines[-1]["run_s"] if self.lines else 0.0

    def close(self):
        """Stops arrivals, waits for what is in flight, returns the totals line."""
        if self.child in self.lab.ground.children:
            try:
                self._tell("quit")
                wait_until(lambda: self.child.poll() is not None, 10, "lab-load to end")
            except LabError:
                pass
            self.lab.ground.kill(self.child)
            self._thread.join(5)
        return self.final

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
