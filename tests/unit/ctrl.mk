# the controller's document, store, events and API
api_rig := $(wildcard controller/api/*.c) controller/control.c controller/enrol.c proto/wire/ticket.c controller/drains.c controller/overrides.c \
           controller/drain.c controller/diff.c controller/cluster.c controller/cluster_schema.c controller/model.c \
           controller/meter.c controller/events.c controller/store.c controller/store_memory.c controller/store_index.c \
           controller/observe.c controller/weights.c $(wildcard controller/drill/*.c) $(sim_live) $(steer) $(wildcard proto/wire/pki*.c) proto/wire/tls.c \
           tests/unit/certs.c tests/unit/https.c tests/unit/api_rig.c $(base)

unit += cluster events auth http api api_use api_whatif sse
cluster_src := controller/cluster.c controller/cluster_schema.c controller/steer/policy.c \
               tests/fuzz/cluster_fuzz.c tests/fuzz/replay.c $(base)
events_src  := controller/events.c controller/store.c controller/store_memory.c controller/store_index.c $(base)
auth_src    := controller/api/auth.c controller/store.c controller/store_memory.c controller/store_index.c $(base)
http_src    := controller/drain.c controller/api/http.c controller/api/identity.c controller/api/problem.c controller/api/view.c controller/api/out.c \
               $(wildcard proto/wire/pki*.c) proto/wire/tls.c \
               tests/unit/certs.c tests/unit/https.c $(base)
api_src     := $(api_rig)
api_use_src := $(api_rig)
api_whatif_src := $(api_rig)
sse_src     := $(api_rig)
# put into the object by .incbin, which the compiler's dependency file does not see
$(BUILD)/obj/controller/api/openapi.o: controller/api/openapi.json
# certificates of nodes
unit += enrol
enrol_src := controller/enrol.c controller/events.c controller/store.c controller/store_memory.c controller/store_index.c \
             proto/wire/ticket.c $(wildcard proto/wire/pki*.c) proto/wire/tls.c tests/unit/certs.c \
             tests/fuzz/enrol_fuzz.c tests/fuzz/replay.c $(base)
unit += identity
identity_src := agent/identity.c proto/wire/msg.c $(wildcard proto/wire/pki*.c) proto/wire/tls.c tests/unit/certs.c $(base)
identity_obj := $(gen_o)
# sessions of agents
unit += fleet
fleet_src := $(wildcard controller/fleet*.c) controller/enrol.c controller/model.c controller/meter.c controller/drain.c \
             controller/cluster.c controller/cluster_schema.c controller/steer/policy.c controller/events.c controller/store.c \
             controller/store_memory.c controller/store_index.c proto/wire/ticket.c proto/wire/link.c proto/wire/frame.c proto/wire/msg.c proto/wire/tls.c \
             $(wildcard proto/wire/pki*.c) tests/unit/certs.c $(base)
fleet_obj := $(gen_o)
unit += out
out_src := controller/api/out.c controller/api/view.c controller/api/problem.c controller/drain.c $(base)
