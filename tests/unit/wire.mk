# proto/base and proto/wire
wire_base := proto/base/addr.c proto/base/err.c proto/base/log.c proto/base/mem.c proto/base/mono.c
wire_pki  := proto/wire/tls.c $(wildcard proto/wire/pki*.c) tests/unit/certs.c $(wire_base)

unit += base frame msg tls pki link
base_src  := $(wire_base)
frame_src := proto/wire/frame.c tests/fuzz/frame_fuzz.c tests/fuzz/replay.c $(wire_base)
msg_src   := proto/wire/msg.c tests/fuzz/msg_fuzz.c tests/fuzz/replay.c $(wire_base)
msg_obj   := $(gen_o)
tls_src   := $(wire_pki)
pki_src   := $(wire_pki)
link_src  := proto/wire/link.c proto/wire/frame.c proto/wire/msg.c tests/unit/raw.c $(wire_pki)
link_obj  := $(gen_o)
unit += enroll
enroll_src := agent/enroll.c agent/api_call.c agent/check/reply.c proto/wire/ticket.c $(wire_pki)
