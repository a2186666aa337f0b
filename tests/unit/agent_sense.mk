unit += check listen service sample sample_text
sense_check := $(wildcard agent/check/*.c) agent/run.c proto/base/addr.c proto/base/err.c proto/base/mem.c
check_src   := $(sense_check) tests/fuzz/http_fuzz.c tests/fuzz/replay.c
listen_src  := $(sense_check)
service_src := agent/service.c agent/announce.c agent/frr/route.c $(sense_check) proto/base/mono.c
# without base/log.c: the test hears what is said
sample_src  := $(wildcard agent/sample/*.c) proto/wire/msg.c proto/base/addr.c proto/base/err.c proto/base/mem.c \
               proto/base/mono.c
sample_obj  := $(gen_o)
sample_text_src := agent/sample/proc.c agent/sample/vip_rules.c proto/base/addr.c proto/base/err.c proto/base/mem.c
