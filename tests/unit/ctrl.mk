# the controller's document, store, events and API
unit += cluster store events auth api
cluster_src := controller/cluster.c controller/cluster_schema.c controller/steer/policy.c $(base)
store_src   := controller/store.c controller/store_sqlite.c controller/store_memory.c $(base)
events_src  := controller/events.c controller/store.c controller/store_memory.c $(base)
auth_src    := controller/api/auth.c $(base)
api_src     := $(wildcard controller/api/*.c) $(cluster_src) controller/model.c controller/meter.c controller/events.c \
               controller/store.c controller/store_memory.c proto/wire/pki.c proto/wire/tls.c tests/unit/certs.c
# put into the object by .incbin, which the compiler's dependency file does not see
$(BUILD)/obj/controller/api/openapi.o: controller/api/openapi.json
