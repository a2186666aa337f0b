# SPDX-License-Identifier: Apache-2.0
"""The lab's namespaces, processes and directory: made here, recorded with the reaper first, removed by it."""
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys
import time

from .netns import entered
from .reaper import MARK

HERE = pathlib.Path(__file__).resolve().parent


class LabError(Exception):
    pass


def wait_until(condition, timeout_s, what, poll_s=0.05):
    """Polls until condition() is truthy and returns its value; LabError after timeout_s. what may be a function."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"timed out after {timeout_s} s waiting for {what() if callable(what) else what}")
        time.sleep(poll_s)


class Ground:
    """A prefix of its own, a directory, and the reaper that removes both with all that was started."""

    def __init__(self):
        self.id = secrets.token_hex(3)
        self.dir = pathlib.Path(f"/tmp/sluice-lab-{self.id}-{secrets.token_hex(4)}")
        self.children = []  # all Popen made here and not yet collected
        self.closed = False
        self._start_reaper()
        self._record(f"dir {self.dir}")
        self.dir.mkdir(mode=0o755)

    def _start_reaper(self):
        read_end, write_end = os.pipe()
        self.reaper = subprocess.Popen([sys.executable, "-S", "-E", str(HERE / "reaper.py"), self.id], stdin=read_end,
                                       stdout=subprocess.DEVNULL, start_new_session=True, cwd="/")
        os.close(read_end)
        self._pipe = write_end

    def _record(self, line):
        os.write(self._pipe, line.encode() + b"\n")

    def ns(self, name):
        return f"sl{self.id}-{name}"

    def make_namespaces(self, names):
        for name in names:
            self._record(f"ns {self.ns(name)}")
        self.batch(None, [f"netns add {self.ns(n)}" for n in names])

    def batch(self, ns, lines, tool="ip"):
        """Feeds lines to `ip -batch -` (or tc) inside namespace ns."""
        self.run(ns, [tool, "-batch", "-"], input="\n".join(lines) + "\n")

    def env(self):
        return {**os.environ, MARK: self.id}

    def run(self, ns, argv, check=True, timeout=30, **kwargs):
        """Runs argv to its end inside ns; returns the CompletedProcess with text output."""
        def call():
            return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, env=self.env(), check=False,
                                  **kwargs)
        if ns is None:
            done = call()
        else:
            with entered(self.ns(ns)):
                done = call()
        if check and done.returncode:
            raise LabError(f"{' '.join(map(str, argv))} [{ns}]: exit {done.returncode}: {done.stderr or done.stdout}")
        return done

    def spawn(self, ns, argv, log=None, env=None, **kwargs):
        """Starts a daemon inside ns, a session of its own; stdout and stderr go to the file log."""
        out = open(log, "ab", buffering=0) if log else subprocess.DEVNULL
        try:
            with entered(self.ns(ns)):
                child = subprocess.Popen(list(map(str, argv)), stdin=kwargs.pop("stdin", subprocess.DEVNULL),
                                         stdout=kwargs.pop("stdout", out), stderr=out, start_new_session=True,
                                         preexec_fn=lambda: self._record(f"sid {os.getpid()}"),
                                         env={**self.env(), **(env or {})}, **kwargs)
        finally:
            if log:
                out.close()
        self.children.append(child)
        return child

    def kill(self, child, sig=signal.SIGKILL, timeout_s=10):
        """Ends a spawned daemon with its whole session, and collects it."""
        if child.poll() is None:
            os.killpg(child.pid, sig)
            try:
                child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait(timeout_s)
        self.children.remove(child)
        return child.returncode

    def close(self):
        """Everything goes. Safe to call twice."""
        if self.closed:
            return
        self.closed = True
        try:
            self._keep(os.environ.get("SLUICE_LAB_KEEP"))
        finally:
            os.close(self._pipe)
            self.reaper.wait(30)
        for child in self.children:
            child.wait(5)

    def _keep(self, where):
        """Saves logs and configurations to directory where."""
        if where:
            shutil.copytree(self.dir, where, dirs_exist_ok=True, ignore_dangling_symlinks=True,
                            ignore=lambda d, names: [n for n in names if n.endswith((".vty", ".ctl", "zserv", ".key"))])

    def ip_json(self, ns, *args):
        return json.loads(self.run(ns, ["ip", "-j", *args]).stdout or "[]")
