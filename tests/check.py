#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every test and ends with one line: N passed, N failed.

Steps are rows of a table; each says what it counts. A step that cannot run is a failure, never a skip.
Output of a step goes to build/check/NAME.log; what failed is shown at once. Two labs run side by side, the longest
first, and everything else beside them one by one: a lab mostly waits for routers, a unit test for timers.
"""
import glob
import json
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(TOP, "build", "check")
STEP_LIMIT_S = 900
LABS = 2
TIMES = os.path.join(LOGS, "times.json")
# labs run a second time with sanitized daemons
SANITIZED = ("test_main_job.py", "test_apply.py", "test_frr_discipline.py", "test_agent_alone.py")


def run(name, argv, env=None):
    """Runs argv with its output in a log; returns (exit status, log text, seconds)."""
    path = os.path.join(LOGS, name + ".log")
    t0 = time.monotonic()
    with open(path, "w") as log:
        try:
            rc = subprocess.run(argv, cwd=TOP, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                timeout=STEP_LIMIT_S, env=dict(os.environ, **(env or {}))).returncode
        except subprocess.TimeoutExpired:
            rc = 124
    with open(path, errors="replace") as log:
        return rc, log.read(), time.monotonic() - t0


def one(rc, _text):
    return (1, 0) if rc == 0 else (0, 1)


def cmocka(rc, text):
    passed = sum(int(n) for n in re.findall(r"^\[  PASSED  \] (\d+) test", text, re.M))
    failed = sum(int(n) for n in re.findall(r"^\[  FAILED  \] (\d+) test", text, re.M))
    if rc != 0 and failed == 0:
        failed = 1  # died: a sanitizer or a signal
    if rc == 0 and passed == 0:
        failed = 1  # ran nothing
    return passed, failed


def junit(path):
    def count(rc, _text):
        try:
            suite = ET.parse(path).getroot().find("testsuite")
            total, bad = int(suite.get("tests")), int(suite.get("failures")) + int(suite.get("errors"))
            bad += int(suite.get("skipped"))  # a skipped test is not a passed test
        except (OSError, ET.ParseError, AttributeError):
            return 0, 1
        if rc != 0 and bad == 0:
            bad = 1
        return total - bad, bad
    return count


def make(*args):
    return ["make", "--no-print-directory", "-j2", *args]


def pytest(name, build, *paths):
    report = os.path.join(LOGS, name + ".xml")
    if os.path.exists(report):
        os.unlink(report)
    argv = ["/usr/bin/python3", "-m", "pytest", "-x" if os.environ.get("FAILFAST") else "-q", "-p",
            "no:cacheprovider", "--junit-xml", report, *paths]
    return name, argv, junit(report), {"SLUICE_BUILD": build}


def unit(build):
    rows = []
    for path in sorted(glob.glob(os.path.join(TOP, build, "unit", "*_test"))):
        name = os.path.basename(path)
        rows.append((build.replace("/", "-") + "-" + name, [path], cmocka, None))
    return rows


def build_steps():
    return [
        ("build", make("all", "unit"), one, None),
        ("build-clang", make("CC=clang", "BUILD=build/clang", "all", "unit"), one, None),
        ("build-asan", make("asan"), one, None),
    ]


def lab(build, *paths):
    return [pytest(f"{build.replace('/', '-')}-{os.path.basename(path)[:-3]}", build, path) for path in paths]


def test_steps():
    paths = sorted(os.path.relpath(p, TOP) for p in glob.glob(os.path.join(TOP, "tests", "*", "test_*.py")))
    steps = unit("build") + unit("build/asan") + lab("build", *paths)
    # what needs no sanitized binary is run once
    steps += lab("build/asan", *(p for p in paths if os.path.basename(p) in SANITIZED))
    steps.append(("fuzz-replay", ["tests/fuzz/run.sh", "replay"], one, None))
    steps.append(("format", ["tests/format.sh"], one, None))
    steps.append(("man", ["tests/man.sh"], one, None))
    steps.append(("spin", ["tests/spin/run.sh"], one, None))
    return steps


def longest_first(steps):
    """By the times of the last run here; a lab that was never run by the size of its file."""
    def guess(argv):
        return os.path.getsize(os.path.join(TOP, argv[-1])) / 200 if argv[-1].endswith(".py") else 1

    try:
        with open(TIMES) as f:
            known = json.load(f)
    except (OSError, ValueError):
        known = {}
    return sorted(steps, key=lambda step: -known.get(step[0], guess(step[1])))


def show(name, passed, failed, seconds, text):
    print(f"  {name:<34}{passed:4d} passed {failed:3d} failed {seconds:7.1f} s", flush=True)
    if failed:
        print("\n".join("    " + line for line in text.splitlines()[-60:]), flush=True)


def play(lanes, total):
    """Runs the steps of every lane, (steps, width), so many at a time; adds to total [passed, failed] and returns the
    seconds each took."""
    took = {}
    with ExitStack() as stack:
        jobs = {}
        for steps, width in lanes:
            pool = stack.enter_context(ThreadPoolExecutor(width))
            jobs.update({pool.submit(run, name, argv, env): (name, count) for name, argv, count, env in steps})
        for job in as_completed(jobs):
            name, count = jobs[job]
            rc, text, took[name] = job.result()
            passed, failed = count(rc, text)
            total[0] += passed
            total[1] += failed
            show(name, passed, failed, took[name], text)
    return took


def main():
    os.makedirs(LOGS, exist_ok=True)
    total = [0, 0]
    t0 = time.monotonic()
    play([(build_steps(), 1)], total)
    if total[1] == 0:
        steps = longest_first(test_steps())
        labs = [s for s in steps if s[1][-1].endswith(".py")]
        took = play([(labs, LABS), ([s for s in steps if s not in labs], 1)], total)
        with open(TIMES, "w") as f:
            json.dump(took, f)
    print(f"  in {time.monotonic() - t0:.0f} s; logs in build/check")
    print(f"{total[0]} passed, {total[1]} failed", flush=True)
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
