# SPDX-License-Identifier: Apache-2.0
"""sluicectl against a real controller on loopback, without agents: every command, its words and exit status."""
import fcntl
import hashlib
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import ssl
import stat
import struct
import subprocess
import termios
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("SLUICE_BUILD", "build")).resolve()
EXAMPLE = ROOT / "deploy" / "examples" / "cluster.yaml"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(condition, what, timeout_s=15):
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.02)


class World:
    """A CA, tokens, one controller and an environment that points at it."""

    def __init__(self, home):
        self.home = home
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm"}
        self.controller = None
        self.ports = free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.ports[1]}"

    def ctl(self, *argv, rc=0, env=None, stdin=""):
        p = subprocess.run([BUILD / "sluicectl", *map(str, argv)], env={**self.env, **(env or {})}, input=stdin,
                           capture_output=True, text=True, timeout=40, check=False)
        assert p.returncode == rc, f"{argv}: {p.returncode}\n{p.stdout}\n{p.stderr}"
        return p.stdout if rc == 0 else p.stderr

    def token(self, name, role):
        line = self.ctl("token", "new", "--name", name, "--role", role, "--out", self.home / f"{name}.token")
        with open(self.home / "tokens", "a", encoding="ascii") as f:
            f.write(line)

    def prepare(self):
        self.ctl("pki", "init", self.home / "pki", "--cluster", "test")
        self.ctl("pki", "issue", "controller", "--dir", self.home / "pki", "--role", "controller", "--ip",
                 "127.0.0.1")
        for role in ("viewer", "operator", "admin"):
            self.token(f"the-{role}", role)
        pki = self.home / "pki"
        (self.home / "state").mkdir()
        (self.home / "controller.yaml").write_text(json.dumps({
            "state_dir": str(self.home / "state"),
            "agents": {"listen": f"127.0.0.1:{self.ports[0]}"},
            "api": {"listen": f"127.0.0.1:{self.ports[1]}", "tokens": str(self.home / "tokens")},
            "tls": {"ca": str(pki / "ca.pem"), "cert": str(pki / "controller.pem"),
                    "key": str(pki / "controller.key")},
        }), encoding="ascii")
        self.env |= {"SLUICE_URL": self.url, "SLUICE_CA": str(pki / "ca.pem"),
                     "SLUICE_TOKEN_FILE": str(self.home / "the-admin.token")}

    def answers(self):
        assert self.controller.poll() is None, "the controller ended: see its log"
        try:
            socket.create_connection(("127.0.0.1", self.ports[1]), 1).close()
            return True
        except OSError:
            return False

    def start(self):
        with open(self.home / "controller.log", "ab") as log:
            self.controller = subprocess.Popen([BUILD / "sluice-controller", "-c", self.home / "controller.yaml"],
                                               stderr=log)
        wait_for(self.answers, "the API")

    def stop(self, sig=signal.SIGTERM):
        if self.controller.poll() is None:
            self.controller.send_signal(sig)
        return self.controller.wait(15)


@pytest.fixture(scope="module", name="w")
def _world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("ctl"))
    world.prepare()
    world.start()
    yield world
    assert world.stop() == 0


@pytest.fixture(name="applied")
def _applied(w):
    w.ctl("apply", "-f", EXAMPLE)
    w.ctl("mode", "observe")
    return w


# -- without a controller -----------------------------------------------------------------------------------


def test_help_names_every_command(w):
    text = w.ctl("--help")
    for command in ("status", "top", "get", "plan", "whatif", "apply", "drain", "undrain", "mode", "events", "explain",
                    "pki init", "pki issue", "token new"):
        assert re.search(rf"^  {command} ", text, re.M), command
        own = w.ctl(*command.split(), "--help")
        assert own.startswith(f"usage: sluicectl {command}")
        assert own == w.ctl("help", *command.split())


@pytest.mark.parametrize("argv, words", [
    ([], "which command?"),
    (["frobnicate"], "unknown command 'frobnicate'"),
    (["pki"], "sluicectl pki init DIR"),
    (["status", "--frob"], "unknown or ambiguous option --frob"),
    (["status", "extra"], "'extra' is one argument too many"),
    (["status", "-o", "xml"], "-o wants table or json"),
    (["get", "unicorns"], "there is no 'unicorns'"),
    (["drain", "site", "fra"], "needs --reason"),
    (["drain", "planet", "earth", "-r", "x"], "site NAME, node NAME or service NAME"),
    (["drain", "site", "fra", "-r", "x", "--expires", "30"], "--expires wants a time such as"),
    (["drain", "service", "web", "-r", "x"], "give --site SITE"),
    (["drain", "site", "fra", "--site", "fra", "-r", "x"], "--site goes with a service"),
    (["drain", "site", "fra", "-r", "x", "--residual", "101"], "--residual wants 0 to 100"),
    (["override", "set", "web-a@fra=drain"], "needs --reason"),
    (["override", "set", "web-a=drain", "-r", "x"], "SHARD@SITE=GRADE or SHARD@NODE=WEIGHT is wanted"),
    (["override"], "sluicectl override set SHARD@SITE=GRADE"),
    (["token", "create", "x"], "--role wants viewer"),
    (["node", "revoke", "fra1"], "needs --reason"),
    (["mode", "dance"], "observe, steer or freeze"),
    (["plan", "b"], "'b' is one argument too many"),
    (["whatif"], "what if what?"),
    (["whatif", "--drain", "fra", "--lose", "fra"], "one of --drain SITE, --lose SITE"),
    (["whatif", "--move", "web-a@fra"], "--move wants SHARD@SITE=GRADE, not 'web-a@fra'"),
    (["whatif", "--move", "@fra=drain"], "--move wants SHARD@SITE=GRADE"),
    (["whatif", *["--move", "a@b=c"] * 17], "--move may be given 16 times, not more"),
    (["explain"], "something is missing: ID"),
    (["explain", "1/2"], "an event has a number"),
    (["apply"], "-f FILE is missing"),
    (["pki", "init", "d", "--cluster", "a/b"], "--cluster NAME"),
    (["pki", "issue", "x", "--dir", "d", "--role", "king"], "--role wants node or controller"),
    (["token", "new", "--name", "x", "--role", "king"], "--role wants viewer"),
])
def test_wrong_usage_is_2(w, argv, words):
    assert words in w.ctl(*argv, rc=2)


def test_token(w, tmp_path):
    name, role, digest = w.ctl("token", "new", "--name", "bob", "--role", "viewer", "--out", tmp_path / "t").split()
    secret = (tmp_path / "t").read_text().rstrip("\n")
    assert (name, role) == ("bob", "viewer")
    assert digest == hashlib.sha256(secret.encode()).hexdigest()
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret)
    assert stat.S_IMODE((tmp_path / "t").stat().st_mode) == 0o600
    assert "exists already" in w.ctl("token", "new", "--name", "bob", "--role", "viewer", "--out", tmp_path / "t",
                                     rc=1)
    assert (tmp_path / "t").read_text().rstrip("\n") == secret
    line, shown = w.ctl("token", "new", "--name", "bob", "--role", "viewer").splitlines()
    assert line.split()[2] == hashlib.sha256(shown.encode()).hexdigest()


def test_pki(w, tmp_path):
    w.ctl("pki", "init", tmp_path / "p", "--cluster", "x")
    assert "exists" in w.ctl("pki", "init", tmp_path / "p", "--cluster", "x", rc=1)
    w.ctl("pki", "issue", "n1", "--dir", tmp_path / "p", "--role", "node")
    before = (tmp_path / "p" / "n1.pem").read_bytes()
    assert "exists" in w.ctl("pki", "issue", "n1", "--dir", tmp_path / "p", "--role", "node", rc=1)
    assert (tmp_path / "p" / "n1.pem").read_bytes() == before
    w.ctl("pki", "issue", "n1", "--dir", tmp_path / "p", "--role", "node", "--force")
    assert (tmp_path / "p" / "n1.pem").read_bytes() != before
    assert stat.S_IMODE((tmp_path / "p" / "n1.key").stat().st_mode) == 0o600


# -- reaching it --------------------------------------------------------------------------------------------


def test_connection_errors_say_what_to_do(w, tmp_path):
    w.ctl("pki", "init", tmp_path / "other", "--cluster", "other")
    port = free_port()
    for env, words in [
        ({"SLUICE_URL": ""}, "give --url"),
        ({"SLUICE_URL": "http://127.0.0.1:1"}, "HTTPS only"),
        ({"SLUICE_URL": "banana"}, "is not a URL"),
        ({"SLUICE_URL": f"https://127.0.0.1:{port}"}, "Is sluice-controller running there?"),
        ({"SLUICE_CA": str(tmp_path / "other" / "ca.pem")}, "is not trusted"),
        ({"SLUICE_CA": "/nonexistent"}, "cannot read the CA certificate /nonexistent"),
        ({"SLUICE_TOKEN_FILE": "/nonexistent"}, "cannot read the token file /nonexistent"),
        ({"SLUICE_TOKEN_FILE": str(EXAMPLE)}, "is not a token file"),
        ({"SLUICE_TOKEN_FILE": ""}, "no token was sent"),
    ]:
        assert words in w.ctl("status", env=env, rc=1), words


def test_certificate_of_another_address(w):
    pki = w.home / "pki"
    w.ctl("pki", "issue", "elsewhere", "--dir", pki, "--role", "controller", "--ip", "192.0.2.1", "--force")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki / "elsewhere.pem", pki / "elsewhere.key")
    seen = []

    def serve(listener):
        try:
            with context.wrap_socket(listener.accept()[0], server_side=True) as s:
                seen.append(s.recv(4096))
        except OSError:
            pass

    with socket.create_server(("127.0.0.2", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        url = f"https://127.0.0.2:{listener.getsockname()[1]}"
        assert "is not trusted" in w.ctl("status", env={"SLUICE_URL": url}, rc=1)
        thread.join(10)
    assert not any(seen), "the token was sent to somebody else"


def test_no_token_in_any_message(w, tmp_path):
    bad = tmp_path / "bad"
    bad.write_text("x" * 43 + "\n")
    bad.chmod(0o600)
    text = w.ctl("status", env={"SLUICE_TOKEN_FILE": str(bad)}, rc=1)
    assert "(401)" in text and "x" * 43 not in text
    bad.chmod(0o644)
    assert "others can read" in w.ctl("status", env={"SLUICE_TOKEN_FILE": str(bad)}, rc=1)
    assert "x" * 43 not in (w.home / "controller.log").read_text()


def test_roles(applied):
    viewer = {"SLUICE_TOKEN_FILE": str(applied.home / "the-viewer.token")}
    operator = {"SLUICE_TOKEN_FILE": str(applied.home / "the-operator.token")}
    applied.ctl("status", env=viewer)
    assert "(403)" in applied.ctl("mode", "steer", env=viewer, rc=1)
    applied.ctl("mode", "steer", env=operator)
    assert "(403)" in applied.ctl("apply", "-f", EXAMPLE, "--dry-run", env=operator, rc=1)


def test_context_file(w, tmp_path):
    conf = tmp_path / "sluice" / "ctl.yaml"
    conf.parent.mkdir()
    pki = w.home / "pki"
    conf.write_text(f"current: here\ncontexts:\n  here: {{url: '{w.url}', ca: '{pki}/ca.pem', token_file: tok}}\n"
                    "  away: {url: 'https://127.0.0.1:1'}\n")
    (conf.parent / "tok").write_bytes((w.home / "the-viewer.token").read_bytes())
    (conf.parent / "tok").chmod(0o600)
    bare = {"XDG_CONFIG_HOME": str(tmp_path), "SLUICE_URL": "", "SLUICE_CA": "", "SLUICE_TOKEN_FILE": ""}
    assert "the-viewer" in w.ctl("mode", "freeze", env=bare, rc=1)
    assert "cannot reach" in w.ctl("status", "--context", "away", env=bare, rc=1)
    assert "there is no context 'nowhere'" in w.ctl("status", "--context", "nowhere", env=bare, rc=1)
    # its token stays with its own url
    assert "no token was sent" in w.ctl("status", "--url", w.url + "/", "--ca", pki / "ca.pem", env=bare, rc=1)
    conf.write_text("current: here\ncontext: {}\n")
    assert "unknown key 'context'" in w.ctl("status", env=bare, rc=1)
    conf.write_text("current: [\n")
    assert re.search(r"ctl\.yaml:\d+:\d+: ", w.ctl("status", env=bare, rc=1))


# -- the document -------------------------------------------------------------------------------------------


def test_apply(w, tmp_path):
    doc = tmp_path / "c.yaml"
    doc.write_text(EXAMPLE.read_text().replace("name: example", "name: other"))
    w.ctl("apply", "-f", EXAMPLE)
    dry = w.ctl("apply", "-f", doc, "--dry-run")
    assert '~ /name  "example" -> "other"' in dry and "valid: 1 change, not applied" in dry
    assert w.ctl("apply", "-f", EXAMPLE) == "unchanged\n"
    assert w.ctl("apply", "-f", doc) == "applied: 1 change\n"
    assert w.ctl("apply", "-f", doc) == "unchanged\n"
    assert w.ctl("apply", "-f", "-", stdin=w.ctl("get", "cluster")) == "unchanged\n"
    out = json.loads(w.ctl("apply", "-f", "-", "-o", "json", stdin=EXAMPLE.read_text()))
    assert out["result"] == "applied" and out["changes"][0]["path"] == "/name"


def test_order_of_named_lists_is_no_change(applied):
    doc = json.loads(applied.ctl("get", "cluster"))
    doc["sites"].reverse()
    assert applied.ctl("apply", "-f", "-", stdin=json.dumps(doc)) == "unchanged\n"


def test_every_error_with_its_place(applied):
    before = applied.ctl("get", "cluster")
    text = EXAMPLE.read_text().replace("capacity: {bps: 40000000}", "capacity: {bps: 5}").replace("min_sites", "min_site")
    err = applied.ctl("apply", "-f", "-", rc=1, stdin=text)
    lines = text.splitlines()
    assert "refused with 3 errors: nothing was changed" in err
    for pointer, want in [("/sites/1/nodes/0/capacity/bps", "5}"), ("/sites/2/nodes/0/capacity/bps", "5}"),
                          ("/services/0/min_site", "2")]:
        line, col = map(int, re.search(rf"standard input:(\d+):(\d+): {pointer}: ", err).groups())
        assert lines[line - 1][col - 1:].startswith(want), (pointer, line, col)
    assert applied.ctl("get", "cluster") == before


def test_what_is_no_document(applied, tmp_path):
    for text, words in [("a: [1\n", "standard input:2:1: "), ("just text", "this is no cluster document"),
                        ("a: &x 1\nb: *x\n", "standard input:1:4: anchors"), ("", "this is no cluster document")]:
        assert words in applied.ctl("apply", "-f", "-", rc=1, stdin=text)
    assert "cannot read" in applied.ctl("apply", "-f", tmp_path / "none", rc=1)


# -- operating ----------------------------------------------------------------------------------------------


def test_mode(applied):
    assert applied.ctl("mode", "steer", "--reason", "let us go") == "steer  (let us go)\n"
    assert applied.ctl("mode") == "steer  (let us go)\n"
    assert json.loads(applied.ctl("mode", "-o", "json"))["mode"] == "steer"


def test_drain(applied):
    refused = applied.ctl("drain", "node", "fra1", "--reason", "new \033[31mdisk", rc=1)
    assert "without control characters" in refused and "\033" not in refused
    applied.ctl("drain", "node", "fra1", "--reason", "new disk", "--expires", "30m")
    assert "drained already" in applied.ctl("drain", "node", "fra1", "--reason", "again", rc=1)
    status = applied.ctl("status")
    assert "new disk" in status
    drain = json.loads(applied.ctl("status", "-o", "json"))["drains"][0]
    assert drain["name"] == "fra1" and drain["actor"] == "the-admin" and drain["expires"]
    applied.ctl("undrain", "node", "fra1")
    assert json.loads(applied.ctl("status", "-o", "json"))["drains"] == []
    assert "(404)" in applied.ctl("drain", "site", "atlantis/../fra", "--reason", "x", rc=1)


def test_drain_of_a_service_and_waiting(applied):
    """Nothing is announced here, so a drain has nothing to wait for: it is over at once, and says so."""
    applied.ctl("mode", "steer")
    applied.ctl("drain", "service", "web", "--site", "fra", "--reason", "new release")
    drain = json.loads(applied.ctl("status", "-o", "json"))["drains"][0]
    assert (drain["kind"], drain["name"], drain["site"]) == ("service", "web", "fra")
    applied.ctl("undrain", "service", "web", "--site", "fra", "--reason", "done")
    assert json.loads(applied.ctl("status", "-o", "json"))["drains"] == []
    p = subprocess.Popen([BUILD / "sluicectl", "drain", "node", "nyc1", "--reason", "disk", "--wait"], env=applied.env,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # somebody else ends it meanwhile, unless it was over before
    wait_for(lambda: p.poll() is not None or json.loads(applied.ctl("status", "-o", "json"))["drains"], "the drain")
    applied.ctl("undrain", "node", "nyc1")
    out, err = p.communicate(timeout=20)
    assert (p.returncode, out) == (0, "node nyc1 is drained\n") or (p.returncode == 1 and "somebody ended" in err)


def test_override(applied):
    applied.ctl("mode", "steer")
    assert "no overrides" in applied.ctl("override", "list")
    table = applied.ctl("override", "set", "web-a@fra=prepend1", "--reason", "by hand", "--confirm", "5m")
    assert "unconfirmed" in table and "by hand" in table
    made = json.loads(applied.ctl("override", "list", "-o", "json"))[0]
    assert (made["grade"], made["actor"], made["state"]) == ("prepend1", "the-admin", "unconfirmed")
    assert json.loads(applied.ctl("override", "confirm", made["id"], "-o", "json"))["state"] == "active"
    weight = json.loads(applied.ctl("override", "set", "web-a@fra1=7", "--reason", "slow", "-o", "json"))
    assert (weight["node"], weight["weight"]) == ("fra1", 7)
    assert re.search(rf"^{weight['id']} +- +7 ", applied.ctl("override", "list"), re.M)
    assert "(404)" in applied.ctl("override", "confirm", "grade:fra:nope", rc=1)
    for one in (made, weight):
        assert "the plan decides again" in applied.ctl("override", "delete", one["id"], "--reason", "over & done")
    assert json.loads(applied.ctl("override", "list", "-o", "json")) == []


def test_audit(applied):
    applied.ctl("mode", "freeze", "--reason", "storm")
    applied.ctl("mode", "observe", "--reason", "it passed")
    rows = json.loads(applied.ctl("audit", "--kind", "mode", "--limit", "2", "-o", "json"))
    assert [r["reason"] for r in rows] == ["storm", "it passed"] and rows[0]["actor"] == "the-admin"
    assert re.search(r"the-admin +mode +mode freeze -> observe", applied.ctl("audit", "--limit", "5"))
    assert "nobody did anything" in applied.ctl("audit", "--actor", "nobody")
    assert "from" in applied.ctl("audit", "--from", "yesterday", rc=1)


def test_token_through_the_api(applied, tmp_path):
    out = tmp_path / "bob.token"
    applied.ctl("token", "create", "bob", "--role", "viewer", "--expires", "1h", "--out", out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    as_bob = {"SLUICE_TOKEN_FILE": str(out)}
    applied.ctl("status", env=as_bob)
    assert "(403)" in applied.ctl("mode", "steer", env=as_bob, rc=1)
    assert re.search(r"^bob +viewer +api +the-admin ", applied.ctl("token", "list"), re.M)
    assert "exists already" in applied.ctl("token", "create", "eve", "--role", "viewer", "--out", out, rc=1)
    applied.ctl("token", "revoke", "bob")
    assert "(401)" in applied.ctl("status", env=as_bob, rc=1)
    secret = applied.ctl("token", "create", "bob", "--role", "viewer").strip()
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", secret) and secret not in (applied.home / "controller.log").read_text()
    applied.ctl("token", "revoke", "bob")


def test_get(applied):
    for what, name, head in [("sites", "fra", "SITE"), ("nodes", "fra1", "NODE"), ("services", "web", "SERVICE"),
                             ("shards", "web-a", "SHARD")]:
        table = applied.ctl("get", what)
        assert table.startswith(head) and re.search(rf"^{name} ", table, re.M)
        assert name in [o["name"] for o in json.loads(applied.ctl("get", what, "-o", "json"))]
        assert json.loads(applied.ctl("get", what[:-1], name, "-o", "json"))["name"] == name
        assert re.search(rf"^{name} ", applied.ctl("get", what, name), re.M)
        assert "(404)" in applied.ctl("get", what, "nope", rc=1)
    assert json.loads(applied.ctl("get", "plan", "-o", "json"))["state"]
    assert applied.ctl("get", "plan").split()[0] == json.loads(applied.ctl("get", "plan", "-o", "json"))["state"]


def test_plan_is_get_plan(applied):
    # null before the first round with this document
    state = wait_for(lambda: json.loads(applied.ctl("plan", "-o", "json"))["state"], "the first round")
    assert state == json.loads(applied.ctl("get", "plan", "-o", "json"))["state"]
    assert applied.ctl("plan").split()[0] == state


def whatif(w, *argv, rc=0):
    """Asked again while a plan is being made."""
    def ask():
        p = subprocess.run([BUILD / "sluicectl", "whatif", *argv], env=w.env, capture_output=True, text=True, timeout=40,
                           check=False)
        return None if "(503)" in p.stderr else p
    p = wait_for(ask, "an answer")
    assert p.returncode == rc, f"{argv}: {p.returncode}\n{p.stdout}\n{p.stderr}"
    return p.stdout if rc == 0 else p.stderr


def test_whatif_without_data(applied):
    # nothing is announced: nothing would change, and the sites are as empty after as before
    text = whatif(applied, "--drain", "fra")
    assert text.startswith("nothing would change\n") and re.search(r"^  fra +0% +0% ", text, re.M)
    answer = json.loads(whatif(applied, "--lose", "fra", "-o", "json"))
    assert answer["state"] == "act" and answer["moves"] == [] and answer["left_out"] == 0
    assert {f["site"] for f in answer["forecast"]} == {s["name"] for s in json.loads(applied.ctl("get", "sites", "-o",
                                                                                               "json"))}
    before = last_id(applied)
    move = json.loads(whatif(applied, "--move", "web-a@fra=normal", "-o", "json"))["moves"][0]
    assert (move["shard"], move["site"], move["to"], move["kind"]) == ("web-a", "fra", "normal", "operator")
    assert last_id(applied) == before


def test_whatif_says_what_is_wrong(applied):
    assert "/drain/site: there is no site \"nowhere\"" in whatif(applied, "--drain", "nowhere", rc=1)
    err = whatif(applied, "--move", "web-a@fra=normal", "--move", "web-x@fra=gone", rc=1)
    assert "/moves/1/shard: " in err and "/moves/1/grade: " in err and "/moves/0" not in err


def test_explain(applied):
    start = last_id(applied)
    applied.ctl("mode", "steer", "--reason", "for explain")
    applied.ctl("mode", "observe", "--reason", "back")
    first, second = [json.loads(x)["id"] for x in applied.ctl("events", "--since", str(start), "--kind", "mode", "-o",
                                                              "json").splitlines()]
    text = applied.ctl("explain", first)
    assert text.startswith(f"mode {first}  mode observe -> steer by the-admin")
    for line in (r"when +20..-..-..T", "from +observe", "to +steer", r"reason +for explain", "by +the-admin"):
        assert re.search(rf"^  {line}", text, re.M), line
    both = json.loads(applied.ctl("explain", first, "-o", "json"))
    assert both["event"]["id"] == first and all(n["kind"] == "mode" for n in both["neighbours"])
    if second in [n["id"] for n in both["neighbours"]]:  # the machine was fast enough
        assert re.search(rf"^  +{second}  mode steer -> observe", text, re.M)
    assert "(404)" in applied.ctl("explain", 10**9, rc=1)
    assert "(404)" in applied.ctl("explain", 0, rc=1)


def test_explain_of_a_decision_says_what_is_now(applied):
    start = last_id(applied)
    applied.ctl("mode", "steer")
    applied.ctl("override", "set", "web-a@nyc=prepend1", "--reason", "look")

    def decided():
        lines = applied.ctl("events", "--since", str(start), "--kind", "decision", "-o", "json").splitlines()
        return [e for e in map(json.loads, lines) if e["data"]["site"] == "nyc" and e["data"]["to"] == "prepend1"]

    one = wait_for(decided, "the decision")[0]
    text = applied.ctl("explain", one["id"])
    assert re.search(r"^  that is +an operator asked for it$", text, re.M)
    assert re.search(r"^  now +\S+, ordered is prepend1, changed .* ago: ", text, re.M), text
    assert json.loads(applied.ctl("explain", one["id"], "-o", "json"))["now"]["wanted"] == "prepend1"
    applied.ctl("override", "delete", "grade:nyc:web-a")


def test_status(applied):
    page = applied.ctl("status")
    assert page.startswith("alert  cluster example")
    assert re.search(r"^  alert +shard web-a +announced nowhere$", page, re.M)
    assert re.search(r"^  fra +NO ", page, re.M)


def test_colours_only_on_a_terminal(applied):
    assert "\033" not in applied.ctl("status")

    def on_terminal(env):
        pid, fd = pty.fork()
        if pid == 0:
            os.execve(BUILD / "sluicectl", ["sluicectl", "status"], env)
        text = b""
        while True:
            try:
                part = os.read(fd, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            text += part
        os.close(fd)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        return text

    assert b"\033[1;31malert" in on_terminal(applied.env)
    assert b"\033" not in on_terminal({**applied.env, "NO_COLOR": "1"})
    assert b"\033" not in on_terminal({**applied.env, "TERM": "dumb"})


def test_a_standby_is_no_obstacle(applied):
    """What it sends to the leader goes there, when our own CA vouches for both."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pki = applied.home / "pki"
    context.load_cert_chain(pki / "controller.pem", pki / "controller.key")

    def serve(listener):
        while True:
            try:
                with context.wrap_socket(listener.accept()[0], server_side=True) as s:
                    path = s.recv(65536).decode().split()[1]
                    s.sendall(f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {applied.url}{path}\r\n"
                              "Content-Length: 0\r\n\r\n".encode())
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        env = {"SLUICE_URL": f"https://127.0.0.1:{listener.getsockname()[1]}"}
        assert applied.ctl("mode", "steer", "--reason", "by the standby", env=env).startswith("steer")
        doc = EXAMPLE.read_text().replace("name: example", "name: moved")
        assert applied.ctl("apply", "-f", "-", stdin=doc, env=env) == "applied: 1 change\n"
        listener.shutdown(socket.SHUT_RDWR)
    assert json.loads(applied.ctl("mode", "-o", "json"))["reason"] == "by the standby"


# -- events -------------------------------------------------------------------------------------------------


class Follower:
    def __init__(self, w, *argv):
        self.p = subprocess.Popen([BUILD / "sluicectl", "events", "-f", "-o", "json", *argv], env=w.env,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.text = b""

    def events(self):
        while select.select([self.p.stdout], [], [], 0)[0]:
            part = os.read(self.p.stdout.fileno(), 65536)
            if not part:
                break
            self.text += part
        return [json.loads(line) for line in self.text.splitlines(keepends=True) if line.endswith(b"\n")]

    def close(self):
        self.p.kill()
        self.p.wait()
        self.p.stdout.close()
        self.p.stderr.close()


def last_id(w):
    return json.loads(w.ctl("events", "-o", "json").splitlines()[-1])["id"]


def test_events_list(applied):
    start = last_id(applied)
    applied.ctl("mode", "steer", "--reason", "one")
    applied.ctl("drain", "node", "ams1", "--reason", "two")
    applied.ctl("undrain", "node", "ams1")
    new = [json.loads(x) for x in applied.ctl("events", "--since", str(start), "-o", "json").splitlines()]
    assert [e["id"] for e in new] == list(range(start + 1, new[-1]["id"] + 1))
    modes = applied.ctl("events", "--since", str(start), "--kind", "mode").splitlines()
    assert len(modes) == 1 and "observe -> steer by the-admin: one" in modes[0]
    assert "two" in applied.ctl("events", "--kind", "drain,mode")


def test_follow_misses_nothing_over_restarts(applied):
    start = last_id(applied)
    f = Follower(applied, "--since", str(start), "--kind", "mode")
    try:
        applied.ctl("mode", "steer", "--reason", "first")
        wait_for(lambda: len(f.events()) == 1, "the first event")
        for i, sig in enumerate((signal.SIGKILL, signal.SIGTERM)):
            applied.stop(sig)
            applied.start()
            # happens while the follower waits to connect again
            applied.ctl("mode", "observe", "--reason", f"{i}")
            applied.ctl("mode", "steer", "--reason", f"{i} again")
        got = wait_for(lambda: len(f.events()) >= 5 and f.events(), "all events", 30)
        assert [e["data"]["reason"] for e in got] == ["first", "0", "0 again", "1", "1 again"]
        assert len({e["id"] for e in got}) == 5
    finally:
        f.close()


def test_follow_ends_when_refused(w):
    p = subprocess.run([BUILD / "sluicectl", "events", "-f", "--since", "1"],
                       env={**w.env, "SLUICE_TOKEN_FILE": ""}, capture_output=True, text=True, timeout=20, check=False)
    assert p.returncode == 1 and "(401)" in p.stderr


# -- on a terminal ------------------------------------------------------------------------------------------


class Terminal:
    """A program on a pseudo-terminal of its own, and a screen as plain as top needs it."""

    def __init__(self, w, *argv, rows=24, cols=80):
        self.master, self.slave = pty.openpty()
        self.resize(rows, cols)
        self.before = termios.tcgetattr(self.slave)
        self.text = b""
        self.p = subprocess.Popen([BUILD / "sluicectl", *argv], env=w.env, stdin=self.slave, stdout=self.slave,
                                  stderr=self.slave, start_new_session=True,
                                  preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0.02)[0]:
            self.text += os.read(self.master, 65536)
        return self.text

    def page(self):
        """The lines of the newest page, without colours."""
        whole = self.read().rsplit(b"\x1b[H", 1)[-1]
        if not whole.endswith(b"\x1b[J"):
            return []
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", whole.decode()).split("\r\n")

    def wait(self, words):
        return wait_for(lambda: any(words in line for line in self.page()) and self.page(), f"'{words}' on the screen")

    def type(self, keys):
        os.write(self.master, keys)

    def end(self):
        """Exit status; the terminal must be as it was."""
        rc = self.p.wait(10)
        self.read()
        assert termios.tcgetattr(self.slave) == self.before
        if b"\x1b[?1049h" in self.text:
            for on, off in ((b"\x1b[?1049h", b"\x1b[?1049l"), (b"\x1b[?25l", b"\x1b[?25h"), (b"\x1b[?7l", b"\x1b[?7h")):
                assert self.text.rindex(off) > self.text.rindex(on)
        os.close(self.master)
        os.close(self.slave)
        return rc


def test_top_once(applied):
    text = applied.ctl("top", "--once")
    assert re.search(r"^n nodes  s shards  p plan  q quit\nalert  cluster example", text)
    assert re.search(r"^NODE +SITE +LOAD ", text, re.M) and re.search(r"^fra1 +fra ", text, re.M)
    assert re.search(r"^web-a +0 ", applied.ctl("top", "--once", "--page", "shards"), re.M)
    assert "\nplan  " in applied.ctl("top", "--once", "--page", "plan")
    assert json.loads(applied.ctl("top", "--once", "-o", "json"))["status"]["cluster"] == "example"
    assert "needs a terminal" in applied.ctl("top", rc=1)
    assert "cannot reach" in applied.ctl("top", env={"SLUICE_URL": "https://127.0.0.1:1"}, rc=1)


def test_top_live(applied):
    t = Terminal(applied, "top", "--interval", "1s")
    page = t.wait("fra1")
    assert len(page) <= 24
    t.type(b"s")
    t.wait("web-a")
    t.resize(9, 60)
    wait_for(lambda: 0 < len(t.page()) <= 9, "the smaller page")
    t.resize(40, 120)
    wait_for(lambda: len(t.page()) > 9, "the larger page")
    applied.stop()
    t.wait(" old: cannot reach")  # what was there stays, with its age
    assert any("web-a" in line for line in t.page())
    applied.start()
    wait_for(lambda: t.page() and not any(" old: " in line for line in t.page()), "the page when it answers again")
    t.type(b"q")
    assert t.end() == 0


@pytest.mark.parametrize("how, rc", [(b"\x03", 0), (signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP),
                                     (signal.SIGSEGV, -signal.SIGSEGV), (b"\x04", 0)])
def test_top_leaves_the_terminal_as_it_was(applied, how, rc):
    t = Terminal(applied, "top")
    t.wait("fra1")
    if isinstance(how, bytes):
        t.type(how)
    else:
        t.p.send_signal(how)
    assert t.end() == rc


def test_top_can_be_stopped_and_continued(applied):
    t = Terminal(applied, "top", "--interval", "1s")
    t.wait("fra1")
    t.p.send_signal(signal.SIGTSTP)
    wait_for(lambda: t.read().endswith(b"\x1b[?1049l\x1b[0m"), "the screen given back")
    assert termios.tcgetattr(t.slave) == t.before
    n = len(t.text)
    t.p.send_signal(signal.SIGCONT)
    wait_for(lambda: b"fra1" in t.read()[n:], "the page again")
    t.type(b"q")
    assert t.end() == 0


def test_a_wait_shows_progress(applied):
    """On a terminal one line, drawn again and gone at the end."""
    applied.ctl("mode", "steer")
    t = Terminal(applied, "override", "set", "web-b@ams=prepend2", "--reason", "no agent will ever have it", "--wait")
    wait_for(lambda: t.read().count(b"\r\x1b[K") >= 3 or t.p.poll() is not None, "a line that is drawn again")
    assert t.p.poll() is None, t.read()
    assert b"grade:ams:web-b: ordered, the routers do not all have it yet" in t.text and b"\n" not in t.text
    t.p.send_signal(signal.SIGINT)
    t.end()
    applied.ctl("override", "delete", "grade:ams:web-b")
