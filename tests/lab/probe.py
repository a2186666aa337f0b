# SPDX-License-Identifier: Apache-2.0
"""Asks real questions from the clients' places: which node answers a VIP?"""
import selectors
import socket
import time

from . import topology as topo
from .netns import entered

REQUEST = b"GET /healthz HTTP/1.0\r\nHost: lab\r\n\r\n"


class _Ask:
    def __init__(self, client, shard):
        self.client, self.shard = client, shard
        self.data = b""

    def start(self, ground):
        vip = topo.VIPS[self.shard]
        six = ":" in vip
        with entered(ground.ns(self.client)):
            self.sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        self.sock.setblocking(False)
        self.sock.bind((topo.client_addr(self.client, six), 0))
        self.sock.connect_ex((vip, topo.SERVICE_PORT))
        return self

    def writable(self):
        if self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return False
        try:
            self.sock.send(REQUEST)
        except OSError:
            return False
        return True

    def readable(self):
        """True once nothing more will come."""
        try:
            chunk = self.sock.recv(4096)
        except OSError:
            return True
        self.data += chunk
        return not chunk

    def answer(self):
        if not self.data.startswith(b"HTTP/1.1 200"):
            return None
        for line in self.data.split(b"\r\n"):
            if line.lower().startswith(b"x-node:"):
                return line.split(b":", 1)[1].strip().decode()
        return None


def ask_all(ground, pairs, timeout_s=2.0):
    """{(client, shard): name of the node that answered, or None} for all pairs at once."""
    asks = [_Ask(c, s).start(ground) for c, s in pairs]
    with selectors.DefaultSelector() as sel:
        for ask in asks:
            sel.register(ask.sock, selectors.EVENT_WRITE, ask)
        deadline = time.monotonic() + timeout_s
        while sel.get_map() and time.monotonic() < deadline:
            for key, events in sel.select(max(0, deadline - time.monotonic())):
                _step(sel, key.data, events)
        for ask in asks:
            ask.sock.close()
    return {(a.client, a.shard): a.answer() for a in asks}


def _step(sel, ask, events):
    if events & selectors.EVENT_WRITE:
        if ask.writable():
            sel.modify(ask.sock, selectors.EVENT_READ, ask)
        else:
            sel.unregister(ask.sock)
    elif ask.readable():
        sel.unregister(ask.sock)
