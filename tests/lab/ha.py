# SPDX-License-Identifier: Apache-2.0
"""Three controllers on one etcd cluster in a lab: starting, killing, asking each. All of them live in `ctl`, each
with ports of its own; agents know all three."""
import contextlib
import http.client
import json
import signal
import socket
import ssl
import threading
import time

from . import topology as topo
from .netns import entered
from .procs import LabError, wait_until

ETCD_PORT, PEER_PORT = 2379, 2480
COUNT = 3


class Ha:
    def __init__(self, lab, lease_s=3):
        self.lab, self.lease_s = lab, lease_s
        self.ground = lab.ground
        self.etcd = [None] * COUNT
        self.controllers = [None] * COUNT
        lab.make_pki()
        (self.ground.dir / "ctl").mkdir(exist_ok=True)
        self.token = (lab.pki_dir / "lab.token").read_text().strip()
        self.tls = ssl.create_default_context(cafile=str(lab.pki_dir / "ca.pem"))

    # -- starting and ending --------------------------------------------------------------------------------

    def start_etcd(self, i):
        def url(port):
            return f"http://{topo.CONTROLLER_ADDR}:{port + i}"
        peers = ",".join(f"m{k}=http://{topo.CONTROLLER_ADDR}:{PEER_PORT + k}" for k in range(COUNT))
        home = self.ground.dir / "ctl"
        self.etcd[i] = self.ground.spawn("ctl", [
            "etcd", "--name", f"m{i}", "--data-dir", home / f"etcd{i}", "--listen-client-urls", url(ETCD_PORT),
            "--advertise-client-urls", url(ETCD_PORT), "--listen-peer-urls", url(PEER_PORT),
            "--initial-advertise-peer-urls", url(PEER_PORT), "--initial-cluster", peers,
            "--logger", "zap", "--log-level", "warn"], log=home / f"etcd{i}.log")

    def config(self, i):
        addr = topo.CONTROLLER_ADDR
        conf = self.lab.controller_config()
        conf["state_dir"] = str(self.ground.dir / "ctl" / f"state{i}")
        conf["agents"]["listen"] = f"{addr}:{topo.AGENT_PORT + i}"
        conf["api"]["listen"] = f"{addr}:{topo.API_PORT + i}"
        conf["store"] = {"kind": "etcd", "lease_s": self.lease_s, "prefix": "/sluice/lab",
                         "endpoints": [f"http://{addr}:{ETCD_PORT + k}" for k in range(COUNT)]}
        conf["enrol"] = {"cert": str(self.lab.pki_dir / "enrol.pem"), "key": str(self.lab.pki_dir / "enrol.key")}
        conf["advertise"] = {"agents": conf["agents"]["listen"], "api": f"https://{conf['api']['listen']}"}
        return conf

    def start_controller(self, i, env=None):
        home = self.ground.dir / "ctl"
        (home / f"state{i}").mkdir(mode=0o700, exist_ok=True)
        path = home / f"controller{i}.yaml"
        path.write_text(json.dumps(self.config(i)) + "\n")
        self.controllers[i] = self.ground.spawn("ctl", [self.lab.binary("sluice-controller"), "-c", path],
                                                log=home / f"controller{i}.log", env=env)

    def start(self):
        for i in range(COUNT):
            self.start_etcd(i)
        for i in range(COUNT):
            self.start_controller(i)
        wait_until(lambda: self.leader() is not None, 30, "a first leader")
        self.lab.start_agents(edit=self.edit_agent)

    def edit_agent(self, conf):
        conf["controller"]["endpoints"] = [f"{topo.CONTROLLER_ADDR}:{topo.AGENT_PORT + k}" for k in range(COUNT)]
        conf["socket"] = str(self.ground.dir / conf["node"] / "agent.sock")

    def kill_controller(self, i, sig=signal.SIGKILL):
        self.ground.kill(self.controllers[i], sig)
        self.controllers[i] = None

    def kill_etcd(self, i):
        self.ground.kill(self.etcd[i], signal.SIGKILL)
        self.etcd[i] = None

    def stop(self):
        for i, child in enumerate(self.controllers):
            if child and child.poll() is None:
                self.kill_controller(i, signal.SIGTERM)

    # -- asking ---------------------------------------------------------------------------------------------

    def request(self, i, method, path, body=None, timeout_s=3):
        """(status, headers, parsed body) of controller i, or None when it does not answer."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            with entered(self.ground.ns("ctl")):
                sock = socket.create_connection((topo.CONTROLLER_ADDR, topo.API_PORT + i), timeout_s)
            with self.tls.wrap_socket(sock, server_hostname=topo.CONTROLLER_ADDR) as tls:
                conn = http.client.HTTPConnection(topo.CONTROLLER_ADDR)
                conn.sock = tls
                conn.request(method, path, json.dumps(body) if body is not None else None,
                             {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "If-Match": "*"})
                r = conn.getresponse()
                text = r.read()
                with contextlib.suppress(ValueError):
                    return r.status, r.headers, json.loads(text)
                return r.status, r.headers, text
        return None

    def status(self, i):
        got = self.request(i, "GET", "/v1/status") if self.controllers[i] else None
        return got[2] if got and got[0] == 200 else None

    def roles(self):
        return [s["leader"]["role"] if s else None for s in map(self.status, range(COUNT))]

    def leader(self):
        roles = self.roles()
        return roles.index("leader") if "leader" in roles else None

    def tokens_made(self, i):
        """Names in the token events that controller i knows."""
        made, after = set(), 0
        while True:
            got = self.request(i, "GET", f"/v1/events?after={after}&limit=1000", timeout_s=10)
            if not got or got[0] != 200:
                raise LabError(f"controller {i} does not list its events: {got}")
            events = got[2]["events"]
            if not events:
                return made
            made |= {e["data"]["token"] for e in events if e["kind"] == "token"}
            after = max(e["id"] for e in events)

    def agent(self, node):
        """{"connected", "epoch", "seq"} as the agent itself says."""
        with contextlib.suppress(OSError, ValueError):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(2)
                sock.connect(str(self.ground.dir / node / "agent.sock"))
                sock.sendall(b'{"command": "status"}\n')
                text = b""
                while chunk := sock.recv(65536):
                    text += chunk
            return json.loads(text)["controller"]
        return {"connected": False, "epoch": 0, "seq": 0}

    def epochs(self):
        return {n: self.agent(n)["epoch"] for n in topo.NODES}

    def obeyed(self, after):
        """Every agent has taken an order of an epoch later than that."""
        return all(self.agent(n)["connected"] and self.agent(n)["epoch"] > after for n in topo.NODES)

    def takeover(self, after, timeout_s=30):
        """Waits until a new leader steers every agent; returns the monotonic second."""
        wait_until(lambda: self.obeyed(after), timeout_s, lambda: f"agents to obey after epoch {after}: "
                   f"{self.epochs()}, roles {self.roles()}", poll_s=0.02)
        return time.monotonic()


class Writer:
    """Writes through whoever leads, without pause, and remembers what was acknowledged."""

    def __init__(self, ha, pause_s=0.05):
        self.ha, self.pause_s = ha, pause_s
        self.acknowledged, self.refused = [], 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        at, n = 0, 0
        while not self._stop.is_set():
            n += 1
            name = f"w{n}"
            got = self.ha.request(at, "POST", "/v1/tokens", {"name": name, "role": "viewer"})
            if got and got[0] in (200, 201):
                self.acknowledged.append(name)
                self.ha.request(at, "DELETE", f"/v1/tokens/{name}")  # its record stays in the events
            else:
                self.refused += 1
                at = (at + 1) % COUNT
            self._stop.wait(self.pause_s)

    def stop(self):
        self._stop.set()
        self._thread.join(30)

    def lost(self):
        """Acknowledged writes that the events of the present leader do not know."""
        wait_until(lambda: self.ha.leader() is not None, 20, "a leader to ask")
        return sorted(set(self.acknowledged) - self.ha.tokens_made(self.ha.leader()))
