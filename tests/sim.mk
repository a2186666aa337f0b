# sluice-sim's tests and benches, and the engine as a shared object for the property tests.
# libglpk is for the exact optimum in bench-plan only; nothing shipped links it.
$(BUILD)/libsteer.so: $(steer) $(base) $(wildcard controller/steer/*.h)
	$(call say,SO,$@)$(CC) $(CFLAGS) -fPIC -shared -Wl,-z,now -o $@ $(steer) $(base) $(PKG_LIBS) -lm

bench_src := tests/bench/plan_bench.c tests/bench/exact.c
$(BUILD)/bench/plan_bench: $(call obj,$(bench_src) $(steer) $(base))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lglpk -lm

bench-plan: $(BUILD)/bench/plan_bench ## time of a round by size, gap to the exact optimum
	@$< $(BUILD)/bench/plan.json

SIM_SEEDS ?= 200
bench-sim: $(BUILD)/sluice-sim ## every scenario, $(SIM_SEEDS) seeds (about 15 minutes on two cores)
	@mkdir -p $(BUILD)/bench
	@$< --scenario all --policy all --seeds $(SIM_SEEDS) --json $(BUILD)/bench/sim.json \
	  --plot $(BUILD)/bench/sim.svg | tee $(BUILD)/bench/sim.txt

sim-test: $(BUILD)/sluice-sim $(BUILD)/libsteer.so ## property and command-line tests of engine and simulator
	@SLUICE_BUILD=$(BUILD) $(PY) -m pytest -q -p no:cacheprovider tests/prop
.PHONY: bench-plan bench-sim sim-test
