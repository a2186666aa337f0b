/* SPDX-License-Identifier: Apache-2.0
 * A client of bgpd's vty socket on a libuv loop. Keeps the connection open, reconnects (100 ms, doubling to
 * 2 s, for ever), sends `enable` first, has one command in flight and queues the rest.
 * Framing: command + NUL; reply text, three NULs, one status byte (FRR lib/vty.c). A reply above
 * VTY_REPLY_MAX or slower than VTY_TIMEOUT_MS closes the connection (it cannot be resynchronised). */
#ifndef FRR_VTY_H
#define FRR_VTY_H
#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define VTY_REPLY_MAX  (16 * 1024 * 1024)
#define VTY_TIMEOUT_MS 5000

enum { VTY_OK = 0, VTY_WARNING = 13 /* CMD_WARNING_CONFIG_FAILED in 8.4: refused */ };

/* err 0: status and text are bgpd's (text NUL-terminated, valid during the call).
 * err negative (ERR_CLOSED, ERR_TIMEOUT, ERR_LIMIT): never answered; status and text are meaningless. */
typedef void (*vty_reply_fn)(int err, int status, const char *text, size_t len, void *arg);

struct vty;
struct vty_ops {
	void (*up)(void *arg); /* connected and enabled: every time */
	void (*down)(const char *why,
		     void *arg); /* once per loss, and once when the first attempt fails;
				  * why says what to do (no such path, permission, group frrvty) */
};

struct vty *vty_new(uv_loop_t *loop, const char *path, const struct vty_ops *ops, void *arg);
/* Queues one command. When not connected fn is called from the loop with ERR_CLOSED. */
void vty_send(struct vty *v, const char *command, vty_reply_fn fn, void *arg);
bool vty_is_up(const struct vty *v);
/* Pending commands get ERR_CLOSED; v is freed by the loop. */
void vty_close(struct vty *v);
#endif
