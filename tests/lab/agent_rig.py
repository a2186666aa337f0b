# SPDX-License-Identifier: Apache-2.0
"""One sluice-agent of the build, run alone: its file, its log, its answers. Ends by what it started."""
import json
import os
import pathlib
import signal
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
AGENT = ROOT / os.environ.get("SLUICE_BUILD", "build") / "sluice-agent"
FAST = {"interval_ms": 100, "fast_interval_ms": 30, "timeout_ms": 500, "rise": 1, "fall": 2}


def ask(*argv, check=False):
    return subprocess.run([AGENT, *map(str, argv)], capture_output=True, text=True, timeout=20, check=check)


class Agent:
    def __init__(self, root, config, ns=None):
        self.root, self.ns, self.proc = root, ns, None
        self.root.mkdir(exist_ok=True)
        self.file, self.sock, self.logfile = root / "agent.yaml", root / "sock", root / "agent.log"
        self.write(config)

    def write(self, config):
        full = {"node": "n1", "state_dir": str(self.root), "socket": str(self.sock), **config}
        self.file.write_text(yaml.safe_dump(full, sort_keys=False))

    def start(self):
        enter = ["ip", "netns", "exec", self.ns] if self.ns else []
        with open(self.logfile, "a", encoding="utf-8") as log:
            self.proc = subprocess.Popen([*enter, str(AGENT), "-c", str(self.file)], stdout=log, stderr=log)
        return self

    def log(self):
        return self.logfile.read_text()

    def ask(self, *argv):
        return ask(*argv, "-s", self.sock)

    def status(self):
        """None while it does not answer."""
        done = self.ask("status", "-o", "json")
        return json.loads(done.stdout) if done.returncode == 0 else None

    def service(self, name="web"):
        status = self.status() or {"services": []}
        return next((s for s in status["services"] if s["name"] == name), {"status": "none", "checks": []})

    def hup(self):
        self.proc.send_signal(signal.SIGHUP)

    def end(self, sig=signal.SIGTERM):
        if not self.proc or self.proc.poll() is not None:
            return
        self.proc.send_signal(sig)
        rc = self.proc.wait(20)
        assert rc == (0 if sig == signal.SIGTERM else -sig), self.log()
