# the last directive on disk and the leases in it
unit += state orders
state_src  := agent/state.c proto/wire/msg.c $(base)
state_obj  := $(gen_o)
orders_src := agent/orders.c agent/state.c agent/uplink.c proto/wire/msg.c $(base)
orders_obj := $(gen_o)
