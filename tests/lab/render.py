# SPDX-License-Identifier: Apache-2.0
"""Configuration files from templates with plain @NAME@ placeholders. A line naming a list is repeated once for
every element, and dropped for an empty list; several lists in one line run in step."""
import pathlib
import re

from . import topology as topo

HERE = pathlib.Path(__file__).resolve().parent
FRR = HERE.parent.parent / "deploy" / "frr"
_HOLE = re.compile(r"@([A-Z0-9_]+)@")


def fill(text, values):
    out = []
    for line in text.splitlines():
        names = set() if line.lstrip().startswith(("!", "#")) else set(_HOLE.findall(line))
        lists = [values[n] for n in names if isinstance(values[n], list)]
        for i in range(min(map(len, lists), default=1)):
            out.append(_HOLE.sub(lambda m, i=i: _value(values, m.group(1), i), line) if names else line)
    return "\n".join(out) + "\n"


def _value(values, name, i):
    value = values[name]
    return str(value[i] if isinstance(value, list) else value)


def _peers(name):
    """(other end, its speaker, its v4 address, its v6 address) over all links of name."""
    for link in topo.links_of(name):
        other = link.other(name)
        yield other, topo.BY_NAME[other], link.addr4(other), link.addr6(other)


def _columns(rows, prefix):
    rows = list(rows)
    return {
        f"{prefix}": [r[0].replace("-", "_") for r in rows],
        f"{prefix}_AS": [r[1].asn for r in rows],
        f"{prefix}4": [r[2] for r in rows],
        f"{prefix}6": [r[3] for r in rows],
    }


def _common(speaker, directory):
    return {
        "NAME": speaker.name,
        "AS": speaker.asn,
        "ROUTER_ID": speaker.router_id,
        "DIR": directory,
        "PREFIX4": [p for p in topo.SHARDS.values() if ":" not in p],
        "PREFIX6": [p for p in topo.SHARDS.values() if ":" in p],
    }


def frr(speaker, directory):
    values = _common(speaker, directory)
    peers = list(_peers(speaker.name))
    if speaker.kind == "node":
        values.update(_columns(peers, "UP"))
        values.update(_columns((p for p in peers if p[1].asn != speaker.asn), "EBGP"))
        return fill((FRR / "node.conf").read_text(), values)
    if speaker.kind == "router":
        values.update(_columns((p for p in peers if p[0] in topo.NODES), "NODE"))
        values.update(_columns((p for p in peers if p[0] not in topo.NODES), "UP"))
        return fill((FRR / "site-router.conf").read_text(), values)
    values.update(_columns(peers, "PEER"))
    values.update(_columns((p for p in peers if p[0] in topo.LESS_TOWARDS.get(speaker.name, ())), "LESS"))
    values["LESS_COMMUNITY"] = topo.LESS_COMMUNITY
    return fill((FRR / "transit.conf").read_text(), values)


def bird(speaker, directory):
    values = _common(speaker, directory)
    values.update(_columns(_peers(speaker.name), "PEER"))
    if speaker.kind == "bird-transit":
        less = topo.LESS_TOWARDS[speaker.name]
        values["EXPORT"] = ["filter less" if name in less else "all" for name in values["PEER"]]
        values["LESS_AS"], values["LESS_VALUE"] = topo.LESS_COMMUNITY.split(":")
        return fill((HERE / "bird-transit.conf").read_text(), values)
    values.update({
        "CLIENT4": topo.client_prefix4(speaker.name),
        "CLIENT6": topo.client_prefix6(speaker.name),
        "ADDR4": topo.client_addr(speaker.name),
        "ADDR6": topo.client_addr(speaker.name, six=True),
    })
    return fill((HERE / "bird-stub.conf").read_text(), values)


def gobgp(speaker, directory):
    text = fill((HERE / "gobgpd.conf").read_text(), _common(speaker, directory))
    peer = (HERE / "gobgpd-peer.conf").read_text()
    for _, other, v4, v6 in _peers(speaker.name):
        for addr, family in ((v4, "ipv4-unicast"), (v6, "ipv6-unicast")):
            text += fill(peer, {"PEER": addr, "PEER_AS": other.asn, "FAMILY": family})
    return text


def nginx(node, directory, www):
    listen = [f"[{v}]:{topo.SERVICE_PORT}" if ":" in v else f"{v}:{topo.SERVICE_PORT}" for v in topo.VIPS.values()]
    return fill((HERE / "nginx.conf").read_text(), {"NAME": node, "DIR": directory, "WWW": www, "LISTEN": listen})
