# SPDX-License-Identifier: Apache-2.0
"""The engine through ctypes: the structures of controller/steer/steer.h, and a small world to fill them."""
import ctypes as c
import os
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SLUICE_BUILD", "build")
NAME, TEXT, GRADES, MOVES, RES = 64, 256, 24, 16, 4
NORMAL, COMMUNITY, PREPEND, DRAIN, WITHDRAWN = range(5)
OBSERVE, STEER, FREEZE = range(3)
ENGINE, ROLLBACK, OPERATOR, DRILL = range(4)


class Grade(c.Structure):
    _fields_ = [("name", c.c_char * NAME), ("kind", c.c_int), ("prepends", c.c_uint), ("strength", c.c_uint)]


class GradeSet(c.Structure):
    _fields_ = [("g", Grade * GRADES), ("n", c.c_size_t)]


class Policy(c.Structure):
    _fields_ = [(n, c.c_double) for n in ("trigger_util", "urgent_util", "release_util", "receiver_max_util")] + \
               [(n, c.c_int64) for n in ("settle_min_ms", "settle_max_ms", "restore_hold_ms", "no_return_ms",
                                         "stale_ms")] + \
               [("round_moves_max", c.c_uint)] + \
               [(n, c.c_double) for n in ("round_share_max", "urgent_share_max", "excess_share_max",
                                          "weaken_share_max", "announced_share_min")] + \
               [("changes_max", c.c_uint), ("changes_window_ms", c.c_int64), ("ledger_max", c.c_double),
                ("drill_ledger_max", c.c_double), ("seed", c.c_uint64)]


class Site(c.Structure):
    _fields_ = [("name", c.c_char * NAME), ("healthy", c.c_bool), ("draining", c.c_bool), ("age_ms", c.c_int64),
                ("cap", c.c_double * RES), ("cap_all", c.c_double * RES), ("max_node_util", c.c_double),
                ("dropping", c.c_bool), ("made_up", c.c_bool)]


class Shard(c.Structure):
    _fields_ = [("name", c.c_char * NAME), ("service", c.c_char * NAME), ("min_sites", c.c_uint),
                ("family", c.c_uint8)]


class Cell(c.Structure):
    _fields_ = [("lo", c.c_double * RES), ("hi", c.c_double * RES), ("grade", c.c_uint8), ("wanted", c.c_uint8),
                ("base", c.c_uint8), ("pinned", c.c_bool), ("announced", c.c_bool), ("drill_dead", c.c_bool)]


class Snapshot(c.Structure):
    _fields_ = [("now_ms", c.c_int64), ("mode", c.c_int), ("grades", c.POINTER(GradeSet)), ("sites", c.POINTER(Site)),
                ("shards", c.POINTER(Shard)), ("cells", c.POINTER(Cell)), ("n_sites", c.c_size_t),
                ("n_shards", c.c_size_t)]


class Move(c.Structure):
    _fields_ = [("site", c.c_size_t), ("shard", c.c_size_t), ("frm", c.c_uint8), ("to", c.c_uint8), ("kind", c.c_int),
                ("moved_lo", c.c_double), ("moved", c.c_double), ("moved_hi", c.c_double), ("why", c.c_char * TEXT)]


class Forecast(c.Structure):
    _fields_ = [(n, c.c_double) for n in ("before", "after_lo", "after", "after_hi")]


class Plan(c.Structure):
    _fields_ = [("state", c.c_int), ("why", c.c_char * TEXT), ("moves", Move * MOVES), ("n_moves", c.c_size_t),
                ("refused", Move * MOVES), ("n_refused", c.c_size_t), ("sites", c.POINTER(Forecast)),
                ("gap_pct", c.c_double), ("coverage_pct", c.c_double)]


class Verdict(c.Structure):
    _fields_ = [("id", c.c_int), ("why", c.c_char * TEXT)]


def load():
    path = os.path.join(TOP, BUILD, "libsteer.so")
    subprocess.run(["make", "--no-print-directory", "-s", f"BUILD={BUILD}", f"{BUILD}/libsteer.so"], cwd=TOP,
                   check=True)
    lib = c.CDLL(path)
    lib.engine_new.restype = lib.guard_new.restype = c.c_void_p
    for name in ("engine_free", "guard_free"):
        getattr(lib, name).argtypes = [c.c_void_p]
    lib.engine_step.argtypes = [c.c_void_p, c.POINTER(Snapshot), c.POINTER(Plan)]
    lib.engine_whatif.argtypes = [c.c_void_p, c.POINTER(Snapshot), c.POINTER(Move), c.c_size_t, c.POINTER(Plan)]
    lib.guard_observe.argtypes = [c.c_void_p, c.POINTER(Policy), c.POINTER(Snapshot)]
    lib.guard_check.argtypes = [c.c_void_p, c.POINTER(Policy), c.POINTER(Snapshot), c.POINTER(Move), c.c_size_t,
                                c.c_int, c.POINTER(Verdict)]
    return lib


def grades():
    gs = GradeSet(n=6)
    rows = [("normal", NORMAL, 0, 0), ("prepend1", PREPEND, 1, 40), ("prepend2", PREPEND, 2, 50),
            ("prepend3", PREPEND, 3, 60), ("drain", DRAIN, 0, 90), ("withdrawn", WITHDRAWN, 0, 100)]
    for i, (name, kind, prepends, strength) in enumerate(rows):
        gs.g[i] = Grade(name.encode(), kind, prepends, strength)
    return gs


class World:
    """sites: [(name, cap, healthy, age_ms)]; shards: [name]; load[site][shard]; grade[site][shard]."""

    def __init__(self, sites, shards, load, grade=None, mode=STEER):
        self.names, self.shard_names = [s[0] for s in sites], list(shards)
        self.gs = grades()
        self.sites = (Site * len(sites))()
        self.shards = (Shard * len(shards))()
        self.cells = (Cell * (len(sites) * len(shards)))()
        for i, (name, cap, healthy, age) in enumerate(sites):
            s = self.sites[i]
            s.name, s.healthy, s.age_ms = name.encode(), healthy, age
            s.cap[0], s.cap_all[0] = cap if healthy else 0, cap
        for k, name in enumerate(shards):
            self.shards[k] = Shard(name.encode(), b"web", 2, 4)
        for i in range(len(sites)):
            for k in range(len(shards)):
                cell = self.cells[i * len(shards) + k]
                cell.lo[0] = cell.hi[0] = load[i][k] if sites[i][2] else 0
                cell.grade = cell.wanted = grade[i][k] if grade else 0
                cell.announced = sites[i][2] and cell.grade != 5
        self.s = Snapshot(1000000, mode, c.pointer(self.gs), self.sites, self.shards, self.cells, len(sites),
                          len(shards))

    def load(self, i):
        n = len(self.shard_names)
        return sum(self.cells[i * n + k].lo[0] for k in range(n))


class Run:
    """Some rounds of a fresh engine; .plan is the last one's, or the first that moves something."""

    def __init__(self, lib, world, rounds=6, policy=None):
        self.lib, self.world = lib, world
        self.policy = policy or Policy()
        if policy is None:
            lib.policy_default(c.byref(self.policy))
        self.engine = lib.engine_new(c.byref(self.policy))
        self.plan = Plan()
        for t in range(rounds):
            lib.engine_step(self.engine, c.byref(world.s), c.byref(self.plan))
            if self.plan.n_moves or t + 1 == rounds:
                break
            lib.plan_done(c.byref(self.plan))
            world.s.now_ms += 1000

    def moves(self):
        """By name, so that runs with another order compare."""
        return [(self.world.names[m.site], self.world.shard_names[m.shard], m.frm, m.to, m.kind, m.moved, m.why)
                for m in self.plan.moves[:self.plan.n_moves]]

    def goodput(self, when):
        """What the forecast says is served: load is utilisation x capacity, a site serves up to its capacity."""
        sum_ = 0
        for i in range(self.world.s.n_sites):
            cap, u = self.world.sites[i].cap[0], getattr(self.plan.sites[i], when)
            sum_ += min(u, 1) * cap if cap > 0 else 0
        return sum_

    def close(self):
        self.lib.plan_done(c.byref(self.plan))
        self.lib.engine_free(self.engine)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
