# SPDX-License-Identifier: Apache-2.0
"""The API of a real controller on loopback: openapi.json is walked and every answer validated by somebody else's
validator, a client generated from it by somebody else's generator does an operator's day, the configuration is
reloaded, and the service manager is told the truth."""
import copy
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import jsonschema
import pytest
import yaml

from tests.lab.test_ctl import BUILD, EXAMPLE, ROOT, World, wait_for

CLIENT = ROOT / "tests" / "api-client"
NPM = ROOT / "build" / "api-client"
OPENAPI = json.loads((ROOT / "controller" / "api" / "openapi.json").read_text(encoding="utf-8"))
DOCUMENT = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))


class Api:
    """Plain requests: no client of ours in between."""

    def __init__(self, world):
        self.world = world
        self.tls = ssl.create_default_context(cafile=world.home / "pki" / "ca.pem")

    def ask(self, method, path, body=None, token="the-admin", **headers):
        if token:
            secret = (self.world.home / f"{token}.token").read_text().strip()
            headers["Authorization"] = f"Bearer {secret}"
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        c = http.client.HTTPSConnection("127.0.0.1", self.world.ports[1], context=self.tls, timeout=15)
        c.request(method, path, None if body is None else json.dumps(body), headers)
        r = c.getresponse()
        data = r.read()
        c.close()
        return r, (json.loads(data) if "json" in r.getheader("Content-Type", "") else data.decode())


@pytest.fixture(scope="module", name="w")
def _world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("api"))
    world.prepare()
    world.start()
    yield world
    assert world.stop() == 0


@pytest.fixture(name="api")
def _api(w):
    return Api(w)


# -- openapi.json, walked ---------------------------------------------------------------------------------


def as_json_schema(node):
    """OpenAPI 3.0 to JSON Schema: nullable becomes a type; everything else is the same here."""
    if isinstance(node, list):
        return [as_json_schema(x) for x in node]
    if not isinstance(node, dict):
        return node
    node = {k: as_json_schema(v) for k, v in node.items()}
    if node.pop("nullable", False):
        if "type" not in node:
            return {"anyOf": [node, {"type": "null"}]}
        node["type"] = [node["type"], "null"]
        if "enum" in node:
            node["enum"] = [*node["enum"], None]
    return node


SCHEMA = as_json_schema(copy.deepcopy(OPENAPI))


def validate(operation, response, answer):
    described = operation["responses"].get(str(response.status))
    assert described, f"status {response.status} is not described: {answer}"
    if "$ref" in described:
        described = SCHEMA["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
    content = described.get("content", {})
    kind = response.getheader("Content-Type").split(";")[0]
    assert kind in content, f"{kind} is not described"
    resolver = jsonschema.RefResolver("", SCHEMA)
    jsonschema.Draft4Validator(content[kind]["schema"], resolver=resolver,
                               format_checker=jsonschema.FormatChecker()).validate(answer)


SITE, NODE = DOCUMENT["sites"][0]["name"], DOCUMENT["sites"][0]["nodes"][0]["name"]
SERVICE = DOCUMENT["services"][0]["name"]
SHARD = DOCUMENT["services"][0]["shards"][0]["name"]
OVERRIDE = {"site": SITE, "shard": SHARD, "grade": "prepend1", "reason": "walk", "confirm_s": 60}
WORKS = {"reason": "walk", "expires_s": 600, "wait_s": 60, "residual_pct": 5, "withdraw": False}

# In this order; operationId: path arguments, query, body, headers. What is missing here fails the walk.
DAY = {
    "getOpenapi": {}, "getHealth": {}, "getMetrics": {}, "getCa": {},
    "putCluster": dict(query="dry_run=0", body=DOCUMENT, headers={"If-Match": "*"}),
    "getCluster": {}, "getReady": {},
    "listSites": dict(query="limit=5"), "getSite": dict(name=SITE),
    "drainSite": dict(name=SITE, body=WORKS), "listDrains": {}, "undrainSite": dict(name=SITE, body={"reason": "x"}),
    "listNodes": dict(query="limit=1"), "getNode": dict(name=NODE),
    "drainNode": dict(name=NODE, body=WORKS), "undrainNode": dict(name=NODE, body={}),
    "listServices": dict(query="limit=1"), "getService": dict(name=SERVICE),
    "drainService": dict(name=SERVICE, body={**WORKS, "site": SITE}),
    "undrainService": dict(name=SERVICE, body={"site": SITE}),
    "listGrades": {}, "listShards": {}, "getShard": dict(name=SHARD),
    "makeOverride": dict(body=OVERRIDE, headers={"Idempotency-Key": "walk"}),
    "listOverrides": {}, "getOverride": dict(name=f"grade:{SITE}:{SHARD}"),
    "confirmOverride": dict(name=f"grade:{SITE}:{SHARD}", body={}),
    "deleteOverride": dict(name=f"grade:{SITE}:{SHARD}", query="reason=done"),
    "getMode": {}, "putMode": dict(body={"mode": "observe", "reason": "walk"}),
    "listEvents": dict(query="limit=50&kind=mode,cluster"), "getEvent": dict(name="1"),
    "listDecisions": dict(query="site=nowhere"), "getDecision": dict(name="1"),  # no agent: none is made
    "listAudit": dict(query="actor=the-admin&from=2020-01-01T00:00:00Z"),
    "makeToken": dict(body={"name": "walker", "role": "viewer", "expires_s": 60}), "listTokens": {},
    "revokeToken": dict(name="walker"),
    "getPlan": {}, "askWhatif": dict(body={"drain": {"site": SITE}}), "getStatus": {},
    "planDrill": dict(body={"kind": "tabletop", "site": SITE, "reason": "walk"}),
    "startDrill": dict(body={"kind": "soft-drain", "site": SITE, "reason": "walk"}),  # no agent: refused, with reasons
    "listDrills": {}, "getDrill": dict(name="1"), "getDrillReport": dict(name="1", query="format=json"),
    "holdDrill": dict(name="1", body={"reason": "x"}), "resumeDrill": dict(name="1", body={"reason": "x"}),
    "abortDrill": dict(name="1", body={"reason": "x"}),
    "probeDrill": dict(name="1", body={"from": "x", "sent": 1, "lost": 0, "longest_gap_ms": 0}),
    "getDrillSchedule": {}, "putDrillSchedule": dict(body={"enabled": False}), "getReadiness": {},
    "makeNodeToken": dict(name=NODE, body={}), "enroll": dict(body={"token": "x", "csr": "x"}),
    "revokeNode": dict(name=NODE, body={"reason": "walk"}), "listCertificates": {},
}
AS_IT_COMES = {"planDrill", "startDrill", "getDrill", "getDrillReport", "holdDrill", "resumeDrill", "abortDrill",
               "probeDrill", "makeNodeToken", "enroll", "revokeNode"}
EXPECTED = {"getDecision": 404, "makeOverride": 201, "makeToken": 201, **dict.fromkeys(AS_IT_COMES)}


def operations():
    return {op["operationId"]: (method.upper(), path, SCHEMA["paths"][path][method])
            for path, item in OPENAPI["paths"].items() for method, op in item.items()}


def test_every_operation_answers_as_described(api):
    wait_for(lambda: api.ask("GET", "/readyz", token=None)[0].status == 200, "the first round")
    ops = operations()
    assert set(ops) == set(DAY), "every operation is called here, and no other"
    for name, how in DAY.items():
        method, path, op = ops[name]
        for part in ("{name}", "{id}"):
            path = path.replace(part, how.get("name", ""))
        if "query" in how:
            path += "?" + how["query"]
        response, answer = api.ask(method, path, how.get("body"), **how.get("headers", {}))
        want = EXPECTED.get(name, 200)
        assert want in (None, response.status), f"{name}: {response.status} {answer}"
        try:
            validate(op, response, answer)
        except (jsonschema.ValidationError, AssertionError) as e:
            raise AssertionError(f"{name}: {e}") from e


def test_what_is_not_described_is_refused(api):
    """One more query argument or body key than described is an error, on every operation."""
    for name, (method, path, op) in operations().items():
        path = path.replace("{name}", SITE).replace("{id}", "1")
        r, answer = api.ask(method, path + "?undescribed=1", {} if method != "GET" else None)
        if op["x-role"] != "none":
            assert r.status == 400 and "undescribed" in answer["detail"], name
        if "requestBody" in op and name not in ("putCluster", "enroll"):
            r, answer = api.ask(method, path, {"undescribed": 1})
            assert r.status in (400, 404), f"{name}: {r.status}"


def test_document_is_refused_with_every_error(api):
    wrong = copy.deepcopy(DOCUMENT)
    wrong["sites"][0]["name"] = 7
    wrong["services"][0]["shards"][0]["prefixes"] = ["198.18.1.0/33"]
    wrong["polcy"] = {}
    r, answer = api.ask("PUT", "/v1/cluster", wrong, If_Match="*")
    assert r.status == 422
    pointers = {e["pointer"] for e in answer["errors"]}
    assert {"/sites/0/name", "/services/0/shards/0/prefixes/0", "/polcy"} <= pointers


# -- a client nobody here wrote -----------------------------------------------------------------------------


def npm_packages():
    """Installed once per lock file; the lock pins every version and its hash."""
    lock = (CLIENT / "package-lock.json").read_bytes()
    stamp = NPM / "installed"
    if not stamp.exists() or stamp.read_text() != hashlib.sha256(lock).hexdigest():
        NPM.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(CLIENT / name, NPM / name)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=NPM, check=True, timeout=240)
        stamp.write_text(hashlib.sha256(lock).hexdigest())
    return NPM / "node_modules" / ".bin"


def test_generated_client(w):
    bins = npm_packages()
    shutil.rmtree(NPM / "src", ignore_errors=True)
    subprocess.run([bins / "openapi", "--input", ROOT / "controller" / "api" / "openapi.json", "--output", NPM / "src",
                    "--client", "fetch", "--useOptions"], check=True, timeout=120)
    subprocess.run([bins / "esbuild", CLIENT / "use.ts", "--bundle", "--platform=node", "--format=esm",
                    f"--outfile={NPM / 'use.mjs'}", "--log-level=warning"], check=True, timeout=60)
    document = w.home / "cluster.json"
    document.write_text(json.dumps({**DOCUMENT, "name": "typed"}))
    done = subprocess.run(["node", NPM / "use.mjs"], env={**w.env, "NODE_EXTRA_CA_CERTS": w.env["SLUICE_CA"],
                                                          "SLUICE_CLUSTER": str(document)},
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads(done.stdout)) == 13


# -- slow and large ------------------------------------------------------------------------------------------


def test_slow_clients_are_cut(api, w):
    """Bytes that dribble in hold no connection for good, and nobody else waits for them."""
    slow = [socket.create_connection(("127.0.0.1", w.ports[1])) for _ in range(20)]
    tls = [api.tls.wrap_socket(s, server_hostname="127.0.0.1") for s in slow[:10]]
    for s in tls:
        s.sendall(b"GET /v1/sites HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    t0 = time.monotonic()
    open_ones = set(range(10))
    while open_ones and time.monotonic() - t0 < 25:
        for i in list(open_ones):
            try:
                tls[i].sendall(b"a")
                tls[i].settimeout(0.05)
                if tls[i].recv(1) == b"":
                    open_ones.discard(i)
            except socket.timeout:
                pass
            except OSError:
                open_ones.discard(i)
        t1 = time.monotonic()
        assert api.ask("GET", "/v1/mode")[0].status == 200
        assert time.monotonic() - t1 < 2
    assert not open_ones, "still open after 25 s"
    for s in slow[10:]:  # never said hello
        s.settimeout(20)
        assert s.recv(1) == b""
        s.close()


# -- configuration -------------------------------------------------------------------------------------------


class Manager:
    """systemd's end of sd_notify. It always reads: a full socket would hold up the loop that writes to it."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        self.path = str(path)
        self.heard = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            self.heard.append(self.sock.recv(4096).decode())

    def hear(self, what, after=0):
        """The index behind the first message after `after` that says what."""
        def find():
            return next((i + 1 for i, text in enumerate(self.heard) if i >= after and what in text), None)
        return wait_for(find, f"the manager to hear {what}", 10)


@pytest.fixture(name="own")
def _own(tmp_path):
    """A world of its own, under a manager."""
    world = World(tmp_path)
    world.prepare()
    world.manager = Manager(tmp_path / "notify")
    os.environ |= {"NOTIFY_SOCKET": world.manager.path, "WATCHDOG_USEC": "600000"}
    try:
        world.start()
    finally:
        del os.environ["NOTIFY_SOCKET"], os.environ["WATCHDOG_USEC"]
    yield world
    world.stop()


def reload_with(own, **changes):
    path = own.home / "controller.yaml"
    config = json.loads(path.read_text())
    for key, value in changes.items():
        section, name = key.split("__") if "__" in key else (None, key)
        (config.setdefault(section, {}) if section else config)[name] = value
    path.write_text(json.dumps(config))
    mark = len(own.manager.heard)
    own.controller.send_signal(signal.SIGHUP)
    own.manager.hear("READY=1", own.manager.hear("RELOADING=1", mark))
    return Api(own).ask("GET", "/v1/events?kind=controller.reload&limit=1")[1]["events"][-1]


def test_reload(own):
    own.manager.hear("READY=1")
    api = Api(own)
    # other tokens count at once, and what needs a restart is named
    line = own.ctl("token", "new", "--name", "night", "--role", "viewer", "--out", own.home / "night.token")
    (own.home / "tokens2").write_text(line + (own.home / "tokens").read_text())
    assert api.ask("GET", "/v1/mode", token="night")[0].status == 401
    event = reload_with(own, api__tokens=str(own.home / "tokens2"), log="error", state_dir="/nowhere")
    assert event["data"]["needs_restart"] == "state_dir" and event["severity"] == "warning"
    assert api.ask("GET", "/v1/mode", token="night")[0].status == 200
    api.ask("PUT", "/v1/mode", {"mode": "freeze", "reason": "not to be logged"})
    assert "not to be logged" not in (own.home / "controller.log").read_text()
    # a bad file changes nothing
    event = reload_with(own, log="loud", api__tokens="/nowhere")
    assert event["severity"] == "alert" and "loud" in event["text"]
    assert api.ask("GET", "/v1/mode", token="night")[0].status == 200
    event = reload_with(own, log="info", tls__cert=str(own.home / "tokens"), api__tokens="/nowhere")
    assert event["severity"] == "alert"
    assert api.ask("GET", "/v1/mode", token="night")[0].status == 200


def test_reload_takes_another_certificate(own):
    def serial():
        with socket.create_connection(("127.0.0.1", own.ports[1])) as s:
            with Api(own).tls.wrap_socket(s, server_hostname="127.0.0.1") as t:
                return t.getpeercert()["serialNumber"]

    before = serial()
    own.ctl("pki", "issue", "controller", "--dir", own.home / "pki", "--role", "controller", "--ip", "127.0.0.1",
            "--force")
    assert serial() == before
    assert reload_with(own)["severity"] == "info"
    assert serial() != before


def test_watchdog_is_fed_by_the_loop(own):
    own.manager.hear("WATCHDOG=1", own.manager.hear("WATCHDOG=1"))
    os.kill(own.controller.pid, signal.SIGSTOP)  # a loop that stands still
    time.sleep(0.3)
    mark = len(own.manager.heard)
    time.sleep(1)
    assert len(own.manager.heard) == mark
    os.kill(own.controller.pid, signal.SIGCONT)
    own.manager.hear("WATCHDOG=1", mark)
