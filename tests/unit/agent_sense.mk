unit += check listen dns systemd announce import service sample sample_text
sense_check := $(wildcard agent/check/*.c) agent/run.c proto/base/addr.c proto/base/err.c proto/base/mem.c
check_src   := $(sense_check) tests/fuzz/http_fuzz.c tests/fuzz/replay.c
listen_src  := $(sense_check)
systemd_src := $(sense_check)
dns_src     := agent/check/dns_msg.c proto/base/mem.c tests/fuzz/dns_fuzz.c tests/fuzz/replay.c
announce_src := agent/announce.c agent/service.c agent/frr/route.c $(sense_check) proto/base/mono.c
import_src  := $(wildcard agent/import*.c) agent/config.c agent/announce.c agent/frr/route.c $(sense_check) \
               proto/wire/pki.c $(filter-out proto/base/addr.c proto/base/err.c proto/base/mem.c,$(base))
service_src := agent/service.c agent/announce.c agent/frr/route.c $(sense_check) proto/base/mono.c
# without base/log.c: the test hears what is said
sample_src  := $(wildcard agent/sample/*.c) proto/wire/msg.c proto/base/addr.c proto/base/err.c proto/base/mem.c \
               proto/base/mono.c
sample_obj  := $(gen_o)
sample_text_src := agent/sample/proc.c agent/sample/vip_rules.c proto/base/addr.c proto/base/err.c proto/base/mem.c
