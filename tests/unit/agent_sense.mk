unit += check service sample
sense_check   := agent/check/check.c agent/check/tcp.c agent/check/http.c agent/check/reply.c \
                 proto/base/addr.c proto/base/mem.c
check_src   := $(sense_check) tests/fuzz/http_fuzz.c tests/fuzz/replay.c
service_src := agent/service.c $(sense_check) proto/base/log.c proto/base/mono.c
# without base/log.c: the test hears what is said
sample_src  := $(wildcard agent/sample/*.c) proto/wire/msg.c proto/base/addr.c proto/base/err.c proto/base/mem.c \
               proto/base/mono.c
sample_obj  := $(gen_o)
