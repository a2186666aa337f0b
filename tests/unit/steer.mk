# The steering core, each test linking only what it tests and proto/base.
steer_guard := controller/steer/guard.c controller/steer/guard_rules.c controller/steer/permit.c \
               controller/steer/ledger.c
steer_model := controller/steer/shift.c controller/steer/recall.c controller/steer/round.c controller/steer/lean.c \
               controller/steer/flow.c controller/steer/demand.c
steer_plan  := $(steer_model) $(steer_guard) controller/steer/cost.c controller/steer/explain.c \
               controller/steer/search.c controller/steer/candidate.c controller/steer/policy.c

unit += balance pace ledger lost lean guard shift plan engine absorb csv
balance_src := controller/steer/balance.c $(base)
pace_src    := controller/steer/pace.c controller/steer/balance.c $(base)
ledger_src  := controller/steer/ledger.c $(base)
lost_src    := controller/steer/lost.c controller/steer/policy.c $(base)
lean_src    := controller/steer/lean.c controller/steer/recall.c $(base)
guard_src   := $(steer_guard) controller/steer/policy.c $(base)
shift_src   := controller/steer/shift.c $(base)
plan_src    := $(steer_plan) $(base)
engine_src  := $(steer) $(base)
absorb_src  := $(steer) $(base)
csv_src     := controller/sim/csv.c tests/fuzz/csv_fuzz.c tests/fuzz/replay.c $(base)
