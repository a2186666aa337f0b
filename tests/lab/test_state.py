# SPDX-License-Identifier: Apache-2.0
"""What a real controller on loopback does with its state: backup and restore, between both stores, too; a disk that
is full and gets room again; etcd over TLS with users. Agents are not needed."""
import base64
import json
import os
import pathlib
import signal
import ssl
import subprocess
import urllib.request

import pytest

from tests.lab.test_ctl import BUILD, EXAMPLE, World, free_port, wait_for

PASSWORD = "correct-horse-battery"


def controller(w, *argv, rc=0):
    p = subprocess.run([BUILD / "sluice-controller", "-c", w.home / "controller.yaml", *map(str, argv)],
                       capture_output=True, text=True, timeout=60, check=False)
    assert p.returncode == rc, f"{argv}: {p.returncode}\n{p.stdout}\n{p.stderr}"
    return p.stdout if rc == 0 else p.stderr


def status(w):
    return json.loads(w.ctl("status", "-o", "json"))


def kinds(w):
    return [json.loads(line)["kind"] for line in w.ctl("events", "-o", "json").splitlines()]


@pytest.fixture(name="w")
def _world(tmp_path):
    world = World(tmp_path)
    world.prepare()
    world.start()
    yield world
    world.stop()


def edit_config(w, **sections):
    path = w.home / "controller.yaml"
    conf = json.loads(path.read_text())
    conf.update(sections)
    path.write_text(json.dumps(conf))


# -- backup and restore -------------------------------------------------------------------------------------


def test_backup_and_restore(w, tmp_path):
    w.ctl("apply", "-f", EXAMPLE)
    w.ctl("mode", "steer", "--reason", "before the backup")
    saved = tmp_path / "sluice.backup"
    assert "complete" in controller(w, "--backup", saved)  # while it runs
    assert saved.stat().st_mode & 0o077 == 0
    assert "exists already" in controller(w, "--backup", saved, rc=1)
    w.ctl("mode", "freeze", "--reason", "after the backup")
    epoch = status(w)["epoch"]
    assert "another controller is running" in controller(w, "--restore", saved, rc=1)
    assert w.stop() == 0
    not_one = tmp_path / "nonsense"
    not_one.write_text("this is no backup\n" * 100)
    controller(w, "--restore", not_one, rc=1)
    assert "restored from" in controller(w, "--restore", saved)
    w.start()
    now = status(w)
    assert now["mode"] == "steer"
    assert now["epoch"] > epoch + 1000  # agents obeyed that one already
    assert "store.restored" in kinds(w)
    assert (w.home / "state" / "sluice.db.before-restore").exists()
    assert not [p.name for p in (w.home / "state").iterdir() if "next" in p.name]


# -- a full disk --------------------------------------------------------------------------------------------


@pytest.fixture(name="small")
def _small(tmp_path):
    """A controller whose state directory is a file system of 1.5 MB, in a mount namespace of its own."""
    if os.geteuid() != 0:
        pytest.fail("mounting needs root")
    world = World(tmp_path)
    world.prepare()
    mount = 'mount -t tmpfs -o size=1536k tmpfs "$0" && exec "$@"'
    with open(world.home / "controller.log", "ab") as log:
        world.controller = subprocess.Popen(
            ["unshare", "-m", "--propagation", "private", "sh", "-c", mount, world.home / "state",
             BUILD / "sluice-controller", "-c", world.home / "controller.yaml"], stderr=log)
    wait_for(world.answers, "the API")
    world.inside = pathlib.Path(f"/proc/{world.controller.pid}/root{world.home}/state")
    yield world
    world.stop()


def test_full_disk(small):
    w = small
    w.ctl("apply", "-f", EXAMPLE)
    with open(w.inside / "ballast", "wb", buffering=0) as f:  # until not a byte fits
        for block in (65536, 4096, 1):
            try:
                while True:
                    f.write(b"x" * block)
            except OSError:
                pass
    refused = subprocess.run([BUILD / "sluicectl", "mode", "steer", "--reason", "must not be half done"], env=w.env,
                             capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode != 0 and "nothing was changed" in refused.stderr, refused
    wait_for(lambda: any(a["kind"] == "store" for a in status(w)["alerts"]), "the alert")
    assert status(w)["mode"] == "observe"
    r = urllib.request.urlopen(f"{w.url}/metrics", timeout=5,
                               context=ssl.create_default_context(cafile=w.home / "pki" / "ca.pem"))
    metrics = dict(line.rsplit(" ", 1) for line in r.read().decode().splitlines() if not line.startswith("#"))
    assert float(metrics["sluice_store_failures_total"]) > 0 and float(metrics["sluice_store_failing_seconds"]) >= 0
    assert w.controller.poll() is None
    (w.inside / "ballast").unlink()
    wait_for(lambda: "store.back" in kinds(w), "the store to be back")
    assert not any(a["kind"] == "store" for a in status(w)["alerts"])
    w.ctl("mode", "steer", "--reason", "now it fits")
    assert status(w)["mode"] == "steer"
    assert "store.failed" in kinds(w)  # told while nothing could be written, stored since


# -- etcd with TLS and users --------------------------------------------------------------------------------


class Etcd:
    """One member on loopback, with TLS; client_certs: both ways. With both client certificates and users etcd's
    gateway refuses certificates that carry a CommonName, and ours do."""

    def __init__(self, w, client_certs):
        self.w, self.port, self.peer = w, free_port(), free_port()
        pki = w.home / "pki"
        w.ctl("pki", "issue", "etcd", "--dir", pki, "--role", "controller", "--ip", "127.0.0.1")
        self.url = f"https://127.0.0.1:{self.port}"
        peer = f"http://127.0.0.1:{self.peer}"
        self.tls = ssl.create_default_context(cafile=pki / "ca.pem")
        self.tls.load_cert_chain(pki / "controller.pem", pki / "controller.key")
        with open(w.home / "etcd.log", "ab") as log:
            self.child = subprocess.Popen(
                ["etcd", "--data-dir", w.home / "etcd", "--listen-client-urls", self.url, "--advertise-client-urls",
                 self.url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster",
                 f"default={peer}", "--cert-file", pki / "etcd.pem", "--key-file", pki / "etcd.key",
                 "--logger", "zap", *(["--trusted-ca-file", pki / "ca.pem", "--client-cert-auth"] if client_certs else [])],
                stdout=log, stderr=log, start_new_session=True)

    def post(self, path, **body):
        request = urllib.request.Request(f"{self.url}/v3/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=5, context=self.tls) as r:
            return json.load(r)

    def answers(self):
        assert self.child.poll() is None, (self.w.home / "etcd.log").read_text()[-2000:]
        try:
            return self.post("kv/range", key="YQ==")
        except OSError:
            return None

    def users(self):
        """root, and "sluice" who may touch nothing but our keys."""
        def b64(text):
            return base64.b64encode(text.encode()).decode()
        for name, password in (("root", "root-" + PASSWORD), ("sluice", PASSWORD)):
            self.post("auth/user/add", name=name, password=password)
        self.post("auth/role/add", name="root")
        self.post("auth/role/add", name="keys")
        self.post("auth/role/grant", name="keys", perm={"permType": "READWRITE", "key": b64("/sluice/"),
                                                        "range_end": b64("/sluice0")})
        self.post("auth/user/grant", user="root", role="root")
        self.post("auth/user/grant", user="sluice", role="keys")
        self.post("auth/enable")

    def stop(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(10)


def store_section(etcd, password=None):
    pki = etcd.w.home / "pki"
    section = {"kind": "etcd", "endpoints": [etcd.url], "ca": str(pki / "ca.pem")}
    if not password:
        return section | {"cert": str(pki / "controller.pem"), "key": str(pki / "controller.key")}
    secret = etcd.w.home / "etcd.password"
    secret.write_text(password + "\n")
    return section | {"user": "sluice", "password_file": str(secret)}


def test_etcd_with_client_certificates(w):
    assert w.stop() == 0
    etcd = Etcd(w, client_certs=True)
    try:
        wait_for(etcd.answers, "etcd")
        section = store_section(etcd)
        edit_config(w, store={k: v for k, v in section.items() if k not in ("cert", "key")},
                    advertise={"agents": f"127.0.0.1:{w.ports[0]}", "api": w.url})
        w.start()
        wait_for(lambda: any(a["kind"] == "store" for a in status(w)["alerts"]), "words about a missing certificate")
        assert w.stop() == 0
        edit_config(w, store=section)
        w.start()
        wait_for(lambda: status(w)["leader"]["role"] == "leader", "leading")
        w.ctl("apply", "-f", EXAMPLE)
    finally:
        etcd.stop()


def test_etcd_with_users(w, tmp_path):
    w.ctl("apply", "-f", EXAMPLE)
    w.ctl("mode", "steer", "--reason", "to be moved to etcd")
    saved = tmp_path / "sluice.backup"
    controller(w, "--backup", saved)
    assert w.stop() == 0
    etcd = Etcd(w, client_certs=False)
    try:
        wait_for(etcd.answers, "etcd")
        etcd.users()
        advertise = {"agents": f"127.0.0.1:{w.ports[0]}", "api": w.url}
        edit_config(w, store=store_section(etcd, "wrong"), advertise=advertise)
        w.start()
        wait_for(lambda: any(a["kind"] == "store" for a in status(w)["alerts"]), "words about a wrong password")
        assert w.stop() == 0
        edit_config(w, store=store_section(etcd, PASSWORD))
        assert "restored" in controller(w, "--restore", saved)  # from SQLite into etcd
        w.start()
        wait_for(lambda: status(w)["leader"]["role"] == "leader", "leading")
        assert status(w)["mode"] == "steer"
        assert "leads" in controller(w, "--restore", saved, rc=1)
        w.ctl("mode", "observe", "--reason", "written through TLS and a user")
        back = tmp_path / "from-etcd.backup"
        controller(w, "--backup", back)
        w.stop(signal.SIGKILL)
        w.start()
        wait_for(lambda: status(w)["leader"]["role"] == "leader", "leading again, after the lease of before", 20)
        assert status(w)["mode"] == "observe"
        text = (w.home / "controller.log").read_text() + w.ctl("events", "-o", "json")
        assert PASSWORD not in text
        assert w.stop() == 0
        edit_config(w, store={"kind": "sqlite"})
        controller(w, "--restore", back)  # and back into SQLite
        w.start()
        assert status(w)["mode"] == "observe"
    finally:
        etcd.stop()
