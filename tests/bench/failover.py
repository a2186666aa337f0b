# SPDX-License-Identifier: Apache-2.0
"""From a dying service to the neighbour router's kernel, side by side: sluice-agent and Debian's ExaBGP with its
healthcheck, at defaults and tuned.

killed: SIGKILL. hung: SIGSTOP, so that the kernel still accepts and nobody answers. Sluice's check settings are its
defaults; its hold-down, which only delays the way back, is short so that 30 runs fit in minutes."""
import os
import random
import signal
import sys
import time

from tests.bench import place as pl

SECONDS = {"exabgp_default": 40, "exabgp_tuned": 20, "sluice": 20}
RUNS = {"sluice": (30, 10), "exabgp_default": (6, 4), "exabgp_tuned": (10, 5)}


def agent_conf(lab):
    target = f"{lab.vip('sluice')}:{pl.PORT}"
    return {"node": "bench", "state_dir": str(lab.dir("sluice") / "agent"), "log": "debug",
            "frr": {"vty": str(lab.vty("sluice"))}, "allow": {"prefixes": [lab.prefix("sluice")]},
            "services": [{"name": "web", "prefixes": [lab.prefix("sluice")], "hold_down_ms": 200,
                          "checks": [{"name": "listens", "kind": "listen", "target": target},
                                     {"name": "answers", "kind": "http", "target": target}]}]}


def exa_args(lab, tool, *more):
    # curl's limit is the healthcheck's own: its default of 5 s, or the tuned second
    limit = 1 if "tuned" in tool else 5
    return " ".join([f'--cmd "curl -sf -m {limit} http://{lab.vip(tool)}:{pl.PORT}/"', "--no-ip-setup", "--no-syslog",
                     f"--ip {lab.prefix(tool)}", "--withdraw-on-down", *more])


def start(lab):
    for tool in RUNS:
        lab.serve(tool)
    lab.node("sluice")
    lab.agent("sluice", agent_conf(lab))
    lab.exabgp("exabgp_default", [exa_args(lab, "exabgp_default")])
    lab.exabgp("exabgp_tuned", [exa_args(lab, "exabgp_tuned", "--interval 1", "--fast-interval 0.2", "--rise 2",
                                         "--fall 2", "--timeout 1")])
    for tool in RUNS:
        lab.established(tool)
        lab.fib.wait(lambda has, t=tool: lab.prefix(t) in has, 60)


def settle(lab, tool):
    """Announced again, and at a random place of every interval."""
    lab.fib.wait(lambda has: lab.prefix(tool) in has, 120)
    time.sleep(1 + random.random())


def one(lab, tool, hang):
    prefix, child = lab.prefix(tool), lab.services[tool]
    settle(lab, tool)
    died = time.monotonic()
    os.kill(child.pid, signal.SIGSTOP if hang else signal.SIGKILL)
    if tool == "sluice" and not hang:
        lab.died_s.append(died)
    gone = lab.fib.wait(lambda has: prefix not in has, SECONDS[tool] + 5)
    if hang:
        os.kill(child.pid, signal.SIGCONT)
    else:
        lab.ground.kill(child)
        lab.serve(tool)
    return (gone - died) * 1000


def measure(lab, tool, runs):
    out = {}
    for hang, count in ((False, runs[0]), (True, runs[1])):
        values = []
        for i in range(count):
            pl.progress(f"{tool} {'hung' if hang else 'killed'} {i + 1}/{count}")
            values.append(one(lab, tool, hang))
        out["hung_ms" if hang else "killed_ms"] = pl.summary(values)
        print(f"{tool:15} {'hung' if hang else 'killed':6} {out['hung_ms' if hang else 'killed_ms']}", flush=True)
    return out


def main():
    seed = int(os.environ.get("SEED", time.time_ns() & 0xffffffff))
    random.seed(seed)
    print(f"seed {seed}")
    result = {}
    with pl.Lab(list(RUNS)) as lab:
        lab.died_s = []  # when sluice's service was killed
        start(lab)
        for tool, runs in RUNS.items():
            result[tool] = measure(lab, tool, runs)
        shares = pl.share_ms((lab.ground.dir / "sluice" / "agent.log").read_text(), lab.died_s)
    print(f"agent's own share: p50 {pl.quantile(shares, 0.5)} ms, n {len(shares)}")
    result["sluice"]["agent_share_ms"] = {"p99": pl.quantile(shares, 0.99)}
    pl.save("failover", result)
    mine = result["sluice"]
    return pl.verdict([
        ("killed p50 ms", mine["killed_ms"]["p50"], "<=", 130),
        ("killed max ms", mine["killed_ms"]["max"], "<=", 250),
        ("killed n", mine["killed_ms"]["n"], ">=", 30),
        ("hung max ms", mine["hung_ms"]["max"], "<=", 3000),
        ("agent share p99 ms", mine["agent_share_ms"]["p99"], "<=", 5),
    ])


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
