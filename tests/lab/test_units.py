# SPDX-License-Identifier: Apache-2.0
"""What deploy/ ships: units, users, manual pages, completion, and what `make install` puts where. The units' command
lines are run with the users, capabilities and system calls that the units leave them."""
import grp
import os
import pathlib
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BUILD = (ROOT / os.environ.get("SLUICE_BUILD", "build")).resolve()
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SANDBOX = pathlib.Path(__file__).with_name("sandbox.py")


def run(*argv, rc=0, **kw):
    p = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=120, check=False, **kw)
    assert p.returncode == rc, f"{argv}: {p.returncode}\n{p.stdout}\n{p.stderr}"
    return p.stdout + p.stderr


def setting(unit, key):
    return [line.split("=", 1)[1] for line in unit.read_text().splitlines() if line.startswith(key + "=")]


@pytest.fixture(scope="module", name="staged")
def _staged(tmp_path_factory):
    """`make install` as a package does it."""
    dest = tmp_path_factory.mktemp("stage")
    run("make", "--no-print-directory", f"BUILD={os.environ.get('SLUICE_BUILD', 'build')}",
        *(["SAN=1"] if "asan" in str(BUILD) else []), f"DESTDIR={dest}", "PREFIX=/usr", "install", cwd=ROOT)
    return dest


# -- units --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS, ids=lambda u: u.name)
def test_unit_verifies(unit, tmp_path):
    """With the binaries that were built in place of the installed ones; any word from systemd is a failure."""
    for other in UNITS:
        (tmp_path / other.name).write_text(other.read_text().replace("=/usr/sbin/sluice-", f"={BUILD}/sluice-")
                                           .replace("=/usr/bin/sluice", f"={BUILD}/sluice"))
    assert run("systemd-analyze", "verify", "--man=no", tmp_path / unit.name) == ""


@pytest.mark.parametrize("name, limit", [("sluice-agent", 20), ("sluice-controller", 13), ("sluice-agent-lost", 8),
                                         ("sluice-probe", 13)])
def test_unit_is_tight(name, limit):
    """Exposure in tenths, out of 100; systemd's own verdict."""
    run("systemd-analyze", "security", "--offline=true", f"--threshold={limit}", "--no-pager",
        DEPLOY / "systemd" / f"{name}.service")


def test_agent_has_one_capability():
    unit = DEPLOY / "systemd" / "sluice-agent.service"
    assert setting(unit, "AmbientCapabilities") == setting(unit, "CapabilityBoundingSet") == ["CAP_NET_ADMIN"]
    assert setting(unit, "User") == ["sluice"] and setting(unit, "SupplementaryGroups") == ["frrvty"]
    assert setting(unit, "Restart") == ["always"] and setting(unit, "RestartSec") == ["100ms"]
    lost = setting(unit, "OnFailure")[0]
    assert (DEPLOY / "systemd" / lost).exists()
    # crashes every RestartSec must end in OnFailure=, not go on for ever
    assert int(setting(unit, "StartLimitBurst")[0]) * 0.2 < float(setting(unit, "StartLimitIntervalSec")[0].rstrip("s"))


def test_controller_has_no_capability():
    unit = DEPLOY / "systemd" / "sluice-controller.service"
    assert setting(unit, "CapabilityBoundingSet") == [""]


def test_lost_agent_speaks():
    unit = DEPLOY / "systemd" / "sluice-agent-lost.service"
    argv = re.fullmatch(r'(\S+) "(.*)"', setting(unit, "ExecStart")[0]).groups()
    assert run(*argv).startswith("<1>sluice-agent cannot be kept running")


def test_users(tmp_path):
    (tmp_path / "etc").mkdir()
    run("systemd-sysusers", f"--root={tmp_path}", DEPLOY / "systemd" / "sluice.sysusers")
    users = (tmp_path / "etc" / "passwd").read_text()
    for unit in UNITS:
        for user in setting(unit, "User"):
            assert re.search(rf"^{user}:", users, re.M), user


# -- running as the units do --------------------------------------------------------------------------------


class Notify:
    """systemd's end of sd_notify."""

    def __init__(self, path):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        os.chmod(path, 0o777)

    def wait_for(self, word, timeout_s=15):
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if select.select([self.sock], [], [], 0.1)[0] and word in self.sock.recv(4096).decode().splitlines():
                return
        raise AssertionError(f"no {word} within {timeout_s} s")


def as_unit(unit, home, program, *arguments):
    """The command line that runs program as the unit would: user, groups, capabilities, system calls. The user gets
    copies: the tree may lie where only root can read."""
    nobody = pwd.getpwnam("nobody")
    sandbox, unit_copy, program = (shutil.copy(p, home) if pathlib.Path(p).is_relative_to(ROOT) else p
                                   for p in (SANDBOX, unit, program))
    groups = [str(grp.getgrnam(g).gr_gid) for g in setting(unit, "SupplementaryGroups")]
    caps = ",".join(f"+{c.lower().removeprefix('cap_')}" for c in setting(unit, "AmbientCapabilities")[0].split())
    shutil.chown(home, nobody.pw_uid, nobody.pw_gid)
    return ["unshare", "--net", "--", "setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}",
            f"--groups={','.join(groups)}" if groups else "--clear-groups",
            f"--bounding-set=-all{',' + caps if caps else ''}", f"--inh-caps=-all{',' + caps if caps else ''}",
            f"--ambient-caps=-all{',' + caps if caps else ''}", "--no-new-privs", sys.executable, "-S", "-E",
            str(sandbox), str(unit_copy), str(program), *map(str, arguments)]


def plain_home(tmp_path):
    """pytest's directories are closed to other users."""
    home = pathlib.Path(f"/tmp/sluice-unit-{os.getpid()}-{time.monotonic_ns()}")
    home.mkdir(mode=0o755)
    return home


@pytest.fixture(name="home")
def _home(tmp_path):
    home = plain_home(tmp_path)
    yield home
    shutil.rmtree(home)


def pki(home):
    ctl = BUILD / "sluicectl"
    run(ctl, "pki", "init", home / "pki", "--cluster", "units")
    run(ctl, "pki", "issue", "controller", "--dir", home / "pki", "--role", "controller", "--ip", "127.0.0.1")
    run(ctl, "pki", "issue", "fra1", "--dir", home / "pki", "--role", "node")
    (home / "tokens").write_text(run(ctl, "token", "new", "--name", "x", "--role", "admin", "--out", home / "t"))
    for path in [home / "tokens", *(home / "pki").iterdir()]:
        shutil.chown(path, "nobody")


def example(name, home):
    """The shipped example with its paths moved below home."""
    text = (DEPLOY / "examples" / name).read_text()
    text = re.sub(r"/var/lib/sluice(-agent)?\b", f"{home}/state", text)
    text = text.replace("/etc/sluice/tokens", f"{home}/tokens").replace("/etc/sluice/node.", f"{home}/pki/fra1.")
    (home / name).write_text(text.replace("/etc/sluice/", f"{home}/pki/"))
    state = home / "state"
    state.mkdir(mode=0o700)
    shutil.chown(state, "nobody")
    return home / name


def test_sandbox_bites(home):
    """The test's own tool: what the unit forbids is refused in it, what it allows is not."""
    unit = DEPLOY / "systemd" / "sluice-agent.service"
    program = """
import ctypes, errno, mmap, os, socket
try:
    os.nice(1)
    raise SystemExit("nice was possible")
except PermissionError:
    pass
try:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    print("no MDWE here")
except OSError:
    pass
socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
print("fine")
"""
    assert "fine" in run(*as_unit(unit, home, sys.executable, "-c", program), cwd="/")


def test_agent_may_count(home):
    """nftables, which the counters of the service addresses need, works with what the unit leaves; and only just."""
    unit = DEPLOY / "systemd" / "sluice-agent.service"
    rules = "table inet sluice { set s { type ipv4_addr; counter; elements = { 192.0.2.1 } }; " \
            "chain c { type filter hook input priority -300; ip daddr @s accept; }; }"
    argv = as_unit(unit, home, "/usr/sbin/nft", rules)
    run(*argv, cwd="/")
    assert "not permitted" in run(*[a.replace(",+net_admin", "") for a in argv], cwd="/", rc=1)


@pytest.mark.parametrize("name", ["agent", "controller"])
def test_unit_runs(name, home):
    """Type=notify, the watchdog and a clean stop, within the sandbox, with the shipped example."""
    unit = DEPLOY / "systemd" / f"sluice-{name}.service"
    assert setting(unit, "Type") == ["notify"] and setting(unit, "WatchdogSec")
    program, *arguments = setting(unit, "ExecStart")[0].split()
    pki(home)
    conf = example(f"{name}.yaml", home)
    arguments = [conf if a.startswith("/etc/sluice/") else a for a in arguments]
    notify = Notify(home / "notify")
    log_path = home / "log"
    with open(log_path, "wb") as log:
        p = subprocess.Popen(as_unit(unit, home, BUILD / pathlib.Path(program).name, *arguments), stderr=log, cwd="/",
                             env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": str(notify.path),
                                  "WATCHDOG_USEC": "300000",
                                  # LeakSanitizer wants ptrace, which the filter refuses
                                  "ASAN_OPTIONS": "detect_leaks=0"})
    try:
        try:
            notify.wait_for("READY=1")
            notify.wait_for("WATCHDOG=1")
            notify.wait_for("WATCHDOG=1")
            status = pathlib.Path(f"/proc/{p.pid}/status").read_text()
            assert re.search(r"^Seccomp:\s+2$", status, re.M) and re.search(r"^NoNewPrivs:\s+1$", status, re.M)
            want = {"agent": 1 << 12, "controller": 0}[name]  # CAP_NET_ADMIN
            assert int(re.search(r"^CapEff:\s+(\w+)$", status, re.M).group(1), 16) == want
            p.send_signal(signal.SIGTERM)
            notify.wait_for("STOPPING=1")
            assert p.wait(10) == 0
        except AssertionError as e:
            raise AssertionError(f"{e}\n{log_path.read_text()}") from e
    finally:
        p.kill()
        p.wait()
    assert "Operation not permitted" not in log_path.read_text()


# -- what is installed --------------------------------------------------------------------------------------


def test_install(staged):
    files = {str(p.relative_to(staged)) for p in staged.rglob("*") if p.is_file()}
    for path in ["usr/sbin/sluice-agent", "usr/sbin/sluice-controller", "usr/bin/sluicectl",
                 "usr/share/man/man1/sluicectl.1", "usr/share/man/man8/sluice-agent.8",
                 "usr/share/man/man5/cluster.yaml.5", "usr/lib/systemd/system/sluice-agent.service",
                 "usr/lib/sysusers.d/sluice.conf", "usr/share/doc/sluice/examples/cluster.yaml",
                 "usr/share/doc/sluice/frr/node.conf", "usr/share/doc/sluice/LICENSE",
                 "usr/share/bash-completion/completions/sluicectl"]:
        assert path in files, path
    assert not [f for f in files if "lab-" in f or f.startswith(str(ROOT).lstrip("/"))]
    assert {len(pathlib.Path(f).parts) > 1 for f in files} == {True}
    for unit in (staged / "usr/lib/systemd/system").glob("*.service"):
        program = setting(unit, "ExecStart")[0].split()[0]
        assert (staged / program.lstrip("/")).exists() or pathlib.Path(program).exists(), program
    assert (staged / "etc/sluice").is_dir() and not list((staged / "etc/sluice").iterdir())


def test_install_elsewhere(tmp_path):
    run("make", "--no-print-directory", f"BUILD={os.environ.get('SLUICE_BUILD', 'build')}",
        *(["SAN=1"] if "asan" in str(BUILD) else []), f"DESTDIR={tmp_path}", "PREFIX=/opt/sluice", "install", cwd=ROOT)
    unit = tmp_path / "opt/sluice/lib/systemd/system/sluice-agent.service"
    assert setting(unit, "ExecStart") == ["/opt/sluice/sbin/sluice-agent -c /etc/sluice/agent.yaml"]
    assert (tmp_path / "opt/sluice/sbin/sluice-agent").exists()


# -- words --------------------------------------------------------------------------------------------------


def test_man_pages_are_clean():
    run("mandoc", "-T", "lint", "-W", "warning", *sorted((DEPLOY / "man").iterdir()))


def test_every_command_and_option_is_in_the_man_page():
    page = (DEPLOY / "man" / "sluicectl.1").read_text()
    for command in commands():
        assert f".Cm {command}" in page, command
        for option in options(command):
            assert f"Fl {option[1:]}" in page or f", {option[1:]}" in page, (command, option)


def test_policy_keys_are_in_the_man_page():
    """The document's grammar is a table in cluster.c; each policy key of it has its line."""
    rows = (ROOT / "controller" / "cluster.c").read_text().split("policy_rows[] = {")[1].split("};")[0]
    keys = re.findall(r'\{ "(\w+)"', rows)
    page = (DEPLOY / "man" / "cluster.yaml.5").read_text()
    assert len(keys) > 15 and re.findall(r"^\.It (\w+) Ta [\d.]+ Ta", page, re.M) == keys


def commands():
    text = run(BUILD / "sluicectl", "--help")
    return re.findall(r"^  ([a-z]+(?: [a-z]+)?)  +\S", text.split("Options for")[0], re.M)


def options(command):
    text = run(BUILD / "sluicectl", *command.split(), "--help")
    return re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", text, re.M)


# -- completion ---------------------------------------------------------------------------------------------


def complete(line, path=""):
    """What bash offers after line (a trailing space: a new word)."""
    words = line.split() + ([""] if line.endswith(" ") else [])
    script = f"""
set -u
PATH={path or BUILD}:$PATH
source {DEPLOY}/completion/sluicectl
COMP_WORDS=({' '.join(repr(w) for w in words)})
COMP_CWORD={len(words) - 1}
_sluicectl
printf '%s\\n' "${{COMPREPLY[@]-}}"
"""
    return run("bash", "-O", "extglob", "-c", script).split()


def test_completion_is_clean():
    run("shellcheck", "-s", "bash", DEPLOY / "completion" / "sluicectl")


def test_completion_offers_every_command_and_option():
    first = complete("sluicectl ")
    for command in commands():
        words = command.split()
        assert words[0] in first, command
        if len(words) == 2:
            assert words[1] in complete(f"sluicectl {words[0]} "), command
        assert sorted(complete(f"sluicectl {command} --")) == sorted(options(command)), command


def test_completion_of_words(tmp_path):
    fake = tmp_path / "sluicectl"
    fake.write_text("#!/bin/sh\n[ \"$1 $2\" = 'get sites' ] && exec printf 'SITE HEALTHY\\nfra yes\\nams yes\\n'\n"
                    f"exec {BUILD}/sluicectl \"$@\"\n")
    fake.chmod(0o755)
    assert complete("sluicectl mode s") == ["steer"]
    assert complete("sluicectl --url https://x mode ") == ["freeze", "observe", "steer"]
    assert complete("sluicectl drain ") == ["node", "service", "site"]
    assert complete("sluicectl drain site ", tmp_path) == ["ams", "fra"]
    assert complete("sluicectl whatif --lose ", tmp_path) == ["ams", "fra"]
    assert complete("sluicectl drain --reason x site a", tmp_path) == ["ams"]
    assert complete("sluicectl get -o j") == ["json"]
    assert complete("sluicectl token new --role ") == ["admin", "operator", "viewer"]
    assert complete("sluicectl pki issue n --role ") == ["controller", "node"]
    assert "deploy/" in [c + "/" for c in complete(f"sluicectl apply -f {ROOT}/depl")][0] + "/"
    assert complete("sluicectl events -f --k") == ["--kind"]


def test_examples_are_documents():
    """Programs of this build accept what we ship."""
    for name in ("agent", "controller"):
        run(BUILD / f"sluice-{name}", "-n", "-c", DEPLOY / "examples" / f"{name}.yaml")
