/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/err.h"

#include <stddef.h>
#include <string.h>

static const struct {
	int err;
	const char *text;
} table[] = {
	{ 0, "ok" },
	{ ERR_FRAME_TOO_BIG, "frame larger than the limit" },
	{ ERR_MALFORMED, "malformed input" },
	{ ERR_LIMIT, "limit exceeded" },
	{ ERR_TLS, "TLS failure" },
	{ ERR_CERT, "certificate not accepted" },
	{ ERR_VERSION, "protocol version not supported" },
	{ ERR_REFUSED, "command refused by FRR" },
	{ ERR_NOT_ALLOWED, "not in the local whitelist" },
	{ ERR_STALE_EPOCH, "directive from an older epoch" },
	{ ERR_GUARD, "refused by the guard" },
	{ ERR_CONFIG, "configuration error" },
	{ ERR_STORE, "store failure" },
	{ ERR_CONFLICT, "conflict" },
	{ ERR_CLOSED, "closed by the peer" },
	{ ERR_TIMEOUT, "timed out" },
	{ ERR_CERT_TIME, "certificate expired or not valid yet" },
};

const char *err_str(int err)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].err == err)
			return table[i].text;
	return strerror(err < 0 ? -err : err);
}
