# SPDX-License-Identifier: Apache-2.0
"""Signals that reach a daemon while it starts: from its first word or socket on it ends with 0, and SIGHUP does not end it."""
import json
import signal
import socket
import subprocess
import time

import pytest

from tests.lab.test_ctl import BUILD, World, free_port

TIMES = 15


def start_and_send(argv, log, reached, signals):
    """As soon as it is that far, which is before its loop runs: no pause between the looks."""
    with open(log, "wb") as out:
        p = subprocess.Popen([str(a) for a in argv], stdout=out, stderr=out)
    deadline = time.monotonic() + 15
    while not reached():
        assert p.poll() is None and time.monotonic() < deadline, log.read_text()
    for sig in signals:
        p.send_signal(sig)
    try:
        return p.wait(15)
    finally:
        p.kill()


@pytest.mark.parametrize("port", [0, 1], ids=["agents", "api"])
def test_controller(tmp_path, port):
    w = World(tmp_path)
    w.prepare()

    def listens():
        with socket.socket() as s:
            s.bind(("127.0.0.2", 0))  # an unused port would else meet itself, some day
            return s.connect_ex(("127.0.0.1", w.ports[port])) == 0

    for _ in range(TIMES):
        assert start_and_send([BUILD / "sluice-controller", "-c", w.home / "controller.yaml"], tmp_path / "log",
                              listens, [signal.SIGHUP, signal.SIGTERM]) == 0


def test_agent(tmp_path):
    log = tmp_path / "log"
    (tmp_path / "agent.yaml").write_text(json.dumps({
        "node": "n1", "state_dir": str(tmp_path), "socket": str(tmp_path / "sock"),
        "frr": {"vty": str(tmp_path / "no-bgpd.vty")}, "allow": {"prefixes": ["198.18.1.0/24"]},
        "services": [{"name": "web", "prefixes": ["198.18.1.0/24"],
                      "checks": [{"kind": "listen", "target": f"127.0.0.1:{free_port()}"}]}],
    }), encoding="ascii")
    for _ in range(TIMES):
        assert start_and_send([BUILD / "sluice-agent", "-c", tmp_path / "agent.yaml"], log,
                              lambda: log.stat().st_size > 0, [signal.SIGHUP, signal.SIGTERM]) == 0
