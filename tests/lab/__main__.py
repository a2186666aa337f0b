# SPDX-License-Identifier: Apache-2.0
"""`python3 -m tests.lab up [--build DIR] [--sluice]`: raises the lab and keeps it until Ctrl-C."""
import argparse
import signal
import sys

from . import topology as topo
from .lab import Lab

HINTS = """
  the lab is {id}; its files are in {dir}
  look in        ip netns exec {ns}-fra1 sh          (or ams1, nyc1, fra-r, t1..t3, c1..c6, rc, ctl)
  FRR            vtysh --vty_socket {dir}/fra-r      (fra1..3, ams1, nyc1, t1, t3)
  BIRD           birdc -s {dir}/t2/bird.ctl          (c1..c6)
  a client       ip netns exec {ns}-c1 curl -si {vip}/healthz
  Ctrl-C takes everything down
"""


def main():
    parser = argparse.ArgumentParser(prog="tests.lab")
    parser.add_argument("command", choices=["up"])
    parser.add_argument("--build", default="build", help="directory of the binaries (build)")
    parser.add_argument("--sluice", action="store_true", help="start controller and agents, too")
    parser.add_argument("--fake", action="store_true", help="announce everything at grade normal without Sluice")
    args = parser.parse_args()
    try:
        with Lab(build=args.build) as lab:
            if args.sluice:
                lab.start_controller()
                lab.start_agents()
            if args.fake:
                lab.fake.everywhere()
            print(HINTS.format(id=lab.ground.id, dir=lab.ground.dir, ns=f"sl{lab.ground.id}", vip=topo.VIPS["web-a"]),
                  flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
