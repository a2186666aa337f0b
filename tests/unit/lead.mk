unit += failsafe meter agent_config
failsafe_src := agent/failsafe.c proto/base/addr.c proto/base/mem.c
meter_src := controller/meter.c proto/base/addr.c proto/base/mem.c
agent_config_src := agent/config.c agent/announce.c agent/frr/route.c agent/run.c $(wildcard agent/check/*.c) proto/wire/pki.c $(base)
unit += control
control_src := controller/control.c controller/drains.c controller/drain.c controller/overrides.c controller/model.c controller/meter.c controller/cluster.c controller/cluster_schema.c controller/events.c controller/store.c controller/store_memory.c controller/steer/policy.c $(base)
