# drills: what an agent simulates, and the controller's side
unit += simulate
simulate_src := agent/simulate.c proto/base/mem.c
unit += forecast
forecast_src := $(steer) $(base)
