# SPDX-License-Identifier: Apache-2.0
"""Every kind of drill in its full form, RUNS times (default 5), under steady load: what it cost the clients, how soon
it was seen, how soon it was undone, how good the prediction was. Then an abort from every stage, and the controller
killed (kill -9) in every stage, STAGE_RUNS times (default 3). HOLD: seconds a soft drain holds (default 60).
KINDS: of these alone, and nothing else.

client_loss_s: seconds of the drilled site's own traffic that its clients did not get, all failures counted.
The worst of the samples is what is shown, and no sample is left out."""
import json
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.bench import place as pl
from tests.lab import drills
from tests.lab import topology as topo
from tests.lab.lab import Lab
from tests.lab.procs import LabError, wait_until

RUNS = int(os.environ.get("RUNS", "5"))
STAGE_RUNS = int(os.environ.get("STAGE_RUNS", "3"))
HOLD = int(os.environ.get("HOLD", "60"))
SHARDS = list(topo.SHARDS)
KINDS = {
    "soft-drain": (("--site", "nyc"), "nyc", f"{HOLD}s"),
    "hard-withdraw": (("--site", "nyc"), "nyc", "20s"),
    "service-kill": (("--node", "fra3", "--service", "web"), "fra", "5s"),
    "node-loss": (("--node", "fra2"), "fra", "5s"),
    "site-loss": (("--site", "ams"), "ams", "20s"),
    "controller-loss": ((), None, "5s"),
    "stale-telemetry": ((), None, "5s"),
    "surge": (("--node", "fra3", "--factor", "5"), "fra", "20s"),
    "tabletop": (("--site", "nyc"), "nyc", "1s"),
}
STAGES = {"preflight": 0, "canary": 1, "25": 2, "50": 3, "100": 6, "hold": 6, "restore": 0}  # withdrawn at the least


def requests_per_s(site):
    sites = [site] if site else list(topo.SITES)
    return sum(drills.CALM[s] * drills.CAPACITY[s] for s in sites) / (topo.object_wire_bytes() * 8)


def longest_gap_ms(load, mark):
    """Whole seconds on end in which some clients' home got nothing at all; the load counts by the second."""
    longest = 0
    for site in topo.SITES:
        clients, run = [c for c, home in topo.HOME.items() if home == site], 0
        for i in range(mark, load.mark()):
            run = 0 if load.since(i, i + 1, clients=clients).ok else run + 1
            longest = max(longest, run)
    return 1000 * longest


def post_probe(lab, drill, window, gap_ms):
    """What the clients saw, into the report, as an outside prober would."""
    secret = (lab.pki_dir / "lab.token").read_text().strip()
    body = {"from": "client networks of the lab", "sent": window.offered, "lost": sum(window.failed.values()),
            "longest_gap_ms": gap_ms}
    lab.node("ctl").sh(["curl", "-sS", "--fail", "--cacert", lab.pki_dir / "ca.pem", "-H",
                        f"Authorization: Bearer {secret}", "-d", json.dumps(body),
                        f"https://{topo.CONTROLLER_ADDR}:{topo.API_PORT}/v1/drills/{drill}/probe"])


def once(lab, load, kind):
    where, site, hold = KINDS[kind]
    drills.ready(lab, 90)
    mark = load.mark()
    drill = drills.start(lab, kind, *where, hold=hold, reason="bench")
    served = None
    try:
        drills.wait_state(lab, drill, "hold", 180)
        served = sorted({s for s in lab.site_catchment().values() if s})
        post_probe(lab, drill, load.since(mark), longest_gap_ms(load, mark))
    except LabError:
        pass  # it ended before: the report says why
    report = drills.finish(lab, drill, 300)
    load.window(2)
    window = load.since(mark)
    drills.wait_normal(lab, 30)
    failed = sum(window.failed.values())
    return {"detect_s": seconds(report["detect_ms"]), "restore_s": seconds(report["restore_ms"]),
            "client_loss_s": round(failed / requests_per_s(site), 3), "success_pct": round(window.success_pct, 4),
            "prediction_error_pct": report["prediction"]["error_pct"],
            "noise_pct": report["prediction"]["noise_pct"], "known": report["prediction"].get("known"),
            "coverage_pct": report["prediction"]["coverage_pct"], "verdict": report["verdict"],
            "served_by": served, "reasons": report["reasons"]}


def seconds(ms):
    return None if ms is None else round(ms / 1000, 2)


def worst(samples, key, pick=max):
    values = [s[key] for s in samples if s[key] is not None]
    return pick(values) if values else None


def median(samples, key):
    values = [s[key] for s in samples if s[key] is not None]
    return round(statistics.median(values), 2) if values else None


def mean(samples, key):
    values = [s[key] for s in samples if s[key] is not None]
    return round(statistics.mean(values), 1) if values else None


def summary(samples):
    bad = [s for s in samples if s["verdict"] != "passed"]
    known = [s for s in samples if s["known"]]  # the first rehearsal of a shift is a guess, and says so
    return {"detect_s": worst(samples, "detect_s"), "client_loss_s": worst(samples, "client_loss_s"),
            "restore_s": worst(samples, "restore_s"), "prediction_error_pct": worst(known, "prediction_error_pct"),
            "prediction_error_median_pct": median(known, "prediction_error_pct"),
            "prediction_noise_pct": median(known, "noise_pct"),
            "first_prediction_error_pct": worst([s for s in samples if s["known"] is False], "prediction_error_pct"),
            "coverage_mean_pct": mean(known, "coverage_pct"),
            "success_pct": worst(samples, "success_pct", min), "coverage_pct": worst(samples, "coverage_pct", min),
            "verdict": bad[0]["verdict"] if bad else "passed", "served_by": samples[-1]["served_by"],
            "reasons": bad[0]["reasons"] if bad else samples[-1]["reasons"], "samples": len(samples)}


def every_kind(lab, load):
    out = {}
    for kind in os.environ.get("KINDS", " ".join(KINDS)).split():
        samples = []
        for i in range(RUNS):
            pl.progress(f"{kind} {i + 1}/{RUNS}")
            samples.append(once(lab, load, kind))
        out[kind] = summary(samples)
        show(kind, out[kind])
    return out


def show(kind, s):
    def text(x, unit):
        return "-" if x is None else f"{x:g} {unit}"
    print(f"{kind:16} seen {text(s['detect_s'], 's'):>7}  clients lost {text(s['client_loss_s'], 's'):>8} "
          f"({text(s['success_pct'], '%')} served, by {', '.join(s['served_by'] or ['-'])})  restored "
          f"{text(s['restore_s'], 's'):>7}  prediction off {text(s['prediction_error_pct'], '%'):>9} "
          f"(median {text(s['prediction_error_median_pct'], '%')}, noise {text(s['prediction_noise_pct'], '%')}, "
          f"unknown {text(s['first_prediction_error_pct'], '%')}; {text(s['coverage_mean_pct'], '%')} inside)  "
          f"{s['verdict']}  n={s['samples']}", flush=True)
    if s["verdict"] != "passed":
        print(f"                 because: {'; '.join(s['reasons'])}", flush=True)


def begin(lab, stage, reason):
    """A drill in that stage, with what the stage withdraws read back."""
    drills.ready(lab, 120)
    hold = "1s" if stage == "restore" else "60s"
    drill = drills.start(lab, "hard-withdraw", "--site", "nyc", hold=hold, reason=reason)
    drills.wait_state(lab, drill, stage, 120)
    wait_until(lambda: sum(not x["announced"] for s in lab.api("/v1/shards")["shards"] for x in s["sites"])
               >= STAGES[stage], 30, f"the withdrawals of {stage}")
    return drill


def aborts(lab):
    """Seconds from the operator's word to every shard as the document wants it; the worst per stage."""
    out = {}
    for stage in STAGES:
        drill = begin(lab, stage, "bench: abort")
        lab.ctl("drill", "abort", drill, "--reason", "bench")
        out[stage] = round(drills.wait_normal(lab, 30), 2)
        report = drills.finish(lab, drill, 60)
        assert report["verdict"] == "aborted", report["reasons"]
        assert bool(report["stages"]) == (stage != "preflight"), report["stages"]
        print(f"abort in {stage:8} restored after {out[stage]} s", flush=True)
    return out


def crash(lab, stage):
    """Seconds without a controller included: killed, started 2 s later. False when something was not as promised."""
    try:
        drill = begin(lab, stage, "bench: crash")
    except LabError as e:  # it aborted for a reason of its own: a bad sample, not the end of the bench
        print(f"crash in {stage}: {e}", flush=True)
        return False, round(drills.wait_normal(lab, 60), 2)
    lab.kill_controller()
    dark = [k for k, s in lab.site_catchment().items() if s is None]
    time.sleep(2)
    lab.start_controller()
    began = time.monotonic()
    report = drills.finish(lab, drill, 60)
    drills.wait_normal(lab, 30)
    took = time.monotonic() - began
    told = [e["text"] for e in lab.api("/v1/events?limit=1000&kind=drill")["events"] if f"drill {drill}," in e["text"]]
    early = stage == "preflight"  # nothing was weakened, and nothing is to be restored
    last = "preflight -> report" if early else "restore -> report"
    whole = any("draft -> preflight" in t for t in told) and any(last in t for t in told)
    good = not dark and report["verdict"] == "aborted" and whole and not (early and report["stages"])
    if not good:
        print(f"crash in {stage}: dark {dark}, {report['verdict']} {report['reasons']}, events {told}", flush=True)
    return good, round(took, 2)


def crashes(lab):
    out = {}
    for stage in STAGES:
        results = [crash(lab, stage) for _ in range(STAGE_RUNS)]
        out[stage] = {"good": sum(g for g, _ in results), "n": len(results), "restored_s": max(t for _, t in results)}
        print(f"kill -9 in {stage:8} {out[stage]}", flush=True)
    return out


def alone(lab):
    """The controller is gone for good in the middle of a loss that agents simulate: seconds until they end it."""
    drills.ready(lab, 120)
    drill = drills.start(lab, "site-loss", "--site", "nyc", hold="300s", reason="bench: alone")
    drills.wait_state(lab, drill, "hold", 120)
    lab.kill_controller()
    took = lab.wait_catchment(topo.HOME, 60)
    lab.start_controller()
    drills.finish(lab, drill, 60)
    drills.wait_normal(lab, 30)
    print(f"without a controller agents ended a simulated loss after {took:.1f} s", flush=True)
    return round(took, 1)


def kinds(lab, load):
    return {"kinds": every_kind(lab, load)}


def stages(lab, _load):
    return {"abort_restored_s": aborts(lab), "crashes": crashes(lab), "agents_alone_s": alone(lab)}


def in_a_lab(part):
    """Runs part(lab, load) in a lab of its own."""
    with Lab(build="build") as lab:
        lab.start_controller()
        lab.start_agents()
        lab.apply(drills.document(lab, SHARDS))
        lab.ctl("mode", "steer", "--reason", "bench")
        lab.wait_catchment(topo.HOME, 30)
        with lab.load() as load:
            drills.calm(load, SHARDS)
            load.window(10)
            return part(lab, load)


def main():
    if "KINDS" in os.environ:
        print(json.dumps(in_a_lab(kinds), indent=1))
        return 0
    with ProcessPoolExecutor(2) as pool:  # side by side: a lab mostly waits
        result = {k: v for part in pool.map(in_a_lab, (kinds, stages)) for k, v in part.items()}
    result["soft_drain_success_pct"] = result["kinds"]["soft-drain"]["success_pct"]
    pl.save("drills", result)
    return pl.verdict([("soft drain success %", result["soft_drain_success_pct"], ">=", 99.9),
                       ("kinds that passed", sum(k["verdict"] == "passed" for k in result["kinds"].values()), ">=", 9),
                       ("worst abort s", max(result["abort_restored_s"].values()), "<=", 15),
                       ("agents alone s", result["agents_alone_s"], "<=", 35),
                       ("crashes that restored", sum(c["good"] for c in result["crashes"].values()), ">=",
                        sum(c["n"] for c in result["crashes"].values()))])


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
