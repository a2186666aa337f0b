# SPDX-License-Identifier: Apache-2.0
"""Certificates of nodes on loopback, with a real controller and real agents (bgpd is not needed): enrolment, renewal,
revocation, expiry, rotation of the CA. Certificates live ten seconds here."""
import json
import re
import signal
import socket
import ssl
import stat
import subprocess
import threading

import pytest

from .test_ctl import BUILD, World, wait_for

LIFE_S = 10
DOC = {
    "name": "enrol",
    "sites": [{"name": s, "nodes": [{"name": f"{s}1", "capacity": {"bps": 1000000}}]} for s in ("fra", "ams")],
    "services": [{"name": "web", "min_sites": 2, "shards": [{"name": "web-a", "prefixes": ["198.18.1.0/24"]}]}],
}


class Node:
    """One agent with files of its own."""

    def __init__(self, world, name):
        self.w, self.name, self.home, self.proc = world, name, world.home / name, None
        self.home.mkdir()
        (self.home / "etc").mkdir()
        etc = self.home / "etc"
        (self.home / "agent.yaml").write_text(json.dumps({
            "node": name, "state_dir": str(self.home), "socket": str(self.home / "sock"),
            "controller": {"endpoints": [f"127.0.0.1:{world.ports[0]}"], "ca": str(etc / "ca.pem"),
                           "cert": str(etc / "node.pem"), "key": str(etc / "node.key")},
            "frr": {"vty": str(self.home / "no-bgpd.vty")},
            "allow": {"prefixes": ["198.18.1.0/24"]},
        }), encoding="ascii")

    def enroll(self, token=None, *argv, rc=0, where=None):
        token = token or self.w.ctl("node", "token", self.name).strip()
        p = subprocess.run([BUILD / "sluice-agent", "enroll", "--controller", where or self.w.url[8:], "--dir",
                            self.home / "etc", "--token-file", "-", *argv], input=token + "\n", capture_output=True,
                           text=True, timeout=30, check=False)
        assert p.returncode == rc, p.stdout + p.stderr
        assert token.split(".")[1] not in p.stdout + p.stderr
        return p.stdout if rc == 0 else p.stderr

    def start(self):
        with open(self.home / "log", "ab") as log:
            self.proc = subprocess.Popen([BUILD / "sluice-agent", "-c", self.home / "agent.yaml"], stdout=log,
                                         stderr=log)

    def log(self):
        return (self.home / "log").read_text()

    def status(self):
        p = subprocess.run([BUILD / "sluice-agent", "status", "-s", self.home / "sock", "-o", "json"],
                           capture_output=True, text=True, timeout=20, check=False)
        return json.loads(p.stdout) if p.returncode == 0 else None

    def connected(self):
        s = self.status()
        return s and s["controller"]["connected"]

    def end(self, sig=signal.SIGTERM):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(sig)
            assert self.proc.wait(15) == (0 if sig == signal.SIGTERM else -sig), self.log()

    def certs(self):
        return json.loads(self.w.ctl("node", "certs", self.name, "--all", "-o", "json"))

    def in_use(self):
        return [c for c in self.certs() if c["in_use"]]


def configure(world, **enrol):
    path = world.home / "controller.yaml"
    conf = json.loads(path.read_text())
    pki = world.home / "pki"
    conf["enrol"] = {"cert": str(pki / "enrol.pem"), "key": str(pki / "enrol.key"), "life_s": LIFE_S, **enrol}
    path.write_text(json.dumps(conf))


@pytest.fixture(name="w")
def _world(tmp_path):
    world = World(tmp_path)
    world.prepare()
    configure(world)
    world.start()
    world.ctl("apply", "-f", "-", stdin=json.dumps(DOC))
    nodes = []
    world.node = lambda name: nodes.append(Node(world, name)) or nodes[-1]
    yield world
    for node in nodes:
        node.end()
    assert world.stop() == 0


def events(w, kind):
    return [json.loads(x) for x in w.ctl("events", "--kind", kind, "-o", "json").splitlines()]


def test_enroll(w):
    n = w.node("fra1")
    token = w.ctl("node", "token", "fra1").strip()
    text = n.enroll(token)
    etc = n.home / "etc"
    assert "fra1 is enrolled until" in text and "next: " in text
    assert stat.S_IMODE((etc / "node.key").stat().st_mode) == 0o600
    assert (etc / "ca.pem").read_bytes() == (w.home / "pki" / "ca.pem").read_bytes()
    key = (etc / "node.key").read_bytes()
    # used once; the files stay as they are whatever is refused
    assert "--force replaces it" in n.enroll(token, rc=1)
    assert "was used already" in n.enroll(token, "--force", rc=1)
    assert "this is no enrolment token" in n.enroll("sluice1.x.y.z", "--force", rc=1)
    assert "the token was made for fra1, not for ams1" in n.enroll(token, "--node", "ams1", "--force", rc=1)
    assert (etc / "node.key").read_bytes() == key
    n.start()
    wait_for(n.connected, "the session")
    row = n.in_use()[0]
    assert (row["state"], row["by"], row["ca"]) == ("good", "token of the-admin", "current")
    # the secret is in no log, no store, no event
    secret = token.split(".")[1].encode()
    for path in [w.home / "controller.log", *(w.home / "state").iterdir(), n.home / "log"]:
        assert secret not in path.read_bytes(), path
    assert w.ctl("node", "token", "a/b", rc=1)


def test_enroll_believes_nobody_blindly(w, tmp_path):
    """A server that is not the controller of the token learns nothing."""
    n = w.node("fra1")
    other = tmp_path / "other"
    w.ctl("pki", "init", other, "--cluster", "evil")
    w.ctl("pki", "issue", "evil", "--dir", other, "--role", "controller", "--ip", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(other / "evil.pem", other / "evil.key")
    # the true CA beside its own: still only the one in the token counts
    bundles = [(other / "ca.pem").read_text(), (w.home / "pki" / "ca.pem").read_text() + (other / "ca.pem").read_text()]
    seen = []

    def serve(listener):
        for bundle in bundles:
            body = json.dumps({"ca": bundle}).encode()
            try:
                with context.wrap_socket(listener.accept()[0], server_side=True) as s:
                    while data := s.recv(65536):
                        seen.append(data)
                        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        where = f"127.0.0.1:{listener.getsockname()[1]}"
        assert "not the controller that made the token" in n.enroll(rc=1, where=where)
        assert "not signed by our CA" in n.enroll(rc=1, where=where)
        thread.join(10)
    said = b"".join(seen)
    assert said.count(b"GET /v1/ca ") == 2 and b"sluice1" not in said and b"CERTIFICATE REQUEST" not in said
    assert not (n.home / "etc" / "node.key").exists()
    assert "cannot reach" in n.enroll(rc=1, where="127.0.0.1:1")


def test_renewal_keeps_the_session(w):
    n = w.node("fra1")
    n.enroll()
    n.start()
    wait_for(n.connected, "the session")
    first = n.in_use()[0]["serial"]
    wait_for(lambda: n.in_use() and n.in_use()[0]["serial"] != first, "a renewal", LIFE_S + 5)
    assert n.in_use()[0]["by"] == "renewal"
    assert len(events(w, "agent.up")) == 1 and not events(w, "agent.down")
    assert stat.S_IMODE((n.home / "identity.json").stat().st_mode) == 0o600
    # what was renewed counts after a crash, too: the files in etc have expired by then
    wait_for(lambda: len(events(w, "cert.renewed")) >= 2, "another renewal", LIFE_S + 5)
    n.end(signal.SIGKILL)
    n.start()
    wait_for(n.connected, "the session after a crash")
    assert "expired" not in n.log()


def test_revocation_ends_the_session(w):
    n, other = w.node("fra1"), w.node("ams1")
    for x in (n, other):
        x.enroll()
        x.start()
    wait_for(lambda: n.connected() and other.connected(), "both sessions")
    assert "needs --reason" in w.ctl("node", "revoke", "fra1", rc=2)
    w.ctl("node", "revoke", "fra1", "--reason", "stolen")
    wait_for(lambda: "revoked by the-admin (stolen)" in n.log(), "the words at the agent")
    wait_for(lambda: not n.connected(), "the end of the session", 5)
    assert other.connected()
    w.stop(signal.SIGKILL)
    w.start()
    wait_for(other.connected, "the good one after a restart", 20)
    wait_for(lambda: events(w, "agent.refused"), "the refusal", 10)
    assert not n.connected()
    assert [c["state"] for c in n.certs()].count("good") == 0
    n.enroll(None, "--force")
    n.proc.send_signal(signal.SIGHUP)
    wait_for(n.connected, "the node after it enrolled again", 10)


def test_expired_goes_on_without_controller(w):
    n = w.node("fra1")
    n.enroll()
    wait_for(lambda: subprocess.run(["openssl", "x509", "-checkend", "0", "-noout", "-in", n.home / "etc" / "node.pem"],
                                    capture_output=True, check=False).returncode, "the end of the certificate", LIFE_S + 5)
    n.start()
    trouble = wait_for(lambda: (n.status() or {}).get("controller", {}).get("certificate", {}).get("trouble"),
                       "what the agent says")
    assert re.search(r"expired on .*enrol again with sluicectl node token fra1.*this machine's clock says", trouble)
    assert n.proc.poll() is None and "going on without the controller" in n.log()


def test_rotation_of_the_ca(w):
    configure(w, life_s=3600)  # nothing is due but by the CA
    w.stop()
    w.start()
    n = w.node("fra1")
    n.enroll()
    n.start()
    wait_for(n.connected, "the session")
    pki = w.home / "pki"

    def step(*argv):
        w.ctl(*argv)
        before = len(events(w, "controller.reload"))
        w.controller.send_signal(signal.SIGHUP)
        wait_for(lambda: len(events(w, "controller.reload")) > before, "the reload")
        assert events(w, "controller.reload")[-1]["severity"] == "info"

    step("pki", "rotate-ca", pki)
    wait_for(lambda: n.in_use()[0]["trusts"] == "current", "both CAs at the agent")
    assert n.in_use()[0]["ca"] == "old"
    assert "A rotation of the CA is under way" in w.ctl("node", "certs")
    w.ctl("pki", "enrolment", pki, "--force")
    step("pki", "issue", "controller", "--dir", pki, "--role", "controller", "--ip", "127.0.0.1", "--force")
    wait_for(lambda: n.in_use() and n.in_use()[0]["ca"] == "current", "a certificate of the new CA")
    step("pki", "rotate-ca", pki, "--finish")
    assert "rotation" not in w.ctl("node", "certs")
    kept = json.loads((n.home / "identity.json").read_text())
    wait_for(lambda: json.loads((n.home / "identity.json").read_text())["ca"] == (pki / "ca.pem").read_text(),
             "the old CA gone at the agent")
    assert kept["cert"] == json.loads((n.home / "identity.json").read_text())["cert"]
    assert len(events(w, "agent.up")) == 1 and not events(w, "agent.down")
    # a new node enrols with the new CA, and everybody comes back after a crash
    w.stop(signal.SIGKILL)
    w.start()
    wait_for(n.connected, "the first one after a crash", 20)
    late = w.node("ams1")
    late.enroll()
    late.start()
    wait_for(late.connected, "a node of the new CA")


def test_stolen_enrolment_key_makes_no_controller(w):
    """Whoever holds it can sign a server for localhost: sluicectl does not talk to it."""
    pki = w.home / "pki"
    (w.home / "ext").write_text("[v]\nsubjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")
    for cmd in ("openssl ecparam -name prime256v1 -genkey -noout -out evil.key",
                "openssl req -new -key evil.key -subj /OU=controller/CN=controller -out evil.csr",
                f"openssl x509 -req -in evil.csr -CA {pki}/enrol.pem -CAkey {pki}/enrol.key -CAcreateserial -days 5 "
                "-extfile ext -extensions v -out evil.pem"):
        subprocess.run(cmd.split(), cwd=w.home, capture_output=True, check=True)
    (w.home / "evil.pem").write_text((w.home / "evil.pem").read_text() + (pki / "enrol.pem").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(w.home / "evil.pem", w.home / "evil.key")
    seen = []

    def serve(listener):
        try:
            with context.wrap_socket(listener.accept()[0], server_side=True) as s:
                seen.append(s.recv(4096))
        except OSError:
            pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        url = f"https://localhost:{listener.getsockname()[1]}"
        assert "not one for TLS servers" in w.ctl("status", env={"SLUICE_URL": url}, rc=1)
        thread.join(10)
    assert not any(seen)
