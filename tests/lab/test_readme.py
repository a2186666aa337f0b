# SPDX-License-Identifier: Apache-2.0
"""README, "Alone, on one server", followed to the letter: its frr.conf and its agent.yaml, on a real FRR, with nginx
as the service. Only paths are changed, since this machine has an /etc of its own."""
import re
import subprocess

import pytest
import yaml

from .agent_rig import Agent, ask
from .apply_rig import ROOT, Net, Router, wait_until

README = (ROOT / "README.md").read_text()
PREFIX, VIP = "198.51.100.0/24", "198.51.100.1"
NGINX = """daemon off; master_process off; pid @DIR@/nginx.pid; error_log @DIR@/error.log;
events { worker_connections 64; }
http { access_log off; server { listen 80; location = /healthz { return 200 "ok"; } } }
"""
PEER = """log file @DIR@/bgpd.log
router bgp 64496
 bgp router-id 192.0.2.1
 no bgp ebgp-requires-policy
 neighbor 192.0.2.2 remote-as 64500
 neighbor 192.0.2.2 timers connect 1
"""


def block(language):
    found = re.findall(rf"```{language}\n(.*?)```", README.split("## Alone, on one server")[1].split("\n## ")[0], re.S)
    assert len(found) == 1
    return found[0]


class Place(Net):
    def up(self):
        node, peer = self.names
        for ns in self.names:
            subprocess.run(["ip", "netns", "add", ns], check=True)
        for cmd in (f"link add n0 netns {node} type veth peer name p0 netns {peer}", f"-n {node} addr add 192.0.2.2/24 dev n0",
                    f"-n {peer} addr add 192.0.2.1/24 dev p0", f"-n {node} link set lo up", f"-n {peer} link set lo up",
                    f"-n {node} link set n0 up", f"-n {peer} link set p0 up"):
            subprocess.run(["ip", *cmd.split()], check=True)
        self.peer = Router(peer, self.root / "peer", PEER)
        self.node = Router(node, self.root / "node", block("frr"))
        self.peer.start_bgpd()
        self.node.start_bgpd()
        return self

    def announced(self):
        return self.route(PREFIX) is not None


@pytest.fixture(name="place")
def _place():
    place = Place()
    try:
        yield place.up()
    finally:
        place.down()


def nginx(place):
    d = place.root / "nginx"
    d.mkdir(exist_ok=True)
    (d / "nginx.conf").write_text(NGINX.replace("@DIR@", str(d)))
    return subprocess.Popen(["ip", "netns", "exec", place.names[0], "nginx", "-e", d / "error.log", "-p", d, "-c", d / "nginx.conf"])


def test_alone_on_one_server(place):
    config = yaml.safe_load(block("yaml"))
    server = nginx(place)
    agent = Agent(place.root / "agent", {**config, "frr": {"vty": str(place.node.vty)}}, ns=place.names[0])
    try:
        assert ask("-n", "-c", agent.file).returncode == 0
        agent.start()
        wait_until("announced", place.announced, 15)
        addresses = subprocess.run(["ip", "-n", place.names[0], "addr", "show", "lo"], capture_output=True, text=True, check=True)
        assert VIP in addresses.stdout
        status = agent.ask("status").stdout
        assert "web" in status and PREFIX in status
        assert agent.ask("disable", "web", "--reason", "kernel upgrade").returncode == 0
        wait_until("taken out", lambda: not place.announced(), 2)
        assert agent.ask("enable", "web").returncode == 0
        wait_until("back", place.announced, 2)
        server.kill()
        wait_until("withdrawn", lambda: not place.announced(), 2)
        assert "nothing listens" in agent.ask("status").stdout
    finally:
        server.kill()
        server.wait()
        agent.end()


def test_import_line_of_the_readme(tmp_path):
    """What it prints is an agent.yaml."""
    done = ask("import", ROOT / "tests/golden/import/exabgp.conf")
    (tmp_path / "agent.yaml").write_text(done.stdout)
    assert done.returncode == 0 and ask("-n", "-c", tmp_path / "agent.yaml").returncode == 0
