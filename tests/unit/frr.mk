# agent/frr: what goes to bgpd and what comes back
unit += frr_parse
frr_parse_src := agent/frr/parse.c agent/frr/route.c $(base)
unit += frr_diff
frr_diff_src := agent/frr/diff.c agent/frr/command.c agent/frr/parse.c agent/frr/route.c $(base)
unit += vty
vty_src := agent/frr/vty.c $(base)
