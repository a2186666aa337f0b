# drills: what an agent simulates, and the controller's side
unit += simulate
simulate_src := agent/simulate.c proto/base/mem.c
unit += forecast
forecast_src := $(steer) $(base)
unit += lessons
lessons_src := $(steer) $(base)
unit += drill
drill_model := controller/model.c controller/observe.c controller/meter.c controller/cluster.c controller/cluster_schema.c \
               $(steer)
drill_pure  := $(addprefix controller/drill/,hands.c kind.c outcome.c preflight.c record.c report.c report_html.c schedule.c series.c \
               surge.c table.c tabletop_view.c watch.c)
drill_src   := $(drill_pure) $(drill_model) $(base)
# on a clock of its own
unit += drills drills_store
drills_src  := tests/unit/drills_rig.c $(wildcard controller/drill/*.c) controller/weights.c $(drill_model) $(sim_live) controller/events.c controller/store.c controller/store_memory.c controller/store_index.c \
               controller/lead.c $(filter-out proto/base/mono.c,$(base))
unit += surge
surge_src   := $(drills_src)
# the simulator's half of a tabletop
unit += rehearse
rehearse_src := $(sim_live) $(steer) $(base)
drills_store_src := $(drills_src)
