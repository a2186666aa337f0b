# SPDX-License-Identifier: Apache-2.0
"""Talking to FRR and BIRD over their control sockets, without a process per question."""
import json
import socket

from .procs import LabError


class Vty:
    """One connection to an FRR daemon's vty socket. Framing: command and a NUL; the reply is text, three NULs and
    a status byte (0 ok, else refused)."""

    def __init__(self, path, timeout_s=5):
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(timeout_s)
        try:
            self._sock.connect(str(path))
            self.cmd("enable")
        except BaseException:
            self._sock.close()
            raise

    def cmd(self, line):
        self._sock.sendall(line.encode() + b"\0")
        data = b""
        while not (len(data) >= 4 and data[-4:-1] == b"\0\0\0"):
            chunk = self._sock.recv(65536)
            if not chunk:
                raise LabError(f"vty closed during: {line}")
            data += chunk
        text = data[:-4].decode(errors="replace")
        if data[-1]:
            raise LabError(f"vty refused ({data[-1]}): {line}: {text.strip()}")
        return text

    def json(self, line):
        return json.loads(self.cmd(line + " json") or "{}")

    def configure(self, lines):
        self.cmd("configure terminal")
        try:
            for line in lines:
                self.cmd(line)
        finally:
            self.cmd("end")

    def close(self):
        self._sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def birdc(path, command, timeout_s=5):
    """One command to BIRD's control socket; returns its text. Lines start with a 4-digit code, ' ' on the last."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout_s)
        sock.connect(str(path))
        stream = sock.makefile("rw", encoding="utf-8", newline="\n")
        stream.readline()  # greeting
        stream.write(command + "\n")
        stream.flush()
        out = []
        for line in stream:
            coded = line[:4].isdigit()
            out.append(line[5:] if coded else line[1:])
            if coded and line[4:5] == " " and line[0] in "089":
                break
        return "".join(out)
