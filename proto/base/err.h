/* SPDX-License-Identifier: Apache-2.0
 * Errors are 0 or negative: -errno, or one of ours from -1000 down. One table says them in words. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum {
	ERR_FRAME_TOO_BIG = -1000, /* a peer announced a frame above the limit */
	ERR_MALFORMED = -1001,	   /* bytes that do not parse */
	ERR_LIMIT = -1002,	   /* a peer-sized thing above its limit */
	ERR_TLS = -1003,	   /* handshake or record failure */
	ERR_CERT = -1004,	   /* certificate missing, expired, not ours or without a name */
	ERR_VERSION = -1005,	   /* protocol major version differs */
	ERR_REFUSED = -1006,	   /* FRR refused a command (status 13) */
	ERR_NOT_ALLOWED = -1007,   /* outside the local whitelist */
	ERR_STALE_EPOCH = -1008,   /* a directive from an older leader */
	ERR_GUARD = -1009,	   /* the guard said no */
	ERR_CONFIG = -1010,	   /* a configuration file is wrong */
	ERR_STORE = -1011,	   /* the store failed */
	ERR_CONFLICT = -1012,	   /* somebody else holds it, or it changed meanwhile */
	ERR_CLOSED = -1013,	   /* the peer closed */
	ERR_TIMEOUT = -1014,	   /* no answer in time */
	ERR_CERT_TIME = -1015,	   /* our own certificate has expired or is not valid yet */
};

/* Never NULL; static storage (or strerror's). */
const char *err_str(int err);
#endif
