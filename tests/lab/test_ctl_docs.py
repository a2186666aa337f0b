# SPDX-License-Identifier: Apache-2.0
"""--help, the manual page and the completion of sluicectl say the same: every command, every option."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = (ROOT / os.environ.get("SLUICE_BUILD", "build")).resolve()
ENV = {"PATH": f"{BUILD}:{os.environ['PATH']}", "HOME": "/nonexistent"}


def ctl(*argv):
    return subprocess.run([BUILD / "sluicectl", *argv], env=ENV, capture_output=True, text=True, timeout=20,
                          check=True).stdout


def commands():
    body = ctl("--help").split("Options for every command")[0]
    return [m.strip() for m in re.findall(r"^  ([a-z][a-z -]*?)  +\S", body, re.M)]


def options(text):
    return set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", text, re.M))


COMMON = options(ctl("--help"))
COMMANDS = commands()


def own(command):
    return options(ctl(*command.split(), "--help")) - COMMON


def synopsis():
    """The lines of the SYNOPSIS as plain words, from its mdoc source."""
    source = (ROOT / "deploy" / "man" / "sluicectl.1").read_text()
    part = source.split(".Sh SYNOPSIS\n")[1].split(".Sh ")[0].replace(".Op Ar option ...\n", "")
    lines = []
    for block in part.split(".Nm\n")[1:]:
        text = re.sub(r"\bFl (\S+)", r"-\1", block)
        text = re.sub(r"\b(Op|Ar|Cm|Ns|No)\b", "", text.replace("\n.", " ").lstrip("."))
        lines.append(" ".join(text.split()))
    return lines


def complete(*words):
    script = ('source "$1"; shift; COMP_WORDS=(sluicectl "$@"); COMP_CWORD=$#; _sluicectl; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    out = subprocess.run(["bash", "-c", script, "_", ROOT / "deploy" / "completion" / "sluicectl", *words], env=ENV,
                         capture_output=True, text=True, timeout=20, check=True).stdout
    return set(out.split())


def test_there_are_commands():
    assert len(COMMANDS) > 20 and "status" in COMMANDS and "pki rotate-ca" in COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_the_manual_names_every_option(command):
    lines = [line for line in synopsis() if re.match(rf"{command}( |$)", line)]
    assert lines, f"{command} is not in the SYNOPSIS of sluicectl(1)"
    said = set(re.findall(r"--[a-z-]+", " ".join(lines)))
    short = set(re.findall(r"(?<!-)-(\w)\b", " ".join(lines)))
    letters = dict(re.findall(r"^ +-(\w), (--[a-z-]+)", ctl(*command.split(), "--help"), re.M))
    said |= {letters[c] for c in short if c in letters}
    assert said - COMMON == own(command)


def test_the_manual_names_no_other_command():
    for line in synopsis():
        assert any(line == c or line.startswith(c + " ") for c in COMMANDS), line


@pytest.mark.parametrize("command", COMMANDS)
def test_completion_knows_every_option(command):
    assert {o for o in complete(*command.split(), "--")} == own(command) | COMMON


def test_completion_knows_every_command():
    assert complete("") == {c.split()[0] for c in COMMANDS} | {"help"}
    assert complete("pki", "") == {"init", "issue", "enrolment", "rotate-ca"}
    assert complete("--url", "https://x", "override", "s") == {"set"}
    assert complete("help", "tok") == {"token"}


@pytest.mark.parametrize("words, want", [
    (["drain", ""], {"site", "node", "service"}), (["mode", "--reason", "x", "f"], {"freeze"}),
    (["-o", "j"], {"json"}), (["token", "create", "bob", "--role", ""], {"viewer", "operator", "admin"}),
    (["pki", "issue", "x", "--role", ""], {"node", "controller"}), (["probe", "-k", "h"], {"http", "https"}),
    (["get", "sh"], {"shards"}), (["top", "--page", ""], {"nodes", "shards", "plan"}),
])
def test_completion_of_values(words, want):
    assert complete(*words) == want


def test_completion_of_files(tmp_path):
    (tmp_path / "cluster.yaml").touch()
    assert complete("apply", "-f", f"{tmp_path}/cl") == {f"{tmp_path}/cluster.yaml"}


def test_every_command_of_the_agent_is_in_its_manual():
    text = subprocess.run([BUILD / "sluice-agent", "--help"], capture_output=True, text=True, check=True).stdout
    names = re.sub(r"\(.*", "", text.split("commands:")[1], flags=re.S).replace("\n", " ").split(",")
    page = (ROOT / "deploy" / "man" / "sluice-agent.8").read_text()
    for name in names:
        assert re.search(rf"^\.Cm .*\b{name.strip()}\b", page, re.M), name
