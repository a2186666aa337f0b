# SPDX-License-Identifier: Apache-2.0
"""The independent witness for routes: gobgpd (AS 65300) hears every transit and fra-r; each UPDATE is stamped on
arrival and kept, in memory and in LABDIR/routes.jsonl. Sluice has no part in it.

A change is real when it differs from what the same neighbour last said of the same prefix; a repeated announcement
or a withdrawal of nothing is kept, too, but marked `real: false`. A lost neighbour says nothing: that is no change.
"""
import json
import subprocess
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass

from . import topology as topo
from .procs import LabError, wait_until

NEIGHBOURS = {addr: link.other("rc") for link in topo.links_of("rc")
              for addr in (link.addr4(link.other("rc")), link.addr6(link.other("rc")))}
AS_PATH, COMMUNITIES = 2, 8  # attribute types, RFC 4271 and 1997


@dataclass(frozen=True)
class Change:
    wall_s: float
    mono_s: float
    neighbour: str
    prefix: str
    withdrawn: bool
    as_path: tuple
    communities: tuple  # as "65535:0"
    real: bool


def _as_path(attrs):
    return tuple(asn for a in attrs if a["type"] == AS_PATH for seg in a["as_paths"] for asn in seg["asns"])


def _communities(attrs):
    return tuple(f"{c >> 16}:{c & 0xffff}" for a in attrs if a["type"] == COMMUNITIES for c in a["communities"])


class Collector:
    def __init__(self, ground):
        self.g = ground
        self.path = ground.dir / "routes.jsonl"
        self.log = ground.dir / "rc" / "monitor.log"
        self.changes = []
        self._last = {}  # (neighbour, prefix) -> attributes, or None
        self._cond = threading.Condition()
        self._failed = ""
        self.child = ground.spawn("rc", ["gobgp", "monitor", "adj-in", "-j", "--current"], log=self.log,
                                  stdout=subprocess.PIPE)
        threading.Thread(target=self._read, daemon=True).start()
        # the current table comes first, so something heard means that the subscription stands
        wait_until(self._heard_all, 15, "the collector to hear every neighbour")

    def _heard_all(self):
        self._check()
        return {n for n, _ in self._last} >= {"t1", "t2", "t3"}

    def _read(self):
        try:
            with open(self.path, "w", encoding="utf-8", buffering=1) as out:
                for raw in self.child.stdout:
                    wall_s, mono_s = time.time(), time.monotonic()
                    paths = json.loads(raw)
                    if isinstance(paths, dict):  # {"error": ...}
                        raise LabError(paths)
                    for path in paths:
                        self._take(path, wall_s, mono_s, out)
            self._failed = "gobgp monitor has ended"
        except Exception as e:  # whatever it was, questions must not be answered with silence
            self._failed = repr(e)

    def _take(self, path, wall_s, mono_s, out):
        neighbour, prefix = NEIGHBOURS[path["neighbor-ip"]], path["nlri"]["prefix"]
        withdrawn, attrs = bool(path.get("withdrawal")), path["attrs"]
        said = None if withdrawn else attrs
        real = self._last.get((neighbour, prefix)) != said
        change = Change(wall_s, mono_s, neighbour, prefix, withdrawn, _as_path(attrs), _communities(attrs), real)
        out.write(json.dumps(asdict(change)) + "\n")
        with self._cond:
            self._last[neighbour, prefix] = said
            self.changes.append(change)
            self._cond.notify_all()

    def _check(self):
        if self._failed and not self.g.closed:
            raise LabError(f"the collector is deaf: {self._failed}: {self.log.read_text()[-500:]}")

    # -- questions ------------------------------------------------------------------------------------------

    def mark(self):
        """Position for changes_since()."""
        self._check()
        with self._cond:
            return len(self.changes)

    def changes_since(self, mark, prefixes=None, neighbours=None, real=True):
        """[Change] heard since a mark: of shards or prefixes, from neighbours; real ones only unless real=False."""
        self._check()
        wanted = {topo.SHARDS.get(p, p) for p in prefixes} if prefixes else None
        with self._cond:
            return [c for c in self.changes[mark:] if (not wanted or c.prefix in wanted)
                    and (not neighbours or c.neighbour in neighbours) and (c.real or not real)]

    def count_since(self, mark, prefixes=None, neighbours=None):
        """Counter {(neighbour, prefix): real changes}."""
        return Counter((c.neighbour, c.prefix) for c in self.changes_since(mark, prefixes, neighbours))

    def wait_quiet(self, quiet_s=1.0, timeout_s=30):
        """Waits until nothing was heard for quiet_s; then everything that was under way has been counted."""
        began = time.monotonic()

        def quiet():
            self._check()
            with self._cond:
                last = self.changes[-1].mono_s if self.changes else began
            return time.monotonic() - max(last, began) >= quiet_s
        wait_until(quiet, timeout_s, "routes to fall quiet")

    def table(self, prefixes=None):
        """{(neighbour, prefix): as_path} as last heard."""
        wanted = {topo.SHARDS.get(p, p) for p in prefixes} if prefixes else set(topo.SHARDS.values())
        with self._cond:
            return {k: _as_path(a) for k, a in self._last.items() if k[1] in wanted and a is not None}
