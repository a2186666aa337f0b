# SPDX-License-Identifier: Apache-2.0
"""Every kind of check against the real server it is for, in a namespace without BGP: nginx (HTTP and TLS), unbound,
a UDP echo, commands, processes, addresses, and servers that accept and say nothing."""
import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from .agent_rig import FAST, Agent, ask
from .apply_rig import wait_until

NGINX = """\
daemon off; master_process off; worker_processes 1; pid @DIR@/nginx.pid; error_log @DIR@/error.log;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path @DIR@; proxy_temp_path @DIR@; fastcgi_temp_path @DIR@; uwsgi_temp_path @DIR@;
  scgi_temp_path @DIR@;
  server {
    listen 127.0.0.1:8080; listen 127.0.0.1:8443 ssl;
    ssl_certificate @DIR@/good.pem; ssl_certificate_key @DIR@/good.key;
    server_name _;
    location /ok { return 200 "all is well\\n"; }
    location /busy { return 503; }
    location /long { alias @DIR@/; gzip on; gzip_types *; gzip_min_length 1; ssi on; ssi_types *; }
  }
  server { listen 127.0.0.1:8080; server_name other.example; location / { return 204; } }
  server { listen 127.0.0.1:8444 ssl; ssl_certificate @DIR@/short.pem; ssl_certificate_key @DIR@/short.key;
           location / { return 200; } }
}
"""
UNBOUND = """\
server:
  interface: 127.0.0.1
  port: 5353
  do-daemonize: no
  username: ""
  chroot: ""
  directory: "@DIR@"
  pidfile: "@DIR@/unbound.pid"
  use-syslog: no
  logfile: "@DIR@/unbound.log"
  local-zone: "example.net." static
  local-data: "www.example.net. A 192.0.2.80"
  local-data: "www.example.net. AAAA 2001:db8::80"
  local-data: "example.net. MX 10 mail.example.net."
  local-data: 'example.net. TXT "v=spf1 -all"'
  local-data: "_sip._udp.example.net. SRV 1 2 5060 sip.example.net."
remote-control:
  control-enable: no
"""
ECHO = """\
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("127.0.0.1", 7007))
print("ready", flush=True)
while True:
    data, who = s.recvfrom(2048)
    s.sendto(b"echo " + data, who)
"""
HUNG = """\
import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 9090))
s.listen(4096)
print("ready", flush=True)
while True:
    time.sleep(60)
"""


class Place:
    def __init__(self):
        self.ns = f"slc{secrets.token_hex(3)}"
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.ns}-"))
        self.dir.chmod(0o755)
        self.procs = []
        subprocess.run(["ip", "netns", "add", self.ns], check=True)
        subprocess.run(["ip", "-n", self.ns, "link", "set", "lo", "up"], check=True)

    def run(self, *argv, ready=None):
        proc = subprocess.Popen(["ip", "netns", "exec", self.ns, *map(str, argv)], stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL)
        self.procs.append(proc)
        if ready:
            assert proc.stdout.readline().decode().strip() == ready
        return proc

    def python(self, text):
        return self.run(sys.executable, "-c", text, ready="ready")

    def write(self, name, text):
        (self.dir / name).write_text(text.replace("@DIR@", str(self.dir)))
        return self.dir / name

    def certificate(self, name, days):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        str(days), "-subj", "/CN=www.example.net", "-addext",
                        "subjectAltName=DNS:www.example.net,IP:127.0.0.1", "-keyout", self.dir / f"{name}.key", "-out",
                        self.dir / f"{name}.pem"], check=True, capture_output=True)

    def end(self):
        for proc in self.procs:
            proc.kill()
            proc.wait()
            proc.stdout.close()
        subprocess.run(["ip", "netns", "del", self.ns], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture(scope="module", name="place")
def _place():
    place = Place()
    place.certificate("good", 90)
    place.certificate("short", 5)
    (place.dir / "long").mkdir(exist_ok=True)
    place.write("big", "x" * 30000 + "needle" + "y" * 30000)
    try:
        place.run("nginx", "-e", "stderr", "-p", place.dir, "-c", place.write("nginx.conf", NGINX))
        place.run("unbound", "-d", "-c", place.write("unbound.conf", UNBOUND))
        place.python(ECHO)
        place.python(HUNG)
        wait_until("unbound", lambda: (place.dir / "unbound.pid").exists())
        wait_until("nginx", (place.dir / "nginx.pid").exists)
        yield place
    finally:
        place.end()


class Checks:
    """One service a check, so that each has a state of its own."""

    def __init__(self, place, rows, commands=()):
        self.rows = rows
        services = [{"name": name, "prefixes": [f"198.18.{i}.0/24"], "hold_down_ms": 50,
                     "checks": [{**FAST, "fall": 1, **check}]} for i, (name, check) in enumerate(rows.items())]
        config = {"frr": {"vty": str(place.dir / "none")}, "allow": {"prefixes": ["198.18.0.0/16"]}, "services": services}
        if commands:
            config["commands"] = [{"name": n, "argv": a} for n, a in commands]
        self.agent = Agent(place.dir / f"a{secrets.token_hex(2)}", config, place.ns)
        good = ask("-n", "-c", self.agent.file)
        assert good.returncode == 0, good.stderr
        self.agent.start()

    def reason(self, name):
        return self.agent.service(name)["checks"][0]["reason"]

    def expect(self, name, status, reason=""):
        def check():
            s = self.agent.service(name)
            return s["status"] == status and reason in s["checks"][0]["reason"]
        try:
            wait_until(name, check, 6, 0.1)
        except AssertionError:
            raise AssertionError(f"{name} is not {status} ({reason}): {self.agent.service(name)}") from None


@contextlib.contextmanager
def checks(place, rows, commands=()):
    c = Checks(place, rows, commands)
    try:
        yield c
        c.agent.end()  # and it ends well
    finally:
        c.agent.end(signal.SIGKILL)


def http(path, **more):
    return {"kind": "http", "target": "127.0.0.1:8080", "path": path, **more}


def https(place, port=8443, **more):
    return {"kind": "https", "target": f"127.0.0.1:{port}", "path": "/ok", "ca": str(place.dir / "good.pem"), **more}


def test_http(place):
    rows = {
        "ok": (http("/ok"), "up", "HTTP 200"),
        "busy": (http("/busy"), "down", "HTTP 503, expected 2xx or 3xx"),
        "busy-expected": (http("/busy", expect_status=503), "up", "HTTP 503"),
        "host": (http("/", host="other.example", expect_status=204), "up", "HTTP 204"),
        "body": (http("/ok", expect_body="^all is (well|good)"), "up", "body matches"),
        "body-not": (http("/ok", expect_body="nothing is well"), "down", "does not match"),
        "chunked": (http("/long/big", expect_body="xneedley"), "up", "body matches"),
        "missing": (http("/nowhere"), "down", "HTTP 404"),
    }
    with checks(place, {n: r[0] for n, r in rows.items()}) as c:
        for name, (_, status, reason) in rows.items():
            c.expect(name, status, reason)


def test_https(place):
    rows = {
        "good": (https(place, tls_name="www.example.net"), "up", "HTTP 200"),
        "by-address": (https(place), "up", "HTTP 200"),
        "host": (https(place, host="www.example.net:8443", expect_body="well"), "up", "body matches"),
        "wrong-name": (https(place, tls_name="www.example.org"), "down", "certificate: "),
        "not-trusted": ({k: v for k, v in https(place).items() if k != "ca"}, "down", "certificate: "),
        "insecure": ({"kind": "https", "target": "127.0.0.1:8443", "path": "/ok", "tls_insecure": True}, "up", "HTTP 200"),
        "margin": (https(place, expiry_days=30), "up", "HTTP 200"),
        "too-short": (https(place, 8444, ca=str(place.dir / "short.pem"), expiry_days=30), "down",
                      "ends in 4 days, expiry_days is 30"),
        "no-tls": (https(place, 8080), "down", ""),
        "no-ca": (https(place, ca="/nonexistent"), "down", "ca: /nonexistent"),
    }
    with checks(place, {n: r[0] for n, r in rows.items()}) as c:
        for name, (_, status, reason) in rows.items():
            c.expect(name, status, reason)


def dns(query, **more):
    return {"kind": "dns", "target": "127.0.0.1:5353", "query": query, **more}


def test_dns(place):
    rows = {
        "a": (dns("www.example.net"), "up", "NOERROR, 1 records"),
        "a-answer": (dns("WWW.Example.net.", answer="192.0.2.80"), "up", ""),
        "a-wrong": (dns("www.example.net", answer="192.0.2.81"), "down", "no A record says 192.0.2.81"),
        "aaaa": (dns("www.example.net", type="AAAA", answer="2001:db8::80"), "up", ""),
        "mx": (dns("example.net", type="MX", answer="10 mail.example.net"), "up", ""),
        "txt": (dns("example.net", type="txt", answer="v=spf1 -all"), "up", ""),
        "srv": (dns("_sip._udp.example.net", type="SRV", answer="1 2 5060 sip.example.net."), "up", ""),
        "nxdomain": (dns("nobody.example.net"), "down", "NXDOMAIN, expected NOERROR"),
        "nxdomain-expected": (dns("nobody.example.net", rcode="NXDOMAIN"), "up", ""),
        "nodata": (dns("www.example.net", type="MX"), "down", "no MX record"),
        "nobody": ({**dns("www.example.net"), "target": "127.0.0.1:5454"}, "down", "Connection refused"),
    }
    with checks(place, {n: r[0] for n, r in rows.items()}) as c:
        for name, (_, status, reason) in rows.items():
            c.expect(name, status, reason)


def udp(send, **more):
    return {"kind": "udp", "target": "127.0.0.1:7007", "send": send, **more}


def test_udp(place):
    rows = {
        "echo": (udp("hello\\x21", expect="^echo hello!$"), "up", "answered"),
        "other": (udp("hello", expect="^no"), "down", "does not match"),
        "nobody": ({**udp("x"), "target": "127.0.0.1:7008"}, "down", "Connection refused"),
        "listen": ({"kind": "listen", "target": "127.0.0.1:7007", "protocol": "udp"}, "up", "1 listening"),
    }
    with checks(place, {n: r[0] for n, r in rows.items()}) as c:
        for name, (_, status, reason) in rows.items():
            c.expect(name, status, reason)


def test_exec(place):
    marks = place.dir / "marks"
    commands = {
        "good": ["/bin/sh", "-c", "echo fine; echo more"],
        "bad": ["/bin/sh", "-c", "echo it broke >&2; exit 1"],
        "three": ["/bin/sh", "-c", "exit 30"],
        "slow": ["/bin/sh", "-c", f"sleep 77 & echo $! >> {marks}; echo $$ >> {marks}; wait"],
        "loud": ["/bin/sh", "-c", "head -c 10000000 /dev/zero | tr '\\0' x; echo"],
        "env": ["/bin/sh", "-c", 'test -z "$NOTIFY_SOCKET" && test "$CHECK" = env && test "$PWD" = /'],
        "missing": ["/nonexistent/command"],
    }
    rows = {n: {"kind": "exec", "command": n, "name": n} for n in commands}
    rows["weight"] = {"kind": "exec", "command": "three", "exit_weight": True}
    rows["slow"]["timeout_ms"] = 200
    with checks(place, rows, commands.items()) as c:
        c.expect("good", "up", "good: exit 0: fine")
        c.expect("bad", "down", "bad: exit 1: it broke")
        c.expect("three", "down", "three: exit 30")
        c.expect("weight", "up")
        assert c.agent.service("weight")["weight"] == 30
        c.expect("slow", "down", "no answer within 200 ms")
        c.expect("loud", "up", "exit 0: xxxx")
        c.expect("env", "up")
        c.expect("missing", "down", "No such file")
    # whatever was started is gone, with its children
    for pid in marks.read_text().split():
        wait_until(f"{pid} is gone", lambda p=pid: not pathlib.Path(f"/proc/{p}/cmdline").exists()
                   or b"sleep" not in pathlib.Path(f"/proc/{p}/cmdline").read_bytes(), 5)


def test_process(place):
    pidfile = place.dir / "victim.pid"
    victim = place.run("sleep", "1000")
    pidfile.write_text(f"{victim.pid}\n")
    rows = {
        "file": {"kind": "process", "pidfile": str(pidfile), "interval_ms": 30000, "fast_interval_ms": 100, "fall": 3},
        "owner": {"kind": "process", "target": "127.0.0.1:8080"},
        "nobody": {"kind": "process", "target": "127.0.0.1:8081"},
        "nofile": {"kind": "process", "pidfile": "/nonexistent"},
    }
    with checks(place, rows) as c:
        c.expect("file", "up", f"process {victim.pid} runs")
        c.expect("owner", "up", "runs")
        c.expect("nobody", "down", "nothing listens")
        c.expect("nofile", "down", "No such file")
        t0 = time.monotonic()
        victim.kill()
        c.expect("file", "down", "does not run")
        assert time.monotonic() - t0 < 3  # far less than its interval: the kernel said so
        victim.wait()


def test_address(place):
    def ip(*argv):
        subprocess.run(["ip", "-n", place.ns, "addr", *argv], check=True)
    ip("add", "198.18.99.1/32", "dev", "lo")
    slow = {"interval_ms": 30000, "fast_interval_ms": 100, "fall": 3}
    rows = {
        "there": {"kind": "address", "address": "198.18.99.1", "interface": "lo", **slow},
        "anywhere": {"kind": "address", "address": "198.18.99.1/32", **slow},
        "elsewhere": {"kind": "address", "address": "198.18.99.1", "interface": "eth7"},
        "v6": {"kind": "address", "address": "::1"},
    }
    with checks(place, rows) as c:
        c.expect("there", "up", "198.18.99.1 on lo")
        c.expect("anywhere", "up")
        c.expect("elsewhere", "down", "is not on eth7")
        c.expect("v6", "up", "::1 on lo")
        ip("del", "198.18.99.1/32", "dev", "lo")
        c.expect("there", "down", "is not on lo")
        c.expect("anywhere", "down", "any interface")
        ip("add", "198.18.99.1/32", "dev", "lo")
        c.expect("there", "up")


def test_hung_server_is_found_in_3_s_with_defaults(place):
    """Accepts by its backlog, never answers. Defaults: no times in the file."""
    config = {"frr": {"vty": str(place.dir / "none")}, "allow": {"prefixes": ["198.18.0.0/16"]}, "services": [
        {"name": "web", "prefixes": ["198.18.1.0/24"], "checks": [http("/ok")]}]}
    nginx = next(p for p in place.procs if p.args[-1].endswith("nginx.conf"))
    agent = Agent(place.dir / "hung", config, place.ns).start()
    try:
        wait_until("up", lambda: agent.service()["status"] == "up")
        worst = 0
        for _ in range(3):
            os.kill(nginx.pid, signal.SIGSTOP)
            t0 = time.monotonic()
            wait_until("down", lambda: agent.service()["status"] == "down", 5)
            worst = max(worst, time.monotonic() - t0)
            os.kill(nginx.pid, signal.SIGCONT)
            wait_until("it is back", lambda: agent.service()["checks"][0]["status"] == "up", 5)
            agent.ask("disable", "web", "--reason", "the hold-down is not waited for")
            agent.ask("enable", "web")
            agent.end()
            agent.start()
            wait_until("up", lambda: agent.service()["status"] == "up")
        assert worst <= 3, worst
    finally:
        os.kill(nginx.pid, signal.SIGCONT)
        agent.end(signal.SIGKILL)


def test_joins(place):
    ok, bad = http("/ok"), http("/busy")
    def service(i, name, members, **join):
        return {"name": name, "prefixes": [f"198.18.{i}.0/24"], **join,
                "checks": [{**FAST, "name": f"c{k}", **m} for k, m in enumerate(members)]}
    rows = [service(0, "all", [ok, bad]), service(1, "any", [ok, bad], join="any"),
            service(2, "none", [bad, bad], join="any"), service(3, "two", [ok, ok, bad], join="quorum", quorum=2),
            service(4, "three", [ok, ok, bad], join="quorum", quorum=3)]
    config = {"frr": {"vty": str(place.dir / "none")}, "allow": {"prefixes": ["198.18.0.0/16"]}, "services": rows}
    agent = Agent(place.dir / "joins", config, place.ns).start()
    want = {"all": "down", "any": "up", "none": "down", "two": "up", "three": "down"}
    try:
        wait_until(want, lambda: {n: agent.service(n)["status"] for n in want} == want, 5)
        assert "2 of 3 checks pass" in agent.service("two")["reason"]
    finally:
        agent.end(signal.SIGKILL)
