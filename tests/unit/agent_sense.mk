unit += check service sample sample_text
sense_check   := agent/check/check.c agent/check/tcp.c agent/check/http.c agent/check/reply.c \
                 proto/base/addr.c proto/base/mem.c
check_src   := $(sense_check) tests/fuzz/http_fuzz.c tests/fuzz/replay.c
service_src := agent/service.c $(sense_check) proto/base/mono.c
# without base/log.c: the test hears what is said
sample_src  := $(wildcard agent/sample/*.c) proto/wire/msg.c proto/base/addr.c proto/base/err.c proto/base/mem.c \
               proto/base/mono.c
sample_obj  := $(gen_o)
sample_text_src := agent/sample/proc.c agent/sample/vip_rules.c proto/base/addr.c proto/base/err.c proto/base/mem.c
