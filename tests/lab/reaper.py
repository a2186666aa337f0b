# SPDX-License-Identifier: Apache-2.0
"""Removes a lab, whatever became of the process that raised it.

Started first, in its own session, reading a pipe whose only writer is the lab. The lab writes what it makes, one
line each, before it makes it: `dir PATH`, `ns NAME`, `sid PID`. End of file means the lab has finished or was
killed: end the lab's processes, delete its namespaces and its directory, and exit. There is no other clean-up.

A process belongs to the lab if its session was recorded, or if it carries the lab's mark in its environment
(which closes the gap between fork and record). Pids are looked up afresh, so a reused pid is never hit.
"""
import ctypes
import os
import shutil
import signal
import sys
import time

MARK = "SLUICE_LAB"
MNT_DETACH = 2
UMOUNT_DEADLINE_S = 10


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


def started_ticks(pid):
    stat = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(stat[19]) if len(stat) > 19 else 0


def is_zombie(pid):
    stat = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return not stat or stat[0] in (b"Z", b"X")


def belongs(pid, mark, sids):
    if pid == os.getpid() or is_zombie(pid):
        return False
    stat = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    # sids: {sid: start time of its leader}; a session younger than recorded ones cannot share a live sid
    if len(stat) > 19 and int(stat[3]) in sids:
        return True
    return mark in read(f"/proc/{pid}/environ").split(b"\0")


def end_processes(mark, sids):
    """SIGKILL until none is left: a process may fork while we look."""
    deadline = time.monotonic() + UMOUNT_DEADLINE_S
    while time.monotonic() < deadline:
        ours = [p for p in processes() if belongs(p, mark, sids)]
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
        elif what == "gone":
            sids.discard(int(value))
    end_processes(f"{MARK}={lab_id}".encode(), sids)
    delete_namespaces(names)
    for path in dirs:
        shutil.rmtree(path, ignore_errors=True)


if __name__ == "__main__":
    main()
