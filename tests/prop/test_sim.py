# SPDX-License-Identifier: Apache-2.0
"""sluice-sim from its command line: catchment files good and bad, determinism, the JSON's keys, the plot."""
import json
import os
import re
import subprocess
import xml.etree.ElementTree as ET

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("SLUICE_BUILD", "build")
SIM = os.path.join(TOP, BUILD, "sluice-sim")
METRICS = {"goodput_pct", "goodput_lost_pct_s", "relief_s", "peak_util", "route_changes", "damping_max",
           "coverage_pct", "regret_pct", "decide_ms_p99", "violations"}
SHIFT = """home,grade,lands,fraction
# three sites; withdrawn of nyc is not known
fra,prepend1,fra,0.30
fra,prepend1,ams,0.60
fra,prepend1,nyc,0.10
fra,withdrawn,ams,0.8
fra,withdrawn,nyc,0.2
ams,prepend1,ams,0.5
ams,prepend1,fra,0.5
ams,no-transit,ams,0.7
ams,no-transit,fra,0.3
ams,withdrawn,fra,1
nyc,prepend1,nyc,1
"""
SHARE = "home,share\nfra,50\nams,30\nnyc,20\n"


def sim(*args, ok=True):
    r = subprocess.run([SIM, "--jobs", "1", *args], capture_output=True, text=True, timeout=120)
    assert (r.returncode == 0) == ok, r.stderr
    return r


@pytest.fixture
def files(tmp_path):
    def write(shift=SHIFT, share=SHARE):
        (tmp_path / "shift.csv").write_text(shift)
        (tmp_path / "share.csv").write_text(share)
        return ["--catchments", str(tmp_path / "shift.csv"), "--shares", str(tmp_path / "share.csv")]
    return write


def test_json_has_every_key(files, tmp_path):
    out = tmp_path / "out.json"
    sim(*files(), "--scenario", "attack-0.6,flash-crowd", "--policy", "absorb,sluice,oracle", "--seeds", "2",
        "--json", str(out))
    got = json.loads(out.read_text())["scenarios"]
    assert set(got) == {"attack-0.6", "flash-crowd"}
    for scenario in got.values():
        assert set(scenario) == {"absorb", "sluice", "oracle"}
        for policy in scenario.values():
            assert set(policy) == METRICS
            for name, value in policy.items():
                if name == "violations":
                    assert isinstance(value, int)
                else:
                    assert set(value) == {"median", "p5", "p95"}
        assert scenario["sluice"]["violations"] == 0


@pytest.mark.parametrize("source", ["file", "graph"])
def test_same_seed_same_output(files, tmp_path, source):
    args = files() if source == "file" else ["--ases", "300", "--sites", "4"]
    texts = []
    for jobs in ("1", "2"):
        out = tmp_path / f"{jobs}.json"
        r = subprocess.run([SIM, *args, "--jobs", jobs, "--scenario", "lying-agents,largest-site-lost", "--policy", "threshold,local,sluice,oracle",
                            "--seeds", "2", "--no-timing", "--json", str(out)], capture_output=True, text=True,
                           timeout=120, check=True)
        texts.append((r.stdout, out.read_text()))
    assert texts[0] == texts[1]


def test_seeds_differ(files):
    args = files()
    a, b = (sim(*args, "--seeds", "1", "--policy", "absorb", "--first-seed", s).stdout for s in ("1", "2"))
    assert a != b


BAD = [
    ("a,g,b\n", SHARE, "shift.csv: line 1: 3 fields"),
    ("home,grade,lands,fraction\na,g,b,much\n", SHARE, 'line 2: fraction "much" is not a number'),
    ("a,g,b,0.5\nb,g,a,1\n", SHARE, "line 1: the rows of a at g add up to 0.5000, not 1"),
    ("a,g,b,1.5\n", SHARE, "line 1: fraction 1.5 is above 1"),
    ("a,g,b,-1\n", SHARE, "line 1: fraction -1 is negative"),
    ("a,,b,1\n", SHARE, "line 1: grade is empty"),
    ("", SHARE, "0 sites in the file, at least 2 needed"),
    (SHIFT, "home,share\nfra,1\nmoon,2\n", 'share.csv: line 3: "moon" is no site'),
    (SHIFT, "fra,1\nfra,2\n", 'line 2: "fra" again, first on line 1'),
    (SHIFT, "fra,0\n", "the shares add up to nothing"),
    ("a,g,b,1\nb,g,a,1\n", "a,1\nb,1\n", "2 sites, at least 3 needed"),
    ("x" * 2000 + "\n", SHARE, "line 1: the line is longer"),
]


@pytest.mark.parametrize("shift,share,why", BAD, ids=[b[2][:40] for b in BAD])
def test_bad_files_say_where(files, shift, share, why):
    r = sim(*files(shift, share), ok=False)
    assert why in r.stderr and r.returncode == 2 and not r.stdout


@pytest.mark.parametrize("args,why", [
    (["--scenario", "nope"], 'no scenario "nope"'),
    (["--policy", "nope"], 'no policy "nope"'),
    (["--seeds", "0"], "--seeds"),
    (["--seeds", "1.5"], "whole number"),
    (["--sites", "2"], "--sites"),
    (["--shares", "x"], "--shares needs --catchments"),
    (["--catchments", "/does/not/exist"], "No such file"),
    (["stray"], "no such argument"),
])
def test_bad_options_say_what(args, why):
    r = sim(*args, ok=False)
    assert why in r.stderr and r.returncode == 2


def test_every_scenario_is_there():
    got = sim("--list").stdout.split()
    want = ("diurnal flash-crowd node-crash largest-site-lost attack-0.3 attack-0.6 attack-0.9 attack-1.5 attack-3 "
            "attack-one-shard-3 pulse-wave attack-follows controller-partition stale-reports flapping-link "
            "drill-during-attack attack-during-drill lying-agents wrong-model").split()
    assert sorted(got) == sorted(want)


def test_nothing_moves_without_a_controller(files, tmp_path):
    out = tmp_path / "o.json"
    sim(*files(), "--scenario", "controller-partition", "--policy", "sluice", "--seeds", "3", "--json", str(out))
    assert json.loads(out.read_text())["scenarios"]["controller-partition"]["sluice"]["route_changes"]["p95"] == 0


def busiest(scenario, seed):
    """The most changes in any ten minutes."""
    said = sim("--scenario", scenario, "--policy", "sluice", "--seeds", "1", "--first-seed", str(seed), "--explain").stderr
    at, now = [], None
    for line in said.splitlines():
        round_ = re.match(r" *(\d+) goodput .* (\w+) +gap", line)
        if round_:
            now = int(round_[1]) if round_[2] == "act" else None
        elif line.lstrip().startswith("-> ") and now is not None:
            at.append(now)
    return max((sum(a <= b < a + 600 for b in at) for a in at), default=0)


@pytest.mark.parametrize("scenario,most", [("pulse-wave", 6), ("attack-one-shard-3", 12)])
def test_changes_are_few(scenario, most):
    """Six in ten minutes; where demand is far above capacity and clean shards leave for good, twice that."""
    seen = [busiest(scenario, seed) for seed in range(1, 6)]
    assert most - 3 <= max(seen) <= most, seen


def test_dead_is_found_out_and_silent_is_not(tmp_path):
    """A lost site of any size is acted on; the same silence of sites that serve on holds everything."""
    out = tmp_path / "o.json"
    sim("--scenario", "largest-site-lost,stale-reports", "--policy", "absorb,sluice", "--seeds", "6", "--json", str(out))
    got = json.loads(out.read_text())["scenarios"]
    lost = got["largest-site-lost"]
    assert lost["sluice"]["goodput_pct"]["median"] > lost["absorb"]["goodput_pct"]["median"] + 2
    assert got["stale-reports"]["sluice"]["route_changes"]["p95"] == 0
    assert all(s["sluice"]["violations"] == 0 for s in got.values())


def test_plot_is_an_svg(tmp_path):
    svg = tmp_path / "p.svg"
    sim("--ases", "300", "--scenario", "attack-0.6", "--policy", "sluice", "--seeds", "1", "--plot", str(svg))
    root = ET.parse(svg).getroot()
    assert root.tag.endswith("svg") and len(root.findall(".//{*}polyline")) == 6


def test_fit_prints_the_published_figures():
    assert "published" in sim("--fit", "--seeds", "3").stdout
