# SPDX-License-Identifier: Apache-2.0
"""Changing routes: agent/apply over the kept-open vty socket against executing vtysh, and a thousand prefixes to the
neighbour router's kernel.

A change is one prefix getting other attributes. Sluice's rate counts until the change is read back from the RIB-out;
vtysh's until vtysh has ended, which reads nothing back."""
import json
import subprocess
import sys
import time

from tests.bench import place as pl

COUNT, VTYSH = 1000, 60
MANY = [f"10.{100 + i // 250}.{i % 250}.0/24" for i in range(COUNT)]


class Driver:
    """tests/lab/apply_driver.c: agent/apply on a line protocol."""

    def __init__(self, lab):
        self.proc = lab.ground.spawn("node", [lab.binary("apply-driver"), lab.vty("node"), *MANY],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.wait(lambda e: e["event"] == "bgpd" and e["up"])

    def wait(self, check):
        for line in self.proc.stdout:
            event = json.loads(line)
            if check(event):
                return event
        raise EOFError("the driver ended")

    def commit(self, words):
        """All prefixes with these words; returns when the driver took them, and its clock in ms."""
        self.proc.stdin.write("".join(f"want {p} {words}\n" for p in MANY) + "commit\n")
        self.proc.stdin.flush()
        return self.wait(lambda e: e["event"] == "commit")["ms"]

    def applied(self, on=True):
        return self.wait(lambda e: e["event"] == "applied" and sum(
            r["announced"] == on and not r["error"] for r in e["routes"]) == COUNT)["ms"]


def sluice(lab):
    fib_ms, rates = [], []
    driver = Driver(lab)
    for i in range(3):
        began = driver.commit("")
        there = lab.fib.wait(lambda has: len(has) >= COUNT, 30)
        fib_ms.append(there * 1000 - began)
        driver.applied()
        for words in ("prepend=1 community=64500:80", "prepend=2"):
            began = driver.commit(words)
            rates.append(COUNT * 1000 / (driver.applied() - began))
        print(f"run {i + 1}: a thousand to the FIB in {fib_ms[-1]:.0f} ms, {rates[-1]:.0f} changes/s", flush=True)
        driver.commit("withdrawn")
        driver.applied(False)
        lab.fib.wait(lambda has: not has, 30)
    driver.commit("")
    driver.applied()
    return fib_ms, rates


def vtysh(lab):
    """One execution per change, as health checkers that call it do; the route-maps are there already."""
    def run(*lines):
        argv = ["vtysh", "--vty_socket", str(lab.ground.dir / "node"), "-d", "bgpd"]
        lab.ground.run("node", argv + [w for line in lines for w in ("-c", line)])
    run("configure terminal", "route-map VT-A permit 10", "set as-path prepend 64501", "exit", "route-map VT-B permit 10",
        "set as-path prepend 64501 64501")
    began = time.monotonic()
    for i in range(VTYSH):
        run("configure terminal", f"router bgp {lab.asn('node')}", "address-family ipv4 unicast",
            f"network 203.0.113.0/24 route-map VT-{'AB'[i % 2]}")
    return VTYSH / (time.monotonic() - began)


def main():
    with pl.Lab(["node"]) as lab:
        lab.node("node")
        lab.established("node")
        fib_ms, rates = sluice(lab)
        slow = vtysh(lab)
    mine = pl.quantile(rates, 0.5)
    result = {"sluice_changes_per_s": mine, "vtysh_changes_per_s": round(slow, 1), "ratio": round(mine / slow, 1),
              "thousand_prefixes_to_fib_ms": round(max(fib_ms), 1)}
    pl.save("vty", result)
    return pl.verdict([("ratio", result["ratio"], ">=", 50),
                       ("a thousand prefixes to the FIB, ms", result["thousand_prefixes_to_fib_ms"], "<=", 500)])


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
