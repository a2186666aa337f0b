# SPDX-License-Identifier: Apache-2.0
"""Runs a program under what a unit's SystemCallFilter= and MemoryDenyWriteExecute= leave of the kernel, for machines
whose first process is not systemd. sandbox.py UNIT PROGRAM [ARGUMENT]...: call it last, with privileges dropped."""
import ctypes
import glob
import os
import re
import struct
import subprocess
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_MDWE = 38, 22, 65
SECCOMP_MODE_FILTER = 2
LD_NR, JEQ, RET = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
EPERM = 1


def values(unit, key):
    with open(unit, encoding="utf-8") as f:
        return [line.split("=", 1)[1].split() for line in f if line.startswith(key + "=")]


def members(name, seen=None):
    """System calls of a systemd set such as @process, sets inside it resolved."""
    if not name.startswith("@"):
        return {name}
    seen = seen if seen is not None else set()
    if name in seen:
        return set()
    seen.add(name)
    text = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True,
                          env={**os.environ, "SYSTEMD_PAGER": ""}).stdout
    words = [w for line in text.splitlines()[1:] for w in line.split("#")[0].split()]
    return set().union(*(members(w, seen) for w in words))


def allowed(unit):
    """Names that SystemCallFilter= leaves: the first line allows, lines with ~ take away."""
    names = set()
    for words in values(unit, "SystemCallFilter"):
        away = words[0].startswith("~")
        words[0] = words[0].lstrip("~")
        for word in words:
            names = names - members(word) if away else names | members(word)
    return names


def numbers(names):
    path = (glob.glob("/usr/include/*/asm/unistd_64.h") or glob.glob("/usr/include/asm/unistd_64.h"))[0]
    with open(path, encoding="ascii") as f:
        table = dict(re.findall(r"#define __NR_(\w+) (\d+)", f.read()))
    return sorted(int(table[n]) for n in names if n in table)


def filter_program(nrs):
    """Classic BPF: load the number, one comparison for each, else EPERM as the units say."""
    code = [struct.pack("HBBI", LD_NR, 0, 0, 0)]
    for nr in nrs:
        code.append(struct.pack("HBBI", JEQ, 0, 1, nr))
        code.append(struct.pack("HBBI", RET, 0, 0, ALLOW))
    code.append(struct.pack("HBBI", RET, 0, 0, ERRNO | EPERM))
    return b"".join(code)


def main():
    unit, argv = sys.argv[1], sys.argv[2:]
    program = filter_program(numbers(allowed(unit)))
    memory = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(memory))
    holder = ctypes.create_string_buffer(fprog, len(fprog))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if values(unit, "MemoryDenyWriteExecute") == [["yes"]]:
        prctl(PR_SET_MDWE, 1, 0, 0, 0)  # refused by kernels before 6.3
    if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(holder), 0, 0):
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main()
