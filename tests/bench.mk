# measurements with targets, beside Debian's ExaBGP where it does the same work; see tests/bench
bench: bench-failover bench-vty bench-footprint ## every measurement; JSON in build/bench

bench-failover: bench-deps ## service death -> neighbour router's kernel, sluice and ExaBGP side by side
	@$(SUDO) $(PY) -m tests.bench.failover
bench-vty: bench-deps ## changes per second against vtysh; a thousand prefixes
	@$(SUDO) $(PY) -m tests.bench.vty
bench-footprint: bench-deps ## memory and CPU with 20 services, beside ExaBGP
	@$(SUDO) $(PY) -m tests.bench.footprint
bench-drills: bench-deps ## every kind of drill in full (RUNS=5), aborts and crashes in every stage; about an hour
	@$(SUDO) env RUNS=$(or $(RUNS),5) STAGE_RUNS=$(or $(STAGE_RUNS),3) $(PY) -m tests.bench.drills
bench-ha: bench-deps ## a leader dies (RUNS=20), etcd is lost: time to the next leader, route changes, lost writes
	@$(SUDO) env RUNS=$(or $(RUNS),20) $(PY) -m tests.bench.ha
bench-api: bench-deps ## 1,000 nodes: reads at 2,000/s, 1,000 event streams, the round meanwhile; and wrk flat out
	@$(MAKE) --no-print-directory $(BUILD)/api-fleet $(BUILD)/api-load
	@$(PY) -m tests.bench.api
$(BUILD)/api-fleet: $(call obj,tests/bench/api_fleet.c) $(lib_o)
$(BUILD)/api-load: $(call obj,tests/bench/api_load.c) $(call obj,$(base))
$(BUILD)/api-fleet $(BUILD)/api-load:
	$(call say,LD,$@)$(CC) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) -lm
bench-crash: bench-deps ## 2000 kill -9 and 4000 power cuts of a writing store (CRASH_ROUNDS, SEED)
	@$(MAKE) --no-print-directory $(BUILD)/unit/crash_test
	@CRASH_ROUNDS=$(or $(CRASH_ROUNDS),2000) $(BUILD)/unit/crash_test

bench-deps: deps
	@$(MAKE) --no-print-directory -j2 all lab-programs
.PHONY: bench bench-drills bench-api bench-ha bench-crash bench-deps bench-failover bench-vty bench-footprint
