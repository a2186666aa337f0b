# SPDX-License-Identifier: Apache-2.0
"""The API under load: a controller on one core (the load is on the others) with 1,000 agents that report every second.
Reads at 2,000 a second by the clock, 1,000 event streams, and the steering round meanwhile. What wrk reaches flat out is
told, too; wrk has no rate of its own, so the p99 at 2,000/s comes from tests/bench/api_load.c.
Writes build/bench/api.json."""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

from tests.lab.test_ctl import BUILD, ROOT, World, wait_for

NODES, SITES, SHARDS = int(os.environ.get("NODES", "1000")), 100, 8
RATE, SECONDS, STREAMS, EVENTS = 2000, int(os.environ.get("BENCH_SECONDS", "20")), 1000, 30
TARGETS = {"read_p99_ms": 20, "sse_p99_ms": 200, "round_delay_max_ms": 50}
CORES = sorted(os.sched_getaffinity(0))
MIX = (["/v1/status"] * 8 + ["/v1/sites?limit=100"] * 2 + ["/v1/shards/s0"] * 2 + ["/v1/nodes?limit=100"] * 4 +
       [f"/v1/nodes/n{i * 61 % NODES}" for i in range(4)])


def document():
    per = NODES // SITES
    return {"name": "bench",
            "sites": [{"name": f"site{s}", "nodes": [{"name": f"n{s * per + i}", "capacity": {"bps": 10_000_000_000}}
                                                     for i in range(per)]} for s in range(SITES)],
            "services": [{"name": "web", "shards": [{"name": f"s{k}", "prefixes": [f"198.18.{k}.0/24"]}
                                                    for k in range(SHARDS)]}]}


def pinned(argv, core, **kw):
    return subprocess.Popen(["taskset", "-c", str(core), *map(str, argv)], **kw)


class Bench(World):
    def start(self):
        path = self.home / "controller.yaml"
        config = json.loads(path.read_text())
        config["api"] |= {"reads_per_s": 1_000_000, "writes_per_s": 1000}
        path.write_text(json.dumps(config))
        with open(self.home / "controller.log", "ab") as log:
            self.controller = pinned([BUILD / "sluice-controller", "-c", path], CORES[0], stderr=log)
        wait_for(self.answers, "the API")

    def fleet(self):
        argv = [BUILD / "api-fleet", self.home / "pki", f"127.0.0.1:{self.ports[0]}", NODES,
                *(f"198.18.{k}.0/24" for k in range(SHARDS))]
        fleet = pinned(argv, CORES[-1], stdout=subprocess.PIPE, text=True)
        assert fleet.stdout.readline() == "up\n", "the fleet does not come up"
        return fleet

    def load(self, *argv):
        done = subprocess.run(["taskset", "-c", str(CORES[-1]), BUILD / "api-load", argv[0], f"127.0.0.1:{self.ports[1]}",
                               self.env["SLUICE_CA"], self.env["SLUICE_TOKEN_FILE"], *map(str, argv[1:])],
                              capture_output=True, text=True, timeout=300, check=False)
        print(done.stdout.strip(), done.stderr.strip(), file=sys.stderr)
        return json.loads(done.stdout)

    def metric(self, name):
        page = subprocess.run(["curl", "-sS", "--cacert", self.env["SLUICE_CA"], self.url + "/metrics"],
                              capture_output=True, text=True, timeout=20, check=True).stdout
        found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.M)
        return float(found.group(1)) if found else 0.0

    def wrk(self, seconds):
        token = pathlib.Path(self.env["SLUICE_TOKEN_FILE"]).read_text().strip()
        text = subprocess.run(["taskset", "-c", str(CORES[-1]), "wrk", "-t1", "-c32", f"-d{seconds}", "-s",
                               self._script(token), self.url + "/v1/status"],
                              capture_output=True, text=True, timeout=seconds + 30, check=True).stdout
        print(text, file=sys.stderr)
        return float(re.search(r"Requests/sec:\s+(\S+)", text).group(1))

    def _script(self, token):
        """The token in a file, not on a command line."""
        path = self.home / "wrk.lua"
        path.touch(mode=0o600)
        path.write_text(f'wrk.headers["Authorization"] = "Bearer {token}"\n')
        return path


class Rounds(threading.Thread):
    """The worst lateness of a round, asked twice a second."""

    def __init__(self, bench):
        super().__init__(daemon=True)
        self.bench, self.worst_ms, self.ending = bench, 0.0, False

    def run(self):
        while not self.ending:
            self.worst_ms = max(self.worst_ms, 1000 * self.bench.metric("sluice_round_late_seconds"))
            time.sleep(0.4)

    def end(self):
        self.ending = True
        self.join()
        return self.worst_ms


def measure(bench):
    rounds = Rounds(bench)
    rounds.start()
    out = {}
    sse = threading.Thread(target=lambda: out.update(sse=bench.load("sse", STREAMS, EVENTS)))
    sse.start()
    time.sleep(3)  # the streams are up
    out["read"] = bench.load("read", RATE, SECONDS, 32, *MIX)
    sse.join()
    out["round_late_ms"] = rounds.end()
    out["full_list"] = bench.load("read", 5, 4, 4, "/v1/nodes")
    out["wrk_rps"] = bench.wrk(5)
    return out


def main():
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as home:
        bench = Bench(pathlib.Path(home))
        bench.prepare()
        bench.start()
        fleet = None
        try:
            path = bench.home / "cluster.json"
            path.write_text(json.dumps(document()))
            bench.ctl("apply", "-f", path)
            fleet = bench.fleet()
            wait_for(lambda: bench.metric("sluice_agent_sessions") == NODES, "every agent", 60)
            bench.ctl("mode", "steer", "--reason", "everything is taken over first")
            cells = SITES * SHARDS
            wait_for(lambda: bench.metric('sluice_events_total{kind="decision"}') >= cells, "every cell to be taken over", 120)
            bench.ctl("mode", "observe", "--reason", "ready")
            m = measure(bench)
        finally:
            if fleet:
                fleet.send_signal(signal.SIGTERM)
                fleet.wait(10)
            bench.stop()
    result = {"read_p99_ms": m["read"]["p99_ms"], "read_rps": m["read"]["rps"], "sse_p99_ms": m["sse"]["p99_ms"],
              "round_delay_max_ms": m["round_late_ms"], "read_p50_ms": m["read"]["p50_ms"], "read_max_ms": m["read"]["max_ms"],
              "read_errors": m["read"]["errors"], "sse_p50_ms": m["sse"]["p50_ms"], "sse_max_ms": m["sse"]["max_ms"],
              "sse_errors": m["sse"]["errors"], "sse_streams": STREAMS, "nodes": NODES,
              "full_list_p99_ms": m["full_list"]["p99_ms"], "wrk_status_rps": m["wrk_rps"], "targets": TARGETS}
    out = ROOT / "build" / "bench" / "api.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    for key, target in TARGETS.items():
        print(f"{key}: {result[key]:.1f} (target {target}){'' if result[key] <= target else '  MISSED'}")


if __name__ == "__main__":
    main()
