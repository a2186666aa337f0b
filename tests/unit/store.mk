# the stores, and who leads over a shared one
unit += store store_etcd lead crash standby
store_src   := controller/store.c controller/store_sqlite.c controller/store_migrate.c controller/store_memory.c controller/store_index.c tests/unit/store_contract.c $(base)
store_etcd_src := controller/store.c controller/store_memory.c controller/store_index.c controller/store_etcd.c controller/etcd.c \
               controller/etcd_worker.c controller/etcd_mirror.c controller/lead.c tests/unit/store_contract.c tests/unit/etcd_rig.c $(base)
lead_src    := controller/lead.c $(base)
crash_src   := controller/store.c controller/store_index.c controller/store_sqlite.c controller/store_migrate.c tests/unit/power_vfs.c $(base)
standby_src := $(api_rig)
unit += rounds_store
rounds_store_src := controller/rounds.c controller/hold.c controller/order.c controller/weights.c controller/think.c controller/observe.c controller/model.c controller/drain.c \
               controller/meter.c controller/cluster.c controller/cluster_schema.c controller/events.c controller/store.c \
               controller/store_memory.c controller/store_index.c $(wildcard controller/steer/*.c) $(base)
unit += etcd_mirror
etcd_mirror_src := controller/etcd_mirror.c $(base)
unit += hold
hold_src := controller/hold.c
