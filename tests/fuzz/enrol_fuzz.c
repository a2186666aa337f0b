/* SPDX-License-Identifier: Apache-2.0
 * What strangers send to enrol: the token's text (byte 0 even) and the certificate request (odd). A token
 * that parses prints as it was, but for white space at its end; no request that was not made by us is signed.
 * links: proto/wire/ticket.c proto/wire/pki.c proto/wire/pki_sign.c proto/base/mem.c proto/base/err.c
 * proto/base/mono.c
 */
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/wire/msg.h"
#include "proto/wire/ticket.h"
#include "tests/fuzz/fuzz.h"

#define must(cond)                                                                                           \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

static struct pki_signer *signer(void)
{
	static struct pki_signer *s;
	char dir[] = "/tmp/sluice-fuzz.XXXXXX", why[TEXT_LEN] = "";

	if (s)
		return s;
	must(mkdtemp(dir) && pki_init(dir, "fuzz", 30, why) == 0 && pki_enrolment(dir, 30, false, why) == 0);
	auto_free char *cert = xasprintf("%s/enrol.pem", dir), *key = xasprintf("%s/enrol.key", dir);
	auto_free char *rm = xasprintf("rm -r %s", dir);
	must(pki_signer_load(cert, key, &s, why) == 0);
	must(system(rm) == 0);
	return s;
}

static void token(const char *text)
{
	char why[TEXT_LEN] = "", again[TICKET_TEXT_LEN];
	struct ticket t;

	if (ticket_parse(text, &t, why)) {
		must(why[0]);
		return;
	}
	ticket_text(&t, again);
	must(strncmp(text, again, strlen(again)) == 0);
	must(strspn(text + strlen(again), " \t\r\n") == strlen(text + strlen(again)));
}

static void request(const char *text)
{
	char why[TEXT_LEN] = "";
	auto_free char *chain = NULL;
	struct pki_leaf leaf;

	int err = pki_sign(signer(), text, "node1", 3600, &chain, &leaf, why);
	must(err == 0 || why[0]);
	must((err == 0) == (chain != NULL));
	must(err || strcmp(leaf.name, "node1") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	char *text = xcalloc(size, 1);
	memcpy(text, data + 1, size - 1);
	if (data[0] % 2)
		request(text);
	else
		token(text);
	free(text);
	return 0;
}
