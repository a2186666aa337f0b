# SPDX-License-Identifier: Apache-2.0
"""Memory and CPU of announcing 20 services, each checked once a second over HTTP: sluice-agent, which also reports to
a controller once a second, and ExaBGP with one healthcheck process per service, as it is made to be used. A process
counts with all its descendants; shared pages are counted in each (RSS)."""
import os
import sys
import time

from tests.bench import place as pl
from tests.lab.procs import wait_until

SERVICES = 20
SECONDS = int(os.environ.get("BENCH_SECONDS", "60"))
TOOLS = ("sluice", "exabgp")


def prefix(tool, i):
    return f"198.{18 + TOOLS.index(tool)}.{100 + i}.0/24"


def vip(tool, i):
    return prefix(tool, i).replace(".0/24", ".1")


def nginx(lab, place):
    d = lab.dir(place)
    listens = "".join(f"  listen {vip(place, i)}:{pl.PORT};\n" for i in range(SERVICES))
    (d / "nginx.conf").write_text(f"daemon off; master_process off; pid {d}/nginx.pid; error_log {d}/error.log;\n"
                                  "events { worker_connections 512; }\nhttp { access_log off;\n server {\n" + listens +
                                  "  location / { return 200 'ok'; }\n } }\n")
    lab.ground.batch(place, [f"addr add {vip(place, i)}/32 dev lo" for i in range(SERVICES)])
    lab.ground.spawn(place, ["nginx", "-e", d / "error.log", "-p", d, "-c", d / "nginx.conf"])
    wait_until((d / "nginx.pid").exists, 10, "nginx")


def controller(lab):
    d, ctl = lab.dir("ctl"), lab.binary("sluicectl")

    def run(*argv):
        return lab.ground.run("sluice", [str(ctl), *map(str, argv)]).stdout
    pki = d / "pki"
    run("pki", "init", pki, "--cluster", "bench")
    run("pki", "issue", "controller", "--dir", pki, "--role", "controller", "--ip", "127.0.0.1")
    run("pki", "issue", "bench", "--dir", pki, "--role", "node", "--ip", "127.0.0.1")
    (pki / "tokens").write_text(run("token", "new", "--name", "lab", "--role", "admin", "--out", pki / "lab.token"))
    (d / "state").mkdir(mode=0o700)
    (d / "controller.yaml").write_text(f"""state_dir: {d}/state
agents: {{listen: "127.0.0.1:7400"}}
api: {{listen: "127.0.0.1:7443", tokens: {pki}/tokens}}
tls: {{ca: {pki}/ca.pem, cert: {pki}/controller.pem, key: {pki}/controller.key}}
""")
    services = "".join(f"""  - name: s{i}
    min_sites: 1
    shards:
      - {{name: s{i}, prefixes: [{prefix('sluice', i)}]}}
""" for i in range(SERVICES))
    (d / "cluster.yaml").write_text(f"""name: bench
sites:
  - name: here
    nodes:
      - {{name: bench, capacity: {{bps: 1000000000}}}}
services:
{services}""")
    lab.ground.spawn("sluice", [lab.binary("sluice-controller"), "-c", d / "controller.yaml"], log=d / "controller.log")
    access = ["--url", "https://127.0.0.1:7443", "--ca", pki / "ca.pem", "--token-file", pki / "lab.token"]

    def applied():
        return lab.ground.run("sluice", list(map(str, [ctl, *access, "apply", "-f", d / "cluster.yaml"])), False)
    wait_until(lambda: applied().returncode == 0, 15, lambda: f"apply: {applied().stderr}", 0.3)
    run(*access, "mode", "steer", "--reason", "bench")
    return pki


def agent_conf(lab, pki):
    names = [f"s{i}" for i in range(SERVICES)]
    return {"node": "bench", "state_dir": str(lab.dir("sluice") / "agent"),
            "controller": {"endpoints": ["127.0.0.1:7400"], "ca": str(pki / "ca.pem"), "cert": str(pki / "bench.pem"),
                           "key": str(pki / "bench.key")},
            "frr": {"vty": str(lab.vty("sluice"))},
            "allow": {"prefixes": [prefix("sluice", i) for i in range(SERVICES)]},
            "sample": {"interfaces": ["up0"]},
            "services": [{"name": n, "prefixes": [prefix("sluice", i)],
                          "checks": [{"name": "answers", "kind": "http", "target": f"{vip('sluice', i)}:{pl.PORT}"}]}
                         for i, n in enumerate(names)]}


def exa_args(i):
    return " ".join([f'--cmd "curl -sf -m 1 http://{vip("exabgp", i)}:{pl.PORT}/"', "--interval 1", "--no-ip-setup",
                     f"--no-syslog --ip {prefix('exabgp', i)} --withdraw-on-down"])


def main():
    with pl.Lab(list(TOOLS)) as lab:
        for tool in TOOLS:
            nginx(lab, tool)
        lab.node("sluice")
        pki = controller(lab)
        pids = {"sluice": lab.agent("sluice", agent_conf(lab, pki)).pid,
                "exabgp": lab.exabgp("exabgp", [exa_args(i) for i in range(SERVICES)]).pid}
        lab.fib.wait(lambda has: all(prefix(t, i) in has for t in TOOLS for i in range(SERVICES)), 90)
        time.sleep(5)
        before = {t: pl.usage(p)[1] for t, p in pids.items()}
        began = time.monotonic()
        print(f"{SERVICES} services announced by each; measuring for {SECONDS} s", flush=True)
        time.sleep(SECONDS)
        took = time.monotonic() - began
        result = {}
        for tool, pid in pids.items():
            rss, cpu = pl.usage(pid)
            result[tool] = {"rss_bytes": rss, "cpu_pct": round(100 * (cpu - before[tool]) / took, 2)}
            print(f"{tool:8} {rss / 1e6:6.1f} MB  {result[tool]['cpu_pct']:.2f} % of a core")
    pl.save("footprint", result)
    return pl.verdict([("RSS, bytes", result["sluice"]["rss_bytes"], "<=", 12 * 1000 * 1000),
                       ("CPU, % of a core", result["sluice"]["cpu_pct"], "<=", 0.5)])


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
