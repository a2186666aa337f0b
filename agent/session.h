/* SPDX-License-Identifier: Apache-2.0
 * The agent's side of the conversation with the controller.
 * States: WAIT (backing off) -> CONNECTING -> GREETED (Hello sent) -> ACTIVE (Welcome) -> WAIT.
 * A controller that does not lead names the one that does: we go there at once, unless that one just failed
 * us; then, or when nobody leads, we wait here in GREETED: the Welcome comes when this one wins, the name
 * when another does. After WAIT_LEADER_MS the next endpoint is tried. Timers: reconnect 200 ms doubling to 5
 * s with jitter; reports every report_interval_ms; a ping every 3 s. Losing the controller changes nothing by
 * itself: the owner keeps its last directive. */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H
#include "agent/config.h"
#include "proto/wire/link.h"

struct session;
struct session_ops {
	/* fill hello's boot_id, last_epoch, prefixes (heap, freed by the session) */
	void (*hello)(struct msg_hello *h, void *arg);
	/* fill the report; the session sets seq and frees its arrays */
	void (*report)(struct msg_report *r, void *arg);
	/* d is the session's */
	void (*directive)(const struct msg_directive *d, void *arg);
	void (*state)(bool active, const char *why, void *arg);
	/* CertAnswer and Trust; m is the session's */
	void (*cert)(const struct msg *m, void *arg);
};

struct session *session_new(uv_loop_t *loop, const struct agent_config *cfg, struct tls_creds *creds,
			    const struct session_ops *ops, void *arg);
/* A report out of turn: something changed. */
void session_report_now(struct session *s);
/* For the connections to come; the present one goes on. */
void session_set_creds(struct session *s, struct tls_creds *creds);
/* Sent when active, dropped otherwise. */
void session_send(struct session *s, const struct msg *m);
bool session_is_active(const struct session *s);
/* A drill rehearses silence: reports, or all but the pings that keep the link, are dropped instead of sent.
 */
enum session_voice { SESSION_SPEAKS, SESSION_NO_REPORTS, SESSION_SILENT };
void session_quiet(struct session *s, enum session_voice voice);
void session_free(struct session *s);
#endif
