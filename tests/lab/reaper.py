# SPDX-License-Identifier: Apache-2.0
"""Removes a lab, whatever became of the process that raised it.

Started first, in its own session, reading a pipe whose only writer is the lab. The lab writes what it makes, one
line each, before it makes it: `dir PATH`, `ns NAME`, `sid PID`. End of file means the lab has finished or was
killed: end the lab's processes, delete its namespaces and its directory, and exit. There is no other clean-up.

A process belongs to the lab if its session was recorded and it lives in one of the lab's namespaces (so a number
used again is never hit), or if it carries the lab's mark in its environment (short-lived helpers do; daemons may
overwrite theirs, nginx does, so the mark alone is not enough).
"""
import ctypes
import os
import shutil
import signal
import sys
import time

MARK = "SLUICE_LAB"
MNT_DETACH = 2
KILL_DEADLINE_S = 10


def processes():
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            yield int(entry)


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def space_of(path):
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def belongs(pid, mark, sids, spaces):
    stat = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()  # state, ppid, pgrp, session, ...
    if pid == os.getpid() or len(stat) < 4 or stat[0] in (b"Z", b"X"):
        return False
    if int(stat[3]) in sids and space_of(f"/proc/{pid}/ns/net") in spaces:
        return True
    return mark in read(f"/proc/{pid}/environ").split(b"\0")


def end_processes(mark, sids, spaces):
    """SIGKILL until none is left: a process may fork while we look."""
    deadline = time.monotonic() + KILL_DEADLINE_S
    while time.monotonic() < deadline:
        ours = [p for p in processes() if belongs(p, mark, sids, spaces)]
        if not ours:
            return
        for pid in ours:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.02)


def delete_namespaces(names):
    libc = ctypes.CDLL(None, use_errno=True)
    for name in names:
        path = f"/run/netns/{name}".encode()
        libc.umount2(path, MNT_DETACH)
        try:
            os.unlink(path)
        except OSError:
            pass


def main():
    for sig in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, signal.SIG_IGN)
    lab_id = sys.argv[1]
    dirs, names, sids = [], [], set()
    for line in sys.stdin:
        what, _, value = line.strip().partition(" ")
        if what == "dir":
            dirs.append(value)
        elif what == "ns":
            names.append(value)
        elif what == "sid":
            sids.add(int(value))
    spaces = {space_of(f"/run/netns/{name}") for name in names} - {None}
    end_processes(f"{MARK}={lab_id}".encode(), sids, spaces)
    delete_namespaces(names)
    for path in dirs:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
