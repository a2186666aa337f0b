/* SPDX-License-Identifier: Apache-2.0
 * The local socket that `sluice-agent status`, `disable`, ... speak to: one line of JSON in, one document
 * out, then it is closed. {"command": "status"} | {"command": "metrics"} | {"command": "disable", "service",
 * "reason"} |
 * {"command": "enable", "service"} | {"command": "reload"}. An answer with "error" is a refusal.
 * The socket is mode 0660: who may write to it may do all of this. */
#ifndef AGENT_CONTROL_H
#define AGENT_CONTROL_H
#include <jansson.h>
#include <uv.h>

#define CONTROL_REQUEST_MAX 4096
#define CONTROL_CLIENTS_MAX 16

struct control;
struct control_ops {
	/* The answer, the caller's: never NULL. Pure text is a JSON string. */
	json_t *(*ask)(const json_t *request, void *arg);
	void *arg;
};
/* NULL with ret_why (TEXT_LEN): the socket cannot be made; everything else works without it. */
struct control *control_new(uv_loop_t *loop, const char *path, const struct control_ops *ops, char *ret_why);
void control_free(struct control *c);

/* The other end, blocking: 0 with *ret_answer (the caller's), or negative with ret_why (TEXT_LEN). */
int control_ask(const char *path, json_t *request, json_t **ret_answer, char *ret_why);
#endif
