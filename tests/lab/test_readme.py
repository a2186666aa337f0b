# SPDX-License-Identifier: Apache-2.0
"""README followed to the letter. "Alone, on one server": its frr.conf and its agent.yaml, on a real FRR, with nginx as
the service; only paths are changed, since this machine has an /etc of its own. "Running it": its commands, in a
namespace with copies of /etc and /var."""
import os
import re
import shutil
import subprocess

import pytest
import yaml

from .agent_rig import Agent, ask
from .apply_rig import BUILD, ROOT, Net, Router, wait_until

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


# what a machine without systemd, and with one node only, does instead
INSTEAD = {
    "make all && make install && systemd-sysusers": "systemd-sysusers $PWD/deploy/systemd/sluice.sysusers",
    "cp deploy/examples/controller.yaml /etc/sluice/": "sed 's/127.0.0.1:7443/192.0.2.10:7443/' deploy/examples/controller.yaml"
                                                      " > /etc/sluice/controller.yaml",
    "systemctl start sluice-controller": "start",
    "ssh fra1 sluice-agent enroll": "sluice-agent enroll",
    "ssh fra1 'sluice-agent -n -c /etc/sluice/agent.yaml && systemctl start sluice-agent'":
        "sluice-agent -n -c deploy/examples/agent.yaml",
    'sluicectl drain node fra1 --reason "kernel upgrade" --wait':
        'sluicectl drain node fra1 --reason "kernel upgrade"',  # no agent: nothing to wait for
}
PRELUDE = """set -e -o pipefail
mount -t tmpfs none /mnt
for d in etc var; do
	mkdir -p /mnt/$d/new /mnt/$d/work
	mount -t overlay overlay -o lowerdir=/$d,upperdir=/mnt/$d/new,workdir=/mnt/$d/work /$d
done
ip link set lo up
ip addr add 192.0.2.10/32 dev lo
start() {
	install -d -o sluice-controller /var/lib/sluice
	setpriv --reuid sluice-controller --regid sluice-controller --clear-groups sluice-controller -c /etc/sluice/controller.yaml &
	# not to /dev/null: curl truncates what a refused try has written, and fails there
	curl -s --retry 50 --retry-delay 1 --retry-all-errors --max-time 20 -o readyz --cacert /etc/sluice/ca.pem \\
		https://192.0.2.10:7443/readyz
}
set -x
"""


def test_running_it(tmp_path):
    script = re.findall(r"```sh\n(.*?)```", README.split("## Running it")[1], re.S)[0]
    for there, here in INSTEAD.items():
        assert script.count(there) == 1, there
        script = script.replace(there, here)
    (tmp_path / "deploy").symlink_to(ROOT / "deploy")
    shutil.copy(ROOT / "deploy/examples/cluster.yaml", tmp_path)
    (tmp_path / "bin").mkdir()
    for name in ("sluicectl", "sluice-controller", "sluice-agent"):  # the tree may be root's alone
        shutil.copy(ROOT / BUILD / name, tmp_path / "bin")
    script = PRELUDE + f"cp -r {tmp_path}/bin /mnt/bin; chmod 755 /mnt /mnt/bin; PATH=/mnt/bin:$PATH\n" + script
    script += "ls -l /etc/sluice/node.key\nsluicectl node certs\n"
    done = subprocess.run(["unshare", "-m", "-n", "-p", "-f", "--kill-child", "bash", "-c", script], cwd=tmp_path, timeout=60,
                          capture_output=True, text=True, check=False, env={**os.environ, "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mode observe" in done.stdout and "steer  (go)" in done.stdout
    assert re.search(r"fra1 +[0-9a-f]{32} +good", done.stdout) and "sluice sluice" in done.stdout
    assert (tmp_path / "alice.token").stat().st_mode & 0o777 == 0o600
