# SPDX-License-Identifier: Apache-2.0
"""Sluice itself inside the lab: keys, configurations, one controller in `ctl`, one agent on each node. The part of
Lab that knows the shipped programs; configurations follow deploy/examples."""
import json
import signal
import socket

from . import topology as topo
from .netns import entered
from .procs import LabError, wait_until

START_S = 15


class Sluice:
    controller = None  # Popen
    agents = {}  # node -> Popen

    # -- keys and configurations ----------------------------------------------------------------------------

    @property
    def pki_dir(self):
        return self.ground.dir / "pki"

    def binary(self, name):
        path = self.build / name
        if not path.exists():
            raise LabError(f"{path} is missing: build it first")
        return str(path)

    def _run(self, *argv):
        return self.ground.run(None, [self.binary("sluicectl"), *map(str, argv)]).stdout

    def make_pki(self):
        """CA, certificates and one admin token; done once."""
        if self.pki_dir.exists():
            return
        self.pki_dir.mkdir(mode=0o700)
        self._run("pki", "init", self.pki_dir, "--cluster", "lab")
        self._run("pki", "issue", "controller", "--dir", self.pki_dir, "--role", "controller",
                  "--ip", topo.CONTROLLER_ADDR)
        for name, node in topo.NODES.items():
            self._run("pki", "issue", name, "--dir", self.pki_dir, "--role", "node", "--ip", node.mgmt)
        self.token("admin", "lab")

    def token(self, role, name):
        """Makes a token; returns the file with its secret. The running controller reads the list at start."""
        out = self.pki_dir / f"{name}.token"
        line = self._run("token", "new", "--name", name, "--role", role, "--out", out)
        with open(self.pki_dir / "tokens", "a", encoding="ascii") as f:
            f.write(line)
        return out

    def controller_config(self):
        pki = self.pki_dir
        return {
            "state_dir": str(self.ground.dir / "ctl" / "state"),
            "agents": {"listen": f"{topo.CONTROLLER_ADDR}:{topo.AGENT_PORT}"},
            "api": {"listen": f"{topo.CONTROLLER_ADDR}:{topo.API_PORT}", "tokens": str(pki / "tokens")},
            "tls": {"ca": str(pki / "ca.pem"), "cert": str(pki / "controller.pem"), "key": str(pki / "controller.key")},
        }

    def agent_config(self, node, standalone=False):
        prefixes = list(topo.SHARDS.values())
        vip = topo.VIPS["web-a"]
        conf = {
            "node": node,
            "state_dir": str(self.ground.dir / node / "agent"),
            "controller": {
                "endpoints": [f"{topo.CONTROLLER_ADDR}:{topo.AGENT_PORT}"],
                "ca": str(self.pki_dir / "ca.pem"),
                "cert": str(self.pki_dir / f"{node}.pem"),
                "key": str(self.pki_dir / f"{node}.key"),
            },
            "frr": {"vty": str(self.vty_path(node))},
            "allow": {"prefixes": prefixes, "communities": [topo.LESS_COMMUNITY]},
            "sample": {"interfaces": ["up0"], "interval_ms": 1000},
            "services": [{
                "name": "web", "prefixes": prefixes, "hold_down_ms": 2000,
                "checks": [{"name": "listens", "kind": "listen", "target": f"{vip}:{topo.SERVICE_PORT}"},
                           {"name": "answers", "kind": "http", "target": f"{vip}:{topo.SERVICE_PORT}",
                            "path": "/healthz", "expect_status": 200, "interval_ms": 1000, "fast_interval_ms": 200,
                            "timeout_ms": 1000, "rise": 2, "fall": 2}],
            }],
        }
        if standalone:
            del conf["controller"]
        return conf

    def cluster_doc(self, **policy):
        """The cluster document of this lab; policy lines as keywords."""
        doc = {
            "name": "lab",
            "grades": [{"name": "less", "strength": 10, "communities": [topo.LESS_COMMUNITY]}],
            "sites": [{"name": s, "nodes": [{"name": n, "capacity": {"bps": topo.NODES[n].capacity_bps}}
                                            for n in nodes]} for s, nodes in topo.SITES.items()],
            "services": [{"name": "web", "min_sites": 2,
                          "shards": [{"name": s, "prefixes": [p]} for s, p in topo.SHARDS.items()]}],
        }
        if policy:
            doc["policy"] = policy
        return doc

    def _write(self, path, doc):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(doc, indent=1) + "\n")  # YAML takes JSON
        return path

    # -- running --------------------------------------------------------------------------------------------

    def start_controller(self, edit=None, env=None):
        """edit(config) may change the configuration in place. Returns when the API's port answers."""
        self.make_pki()
        conf = self.controller_config()
        if edit:
            edit(conf)
        home = self.ground.dir / "ctl"
        path = self._write(home / "controller.yaml", conf)
        (home / "state").mkdir(mode=0o700, exist_ok=True)
        self.controller = self.ground.spawn("ctl", [self.binary("sluice-controller"), "-c", path],
                                            log=home / "controller.log", env=env)
        wait_until(self._api_answers, START_S, "the controller's API")

    def _api_answers(self):
        self._alive(self.controller, self.ground.dir / "ctl" / "controller.log")
        with entered(self.ground.ns("ctl")):
            sock = socket.socket()
        with sock:
            sock.settimeout(1)
            return sock.connect_ex((topo.CONTROLLER_ADDR, topo.API_PORT)) == 0

    @staticmethod
    def _alive(child, log):
        if child.poll() is not None:
            raise LabError(f"{child.args[0]} ended with {child.returncode}: {log.read_text()[-2000:]}")

    def start_agent(self, node, standalone=False, edit=None, env=None):
        self.make_pki()
        conf = self.agent_config(node, standalone)
        if edit:
            edit(conf)
        home = self.ground.dir / node
        (home / "agent").mkdir(mode=0o700, exist_ok=True)
        path = self._write(home / "agent.yaml", conf)
        self.agents = {**self.agents, node: self.ground.spawn(node, [self.binary("sluice-agent"), "-c", path],
                                                              log=home / "agent.log", env=env)}

    def start_agents(self, nodes=None, **kwargs):
        for node in nodes or topo.NODES:
            self.start_agent(node, **kwargs)
        for node in nodes or topo.NODES:
            self._alive(self.agents[node], self.ground.dir / node / "agent.log")

    def stop_controller(self, sig=signal.SIGTERM):
        self.ground.kill(self.controller, sig)
        self.controller = None

    def stop_agent(self, node, sig=signal.SIGTERM):
        self.ground.kill(self.agents.pop(node), sig)

    def stop_agents(self, sig=signal.SIGTERM):
        for node in list(self.agents):
            self.stop_agent(node, sig)

    def kill_controller(self):
        self.stop_controller(signal.SIGKILL)

    def kill_agent(self, node):
        self.stop_agent(node, signal.SIGKILL)

    # -- asking ---------------------------------------------------------------------------------------------

    def ctl_argv(self, *args, token="lab"):
        return [self.binary("sluicectl"), "--url", f"https://{topo.CONTROLLER_ADDR}:{topo.API_PORT}",
                "--ca", str(self.pki_dir / "ca.pem"), "--token-file", str(self.pki_dir / f"{token}.token"),
                *map(str, args)]

    def ctl(self, *args, token="lab", check=True, timeout=60):
        """sluicectl inside the ctl namespace; its output, parsed if it asked for `-o json`."""
        done = self.ground.run("ctl", self.ctl_argv(*args, token=token), check, timeout)
        wants_json = any(a == "-o" and b == "json" for a, b in zip(args, args[1:]))
        return json.loads(done.stdout) if wants_json and done.returncode == 0 else done.stdout

    def api(self, path, token="lab", *more):
        """GET of the API (/v1/...), parsed. more: of curl."""
        secret = (self.pki_dir / f"{token}.token").read_text().strip()
        argv = ["curl", "-sS", "--max-time", "10", "--cacert", self.pki_dir / "ca.pem", "-H",
                f"Authorization: Bearer {secret}", f"https://{topo.CONTROLLER_ADDR}:{topo.API_PORT}{path}", *more]
        return json.loads(self.ground.run("ctl", list(map(str, argv))).stdout)

    def post(self, path, body, token="lab"):
        answer = self.api(path, token, "-d", json.dumps(body))
        if answer.get("status", 200) not in (200, 201):
            raise LabError(answer)
        return answer

    def start_steering(self, **policy):
        """Controller and agents, in mode steer under this policy, with every catchment as it is at home."""
        self.start_controller()
        self.start_agents()
        self.apply(**policy)
        self.ctl("mode", "steer", "--reason", "test")
        self.wait_catchment(topo.HOME, 30)

    def apply(self, doc=None, *options, **policy):
        """Applies the lab's cluster document, or doc."""
        path = self._write(self.ground.dir / "ctl" / "cluster.yaml", doc or self.cluster_doc(**policy))
        return self.ctl("apply", "-f", path, *options)

    def stop_sluice_quietly(self):
        """Lets sanitizers and profilers of our own programs write what they have; never raises."""
        for child in [*self.agents.values(), self.controller]:
            if child and child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in [*self.agents.values(), self.controller]:
            try:
                if child:
                    child.wait(3)
            except Exception:  # pylint: disable=broad-except
                pass
