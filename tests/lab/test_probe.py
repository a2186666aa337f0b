# SPDX-License-Identifier: Apache-2.0
"""sluicectl probe against two real nginx behind one address: the route to it is moved, a server is killed."""
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

from .netns import entered
from .procs import Ground, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
CTL = (ROOT / os.environ.get("SLUICE_BUILD", "build") / "sluicectl").resolve()
VIP = "198.18.77.1"
NGINX = """daemon off; master_process off; pid {d}/pid; error_log {d}/error.log;
events {{}}
http {{ access_log off; client_body_temp_path {d}/b; proxy_temp_path {d}/p; fastcgi_temp_path {d}/f;
  uwsgi_temp_path {d}/u; scgi_temp_path {d}/s;
  server {{ listen 80; {tls} location / {{ add_header X-Served-By {n}; return 200 "served by {n}\\n"; }}
    location /broken {{ return 503; }} }} }}
"""


class Place:
    """client -- router -- a, b: both own the VIP; the router's route says who gets it."""

    def __init__(self):
        self.g = g = Ground()
        g.make_namespaces(["c", "r", "a", "b"])
        for i, n in enumerate(("c", "a", "b")):
            g.batch(None, [f"link add up0 netns {g.ns(n)} type veth peer name to-{n} netns {g.ns('r')}"])
            g.batch(n, ["link set lo up", f"addr add 10.77.{i}.2/24 dev up0", "link set up0 up",
                        f"route add default via 10.77.{i}.1"])
            g.batch("r", [f"addr add 10.77.{i}.1/24 dev to-{n}", f"link set to-{n} up"])
        g.run("r", ["sysctl", "-qw", "net.ipv4.ip_forward=1"])
        self.nginx = {}
        pem = g.dir / "vip"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", f"{pem}.key", "-out", f"{pem}.pem", "-days", "2", "-subj", "/CN=www.example.net",
                        "-addext", "subjectAltName=DNS:www.example.net"], capture_output=True, check=True)
        tls = f"listen 443 ssl; ssl_certificate {pem}.pem; ssl_certificate_key {pem}.key;"
        for n in ("a", "b"):
            g.batch(n, [f"addr add {VIP}/32 dev lo"])
            d = g.dir / n
            d.mkdir()
            (d / "nginx.conf").write_text(NGINX.format(d=d, n=f"node-{n}", tls=tls))
            self.start(n)
        self.to("a")

    def start(self, n):
        d = self.g.dir / n
        self.nginx[n] = self.g.spawn(n, ["nginx", "-e", d / "error.log", "-p", d, "-c", d / "nginx.conf"], log=d / "log")
        wait_until(lambda: self.g.run(n, ["curl", "-sf", f"http://{VIP}/"], check=False).returncode == 0, 10, f"nginx {n}")

    def to(self, n):
        self.g.batch("r", [f"route replace {VIP}/32 via 10.77.{'cab'.index(n)}.2"])

    def probe(self, *argv, rc=0, timeout=30):
        done = self.g.run("c", [str(CTL), "probe", *argv], check=False, timeout=timeout)
        assert done.returncode == rc, done.stdout + done.stderr
        return done.stdout if rc != 2 else done.stderr

    def background(self, *argv):
        return self.g.spawn("c", [str(CTL), "probe", *argv], stdout=subprocess.PIPE)


@pytest.fixture(scope="module", name="p")
def _place():
    assert shutil.which("nginx")
    place = Place()
    yield place
    place.g.close()


def finish(child):
    child.send_signal(signal.SIGINT)
    text = child.stdout.read().decode()
    child.stdout.close()
    return child.wait(10), text


def test_who_answers(p):
    got = json.loads(p.probe(VIP, "--count", "10", "--rate", "100", "-o", "json"))["targets"][0]
    assert got["target"] == f"{VIP}:80" and got["lost"] == 0 and got["sent"] == 10
    assert [n["node"] for n in got["answered_by"]] == ["node-a"] and 0 < got["answered_by"][0]["p50_ms"] < 1000
    text = p.probe(VIP, "--count", "5", "--rate", "100", "--id-header", "", "--id-body", "served by ([a-z-]+)")
    assert re.search(r"0 lost \(0\.00%\)\n +ANSWERED BY .*\n +node-a ", text)
    assert "somebody" in p.probe(f"{VIP}:80", "--kind", "tcp", "--count", "5", "--rate", "100")
    # TLS: a certificate that does not fit is a loss, as for any client
    assert "certificate verification failed" in p.probe(VIP, "--kind", "https", "--count", "2", "--rate", "100", rc=1)
    ca = str(p.g.dir / "vip.pem")
    tls = json.loads(p.probe(VIP, "--kind", "https", "--host", "www.example.net", "--vip-ca", ca, "--count", "5", "--rate",
                             "100", "-o", "json"))["targets"][0]
    assert tls["lost"] == 0 and tls["answered_by"][0]["node"] == "node-a"
    p.probe(VIP, "--kind", "https", "--no-verify", "--count", "2", "--rate", "100")
    assert "HTTP status 503" in p.probe(VIP, "--path", "/broken", "--count", "2", "--rate", "100", rc=1)


def test_a_moved_route_is_a_switch(p):
    """The truth: the route moves in one step, between two attempts, so nothing is lost."""
    p.to("a")
    child = p.background(VIP, "--rate", "100", "-o", "json")
    time.sleep(0.5)  # asks meanwhile
    p.to("b")
    time.sleep(0.7)
    rc, text = finish(child)
    got = json.loads(text)
    t = got["targets"][0]
    assert rc == 0 and t["lost"] == 0 and t["switches"] == 1
    switch = next(e for e in got["events"] if e["event"] == "switch")
    assert (switch["from"], switch["to"]) == ("node-a", "node-b") and 0 < switch["gap_ms"] < 300


def test_a_killed_server_is_an_outage_of_its_length(p):
    p.to("b")
    child = p.background(VIP, "--rate", "50", "--timeout-ms", "500", "-o", "json")
    time.sleep(0.4)
    killed = time.monotonic()
    p.g.kill(p.nginx["b"])
    time.sleep(0.6)
    p.to("a")
    moved = time.monotonic()
    time.sleep(0.8)
    rc, text = finish(child)
    p.start("b")
    t = json.loads(text)["targets"][0]
    assert rc == 1 and t["outages"] == 1 and t["switches"] == 1
    true_ms = (moved - killed) * 1000
    assert true_ms - 100 < t["longest_outage_ms"] < true_ms + 400
    assert 0.5 * 50 * true_ms / 1000 < t["lost"] < 1.5 * 50 * true_ms / 1000 + 5


def test_lines_and_metrics(p, tmp_path):
    p.to("a")
    metrics = tmp_path / "probe.prom"
    child = p.background(VIP, f"{VIP}:81", "--rate", "20", "--lines", "--metrics", str(metrics))
    lines = []
    deadline = time.monotonic() + 10
    while sum(x.get("event") == "second" for x in lines) < 4 and time.monotonic() < deadline:
        lines.append(json.loads(child.stdout.readline()))
    rc, _rest = finish(child)
    assert rc == 1  # port 81 is closed
    good = [x for x in lines if x["event"] == "second" and x["target"] == f"{VIP}:80"]
    assert good and good[-1]["node"] == "node-a" and good[-1]["lost"] == 0 and good[-1]["sent"] > 0
    assert any(x["event"] == "outage.start" and x["target"] == f"{VIP}:81" for x in lines)
    text = metrics.read_text()
    assert f'sluice_probe_up{{target="{VIP}:80"}} 1' in text and f'sluice_probe_up{{target="{VIP}:81"}} 0' in text
    check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr


def test_live_on_a_terminal(p):
    pid, fd = pty.fork()
    if pid == 0:
        with entered(p.g.ns("c")):
            os.execve(CTL, ["sluicectl", "probe", VIP, "--rate", "50"], {"TERM": "xterm", "PATH": os.environ["PATH"]})
    text = b""
    deadline = time.monotonic() + 10
    while b"node-a" not in text and time.monotonic() < deadline:
        if select.select([fd], [], [], 0.1)[0]:
            text += os.read(fd, 65536)
    os.write(fd, b"\x03")  # Ctrl-C
    while True:
        try:
            part = os.read(fd, 65536)
        except OSError:
            break
        if not part:
            break
        text += part
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(fd)
    assert b"\x1b[A\x1b[2K" in text and b"ANSWERED BY" in text
    assert text.count(b"\x1b[?7l") == text.count(b"\x1b[?7h")


def test_wrong_usage(p):
    for argv, words in [((), "VIP[:PORT]"), ((VIP, "--kind", "udp"), "--kind wants tcp, http or https"),
                        ((VIP, "--rate", "0"), "--rate wants 1 to 1000"), ((VIP, "--path", "x"), "starts with /"),
                        ((VIP, "--id-body", "("), "no regular expression"), (("a b",), "is no address")]:
        assert words in p.probe(*argv, rc=2)


def test_a_drill_that_cannot_be_asked_for(p):
    """From where no controller answers it would probe for ever, and tell nobody."""
    token = p.g.dir / "token"
    p.g.run("c", [str(CTL), "token", "new", "--name", "anna", "--role", "operator", "--out", token])
    argv = [str(CTL), "--url", "https://127.0.0.1:1", "--ca", str(p.g.dir / "vip.pem"), "--token-file", str(token),
            "probe", VIP, "--drill", "d1"]
    done = p.g.run("c", argv, check=False, timeout=10)
    assert done.returncode == 1 and "127.0.0.1" in done.stderr, done.stdout + done.stderr
