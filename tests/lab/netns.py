# SPDX-License-Identifier: Apache-2.0
"""Entering network namespaces. setns() is per thread, and both sockets and children keep the namespace of the
thread at the moment they were made, so nothing needs a helper process."""
import contextlib
import ctypes
import os

CLONE_NEWNET = 0x40000000
RUN = "/run/netns"
_libc = ctypes.CDLL(None, use_errno=True)


def setns(fd):
    if _libc.setns(fd, CLONE_NEWNET) < 0:
        err = ctypes.get_errno()
        raise OSError(err, "setns: " + os.strerror(err))


@contextlib.contextmanager
def entered(ns):
    """Runs the body with the calling thread inside namespace ns."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"{RUN}/{ns}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(there)
            yield
        finally:
            setns(home)
            os.close(there)
    finally:
        os.close(home)


def sysctl(ns, values):
    """values: {'net.ipv4.ip_forward': 1, ...}; names with a dot inside use slashes."""
    with entered(ns):
        for key, value in values.items():
            path = "/proc/sys/" + key.replace(".", "/")
            with open(path, "w", encoding="ascii") as f:
                f.write(str(value))
