/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as agent.yaml. What is refused must say why; what is taken and printed must be taken again, and
 * printed as the same text. links: agent/config.c agent/announce.c agent/frr/route.c agent/run.c
 * agent/check/address.c agent/check/check.c agent/check/diag.c agent/check/dns.c agent/check/dns_msg.c
 * agent/check/exec.c agent/check/field.c agent/check/grace.c agent/check/http.c agent/check/listen.c
 * agent/check/process.c agent/check/reply.c agent/check/secure.c agent/check/systemd.c agent/check/tcp.c
 * agent/check/udp.c proto/wire/pki.c proto/base/addr.c proto/base/conf.c proto/base/conf_walk.c
 * proto/base/err.c proto/base/log.c proto/base/mem.c proto/base/mono.c
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/config.h"
#include "tests/fuzz/fuzz.h"

static int load(const void *data, size_t size, struct agent_config **ret_config)
{
	char path[64], why[CONF_WHY_LEN] = "";
	auto_close int fd = memfd_create("agent.yaml", MFD_CLOEXEC);

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int err = agent_config_load(path, ret_config, why);
	must(err == 0 || (err < 0 && why[0]));
	return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct agent_config *c = NULL, *again = NULL;
	auto_buf text = { 0 };
	auto_buf text_again = { 0 };

	if (load(data, size, &c) < 0)
		return 0;
	must(agent_config_print(c, &text) == 0);
	must(load(text.data, text.len, &again) == 0);
	must(agent_config_print(again, &text_again) == 0);
	must(text.len == text_again.len && memcmp(text.data, text_again.data, text.len) == 0);
	agent_config_free(c);
	agent_config_free(again);
	return 0;
}
