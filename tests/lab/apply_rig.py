# SPDX-License-Identifier: Apache-2.0
"""The place where agent/apply is tested on a real FRR, and hands to use it.

Two namespaces, NODE (AS 64500: zebra, bgpd, the driver) and PEER (AS 65101: zebra, bgpd), one link, sessions
over IPv4 for both families. PEER logs every route it receives; its counter of UPDATE messages is the witness of
silence. Nothing here needs the rest of the lab. A test module takes the fixtures it uses by importing them.
"""
import contextlib
import json
import os
import pathlib
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = os.environ.get("SLUICE_BUILD", "build")
ASAN = "asan" in BUILD
DRIVER = ROOT / BUILD / "apply-driver"
FRR = "/usr/lib/frr"
NODE_IP, PEER_IP = "10.9.0.1", "10.9.0.2"
V4 = [f"198.18.{i}.0/24" for i in range(1, 5)]
V6 = [f"2001:db8:{i:x}::/48" for i in range(1, 3)]
ALLOWED = V4 + V6

# A map that is new at start is acted on (everything is sent once more) when the delay-timer expires, and every
# later edit of any map starts that timer again; settle() waits for it and sets FRR's default of 5 s.
NODE_CONF = f"""\
hostname node
log file @DIR@/bgpd.log
bgp route-map delay-timer 1
route-map EXPORT permit 10
route-map FOREIGN permit 10
 set metric 7
router bgp 64500
 bgp router-id {NODE_IP}
 no bgp network import-check
 coalesce-time 0
 timers bgp 3 9
 neighbor {PEER_IP} remote-as 65101
 neighbor {PEER_IP} timers connect 1
 address-family ipv4 unicast
  neighbor {PEER_IP} route-map EXPORT out
  network 203.0.113.0/24 route-map FOREIGN
  network 192.0.2.0/24
 exit-address-family
 address-family ipv6 unicast
  neighbor {PEER_IP} activate
  neighbor {PEER_IP} route-map EXPORT out
 exit-address-family
"""
PEER_CONF = f"""\
hostname peer
log file @DIR@/updates.log debugging
debug bgp updates in
router bgp 65101
 bgp router-id {PEER_IP}
 no bgp ebgp-requires-policy
 coalesce-time 0
 timers bgp 3 9
 neighbor {NODE_IP} remote-as 64500
 neighbor {NODE_IP} timers connect 1
 address-family ipv6 unicast
  neighbor {NODE_IP} activate
"""


def wait_until(what, check, timeout=10.0, every=0.02):
    """Polls check until it is true; its last value is returned."""
    end = time.monotonic() + timeout
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(every)


def stays(what, check, seconds):
    """check must hold all the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert check(), what
        time.sleep(0.05)


def has_ended(pid):
    """A zombie has ended too: who reaps it is not our business."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


class Vty:
    """A blocking client of a vty socket (what a person at vtysh does)."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(str(path))
        self.ask("enable")

    def ask(self, command):
        self.sock.sendall(command.encode() + b"\0")
        data = b""
        while not (len(data) >= 4 and data[-4:-1] == b"\0\0\0"):
            chunk = self.sock.recv(65536)
            if not chunk:
                raise EOFError(command)
            data += chunk
        return data[-1], data[:-4].decode()

    def close(self):
        self.sock.close()


class Router:
    def __init__(self, ns, root, conf):
        self.ns, self.dir = ns, root
        self.dir.mkdir()
        shutil.chown(self.dir, "frr", "frr")
        self.conf = self.dir / "bgpd.conf"
        self.zconf = self.dir / "zebra.conf"
        self.zconf.write_text("")
        self.set_conf(conf)
        self.start("zebra", self.zconf)

    def set_conf(self, conf):
        self.conf.write_text(conf.replace("@DIR@", str(self.dir)))
        for path in (self.conf, self.zconf):
            shutil.chown(path, "frr", "frr")

    def start(self, name, conf):
        subprocess.run(["ip", "netns", "exec", self.ns, f"{FRR}/{name}", "-d", "-z", self.dir / "zserv", "-i",
                        self.dir / f"{name}.pid", "--vty_socket", self.dir, "-f", conf, "-A", "127.0.0.1", "-P", "0"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start_bgpd(self):
        self.start("bgpd", self.conf)

    def pid(self, name="bgpd"):
        return int((self.dir / f"{name}.pid").read_text())

    def end(self, name="bgpd", sig=signal.SIGTERM):
        try:
            pid = self.pid(name)
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, sig)
        except (FileNotFoundError, ProcessLookupError):
            return
        wait_until(f"{name} has ended", lambda: has_ended(pid), 20)

    @property
    def vty(self):
        return self.dir / "bgpd.vty"

    def ask(self, command):
        v = Vty(self.vty)
        try:
            return v.ask(command)[1]
        finally:
            v.close()

    def json(self, command):
        return json.loads(self.ask(command))

    def type(self, *lines):
        v = Vty(self.vty)
        for line in ("configure terminal", *lines, "end"):
            status, text = v.ask(line)
            assert status == 0 and not text.startswith("%"), (line, text)
        v.close()

    def config(self):
        return self.ask("show running-config")


class Net:
    """Both namespaces; everything it starts it ends."""

    def __init__(self):
        tag = f"sla{secrets.token_hex(2)}"
        self.root = pathlib.Path(tempfile.mkdtemp(prefix=f"{tag}-"))
        self.root.chmod(0o755)
        self.names = [f"{tag}-n", f"{tag}-p"]
        self.node = self.peer = None

    def up(self):
        n, p = self.names
        for ns in self.names:
            subprocess.run(["ip", "netns", "add", ns], check=True)
        for cmd in (f"link add n0 netns {n} type veth peer name p0 netns {p}",
                    f"-n {n} addr add {NODE_IP}/24 dev n0", f"-n {p} addr add {PEER_IP}/24 dev p0",
                    f"-n {n} addr add fd00:9::1/64 dev n0 nodad", f"-n {p} addr add fd00:9::2/64 dev p0 nodad",
                    f"-n {n} link set lo up", f"-n {p} link set lo up",
                    f"-n {n} link set n0 up", f"-n {p} link set p0 up"):
            subprocess.run(["ip", *cmd.split()], check=True)
        self.peer = Router(p, self.root / "peer", PEER_CONF)
        self.node = Router(n, self.root / "node", NODE_CONF)
        self.peer.start_bgpd()
        wait_until("the log", (self.peer.dir / "updates.log").exists)
        mark = self.log_mark()
        self.node.start_bgpd()
        self.settle(mark)
        return self

    def settle(self, mark):
        """After a start of the node's bgpd."""
        self.wait_established()
        wait_until("the start is over", lambda: len(self.log_since(mark, "203.0.113.0/24")) > 1, 20)
        self.node.type("bgp route-map delay-timer 5")

    def down(self):
        for r in (self.node, self.peer):
            for name in ("bgpd", "zebra"):
                if r:
                    r.end(name, signal.SIGKILL)
        for ns in self.names:
            subprocess.run(["ip", "netns", "del", ns], stderr=subprocess.DEVNULL, check=False)
        if os.environ.get("KEEP"):
            print(self.root)
        else:
            shutil.rmtree(self.root, ignore_errors=True)

    # -- the neighbour, who is the witness --

    def wait_established(self):
        def check():
            try:
                s = self.node.json("show bgp summary json")
            except (OSError, EOFError, ValueError):
                return False
            return all(s.get(f, {}).get("peers", {}).get(PEER_IP, {}).get("state") == "Established"
                       for f in ("ipv4Unicast", "ipv6Unicast"))
        wait_until("the session is up", check, 30, 0.1)
        # the foreign one has arrived: the first exchange is over
        wait_until("first routes", lambda: self.route("203.0.113.0/24"), 20)

    def route(self, prefix):
        """The neighbour's path for prefix, or None."""
        family = "ipv6" if ":" in prefix else "ipv4"
        paths = self.peer.json(f"show bgp {family} unicast {prefix} json").get("paths", [])
        return paths[0] if paths else None

    def updates(self):
        peers = self.peer.json("show bgp neighbors json")
        return peers[NODE_IP]["messageStats"]["updatesRecv"]

    def log_mark(self):
        """The end of the neighbour's log, once it is silent: what was applied may be on its way for 50 ms still."""
        sizes = []

        def still():
            sizes.append((self.peer.dir / "updates.log").stat().st_size)
            return sizes[-8:] == [sizes[-1]] * 8
        wait_until("the neighbour is silent", still, 10, 0.025)
        return sizes[-1]

    def witness(self):
        """What stays_silent takes."""
        mark = self.log_mark()
        return self.updates(), mark

    def log_text(self, mark):
        with open(self.peer.dir / "updates.log", encoding="utf-8", errors="replace") as f:
            f.seek(mark)
            return f.read()

    def stays_silent(self, seconds, updates=None, mark=None):
        """Not one UPDATE arrives at the neighbour, since updates and mark were taken, and for so long."""
        updates = self.updates() if updates is None else updates
        mark = self.log_mark() if mark is None else mark
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.updates() == updates, "an UPDATE came:\n" + self.log_text(mark)
            time.sleep(0.05)

    def log_since(self, mark, prefix):
        """What the neighbour received about prefix since mark: a list of "route" and "withdrawn"."""
        seen = []
        for line in self.log_text(mark).splitlines():
            if not re.search(rf"rcvd.* {re.escape(prefix)}[ ,]", line):
                continue  # a refreshed route is counted too ("duplicate ignored")
            seen.append("withdrawn" if "withdrawn" in line else "route")
        return seen


class Driver:
    def __init__(self, vty, allowed=(), argv=(), program=DRIVER):
        self.proc = subprocess.Popen([*argv, str(program), str(vty), *(allowed or ALLOWED)], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, text=True, bufsize=1)
        self.events = []
        self.cond = threading.Condition()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.proc.stdout:
            with self.cond:
                self.events.append(json.loads(line))
                self.cond.notify_all()

    def say(self, *lines):
        self.proc.stdin.write("".join(line + "\n" for line in lines))
        self.proc.stdin.flush()

    def mark(self):
        with self.cond:
            return len(self.events)

    def wait(self, what, check, since=0, timeout=10.0):
        """The first event after since for which check is true."""
        end = time.monotonic() + timeout
        with self.cond:
            at = since
            while True:
                for event in self.events[at:]:
                    if check(event):
                        return event
                at = len(self.events)
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"no {what} within {timeout} s; events: {self.events[since:][-3:]}")
                self.cond.wait(left)

    def commit(self, *wants):
        since = self.mark()
        self.say(*("want " + w for w in wants), "commit")
        return self.wait("commit", lambda e: e["event"] == "commit", since)

    def apply(self, *wants, timeout=10.0):
        """Commits, and waits until every want is reported as it should be."""
        since = self.mark()
        done = self.commit(*wants)
        assert done["err"] == 0
        want = {w.split()[0]: "withdrawn" not in w.split() for w in wants}
        event = self.wait("applied", lambda e: e["event"] == "applied" and is_applied(e, want), since, timeout)
        return event["ms"] - done["ms"]

    def routes(self):
        since = self.mark()
        self.say("state")
        event = self.wait("state", lambda e: e["event"] == "state", since)
        return {r["prefix"]: r for r in event["routes"]}, event

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.proc.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        if self.proc.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                self.say("quit")
        rc = self.proc.wait(20)
        self.reader.join(5)
        assert rc == 0, f"the driver ended with {rc}"

    def kill(self):
        self.proc.kill()
        self.proc.wait()


def is_applied(event, want):
    got = {r["prefix"]: r for r in event["routes"]}
    return all(p in got and not got[p]["error"] and got[p]["announced"] == on for p, on in want.items())


class Proxy:
    """Sits between driver and bgpd; notes every command and may answer some in bgpd's place."""

    def __init__(self, path, to):
        self.path, self.to = path, to
        self.commands, self.answers = [], []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen(4)
        threading.Thread(target=self.accept, daemon=True).start()

    def answer(self, pattern, status, text, times):
        self.answers.append([re.compile(pattern), status, text, times])

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                conn, _ = self.server.accept()
                threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def instead(self, command):
        for row in self.answers:
            if row[3] > 0 and row[0].search(command):
                row[3] -= 1
                return row[2].encode() + b"\0\0\0" + bytes([row[1]])
        return None

    def serve(self, conn):
        with contextlib.suppress(OSError, EOFError):
            up = Vty(self.to)
            data = b""
            while True:
                chunk = conn.recv(65536)
                if not chunk:
                    break
                data += chunk
                while b"\0" in data:
                    raw, data = data.split(b"\0", 1)
                    command = raw.decode()
                    self.commands.append(command)
                    reply = self.instead(command)
                    if reply is None:
                        status, text = up.ask(command)
                        reply = text.encode() + b"\0\0\0" + bytes([status])
                    conn.sendall(reply)
        conn.close()

    def config_commands(self, since=0):
        return [c for c in self.commands[since:] if not c.startswith(("show ", "enable"))]

    def close(self):
        self.server.close()
        self.path.unlink()


@pytest.fixture(scope="module", name="net")
def _net():
    make = ["make", "--no-print-directory", f"BUILD={BUILD}", f"{BUILD}/apply-driver"]
    subprocess.run(make + (["SAN=1"] if ASAN else []), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    net = Net()
    try:
        yield net.up()
    finally:
        net.down()


def purge(node):
    """No route-map and no network of the tests is left."""
    config = node.config()
    lines = ["router bgp 64500"]
    for prefix in re.findall(r"^  network (\S+)", config, re.M):
        if prefix not in ("203.0.113.0/24", "192.0.2.0/24"):
            lines += [f"address-family ipv{6 if ':' in prefix else 4} unicast", f"no network {prefix}"]
    for name in sorted(set(re.findall(r"^route-map (SLUICE\S+)", config, re.M))):
        lines.append(f"no route-map {name}")
    if len(lines) > 1:
        node.type(*lines)


@pytest.fixture(name="clean")
def _clean(net):
    yield net
    purge(net.node)
    wait_until("nothing of ours is left at the neighbour", lambda: not any(net.route(p) for p in ALLOWED), 10)


@pytest.fixture(name="driver")
def _driver(clean):
    d = Driver(clean.node.vty)
    yield d
    d.end()


@pytest.fixture(name="proxy")
def _proxy(clean):
    p = Proxy(clean.root / f"p{secrets.token_hex(2)}.vty", clean.node.vty)
    yield p
    p.close()


def communities(path):
    return path.get("community", {}).get("string", "")


def sees(net, prefix, prepends=0, comm=""):
    """The neighbour has prefix with these attributes; its own queue may take 50 ms more. Returns the path."""
    def check():
        path = net.route(prefix)
        right = path and path["aspath"]["string"].split() == ["64500"] * (1 + prepends) and communities(path) == comm
        return path if right else None
    return wait_until(f"{prefix} with {prepends} prepends and communities \"{comm}\"", check, 2)


def gone(net, *prefixes):
    wait_until(f"{prefixes} gone from the neighbour", lambda: not any(net.route(p) for p in prefixes), 2)
