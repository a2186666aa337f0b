/* SPDX-License-Identifier: Apache-2.0
 * States and timers: session.h. Allowed transitions are made in session_to() alone. */
#include "agent/session.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/log.h"
#include "proto/base/mono.h"

#define BACKOFF_MIN_MS 200
#define BACKOFF_MAX_MS 5000
#define REFUSED_MS     5000
#define PING_MS	       3000
#define WAIT_LEADER_MS 6000  /* longer than a lease and an election */
#define FAILED_MS      10000 /* a leader that was lost so recently is not tried on hearsay */

enum state { WAIT, CONNECTING, GREETED, ACTIVE };

struct session {
	uv_loop_t *loop;
	const struct agent_config *cfg;
	struct tls_creds *creds;
	const struct session_ops *ops;
	void *arg;
	enum state state;
	struct link *link;
	uv_timer_t retry, report, ping;
	unsigned next_endpoint, handles;
	uint64_t backoff_ms, seq;
	struct sockaddr_storage leader;	  /* told by a standby; ss_family 0: none */
	struct sockaddr_storage to, lost; /* where we are connecting; who failed us last */
	mono_t lost_at;
	bool leaving;
	enum session_voice voice;
	char last_why[TEXT_LEN]; /* the same failure is said once */
};

static void connect_next(struct session *s);

static void on_retry(uv_timer_t *t)
{
	connect_next(t->data);
}

static void wait_and_retry(struct session *s)
{
	/* jitter: all agents of a restarted controller must not come at once */
	uint64_t ms = s->backoff_ms / 2 + (uint64_t)random() % (s->backoff_ms / 2 + 1);

	s->backoff_ms = s->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : s->backoff_ms * 2;
	uv_timer_start(&s->retry, on_retry, ms, 0);
}

static void session_to(struct session *s, enum state to, const char *why)
{
	enum state from = s->state;

	s->state = to;
	if (to == ACTIVE) {
		s->backoff_ms = BACKOFF_MIN_MS;
		s->last_why[0] = 0;
		s->ops->state(true, why, s->arg);
	}
	if (to != WAIT)
		return;
	uv_timer_stop(&s->report);
	uv_timer_stop(&s->ping);
	s->link = NULL;
	if (from == ACTIVE || strcmp(why, s->last_why) != 0) {
		snprintf(s->last_why, sizeof(s->last_why), "%s", why);
		s->ops->state(false, why, s->arg);
	}
	if (!s->leaving)
		wait_and_retry(s);
}

static void send_report(struct session *s)
{
	struct msg m = { .kind = MSG_REPORT };

	if (s->voice != SESSION_SPEAKS)
		return;
	m.report.seq = ++s->seq;
	s->ops->report(&m.report, s->arg);
	link_send(s->link, &m);
	msg_done(&m);
}

static void on_report(uv_timer_t *t)
{
	send_report(t->data);
}

static void on_ping(uv_timer_t *t)
{
	struct session *s = t->data;
	struct msg m = { .kind = MSG_PING, .nonce = ++s->seq };

	link_send(s->link, &m);
}

static void on_up(struct link *l, void *arg)
{
	struct session *s = arg;
	struct msg m = { .kind = MSG_HELLO, .hello = { .major = PROTO_MAJOR, .minor = PROTO_MINOR } };

	if (!s)
		return;
	s->ops->hello(&m.hello, s->arg);
	link_send(l, &m);
	msg_done(&m);
	session_to(s, GREETED, "hello sent");
}

static void got_welcome(struct session *s, const struct msg *m)
{
	uint64_t ms = m->welcome.report_interval_ms;

	if (s->state != GREETED)
		return;
	ms = ms < 100 ? 100 : ms > 60000 ? 60000 : ms;
	uv_timer_stop(&s->retry);
	session_to(s, ACTIVE, link_addr(s->link));
	send_report(s);
	uv_timer_start(&s->report, on_report, ms, ms);
	uv_timer_start(&s->ping, on_ping, PING_MS, PING_MS);
}

static void on_nobody(uv_timer_t *t)
{
	struct session *s = t->data;

	if (s->link)
		link_close(s->link, "no leader turned up");
}

static bool same_endpoint(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	char x[80], y[80];

	return a->ss_family == b->ss_family &&
	       strcmp(endpoint_str((const struct sockaddr *)a, x, sizeof(x)),
		      endpoint_str((const struct sockaddr *)b, y, sizeof(y))) == 0;
}

static void got_not_leader(struct session *s, const struct msg *m)
{
	struct sockaddr_storage hint = { 0 };
	bool known = endpoint_parse(m->not_leader.leader, &hint, NULL) == 0;
	bool failed = known && mono_is_set(s->lost_at) && same_endpoint(&hint, &s->lost) &&
		      mono_diff_ms(s->lost_at, mono_now()) < FAILED_MS;

	if (known && !failed && !same_endpoint(&hint, &s->to)) {
		s->leader = hint;
		s->backoff_ms = BACKOFF_MIN_MS;
		link_close(s->link, "this controller does not lead");
	} else if (s->state == GREETED) { /* it tells us when somebody leads */
		uv_timer_start(&s->ping, on_ping, PING_MS, PING_MS);
		if (!uv_is_active((uv_handle_t *)&s->retry))
			uv_timer_start(&s->retry, on_nobody, WAIT_LEADER_MS, 0);
	} else {
		link_close(s->link, "this controller does not lead any more");
	}
}

static void got_refused(struct session *s, const struct msg *m)
{
	char why[TEXT_LEN + 64];

	s->backoff_ms = REFUSED_MS;
	snprintf(why, sizeof(why), "the controller refused us: %s", m->refused.reason);
	link_close(s->link, why);
}

static void got_directive(struct session *s, const struct msg *m)
{
	if (s->state == ACTIVE)
		s->ops->directive(&m->directive, s->arg);
}

static void got_ping(struct session *s, const struct msg *m)
{
	struct msg pong = { .kind = MSG_PONG, .nonce = m->nonce };

	link_send(s->link, &pong);
}

static void got_cert(struct session *s, const struct msg *m)
{
	if (s->state == ACTIVE && s->ops->cert)
		s->ops->cert(m, s->arg);
}

static void on_msg(struct link *l, const struct msg *m, void *arg)
{
	static void (*const handlers[])(struct session *, const struct msg *) = {
		[MSG_WELCOME] = got_welcome, [MSG_NOT_LEADER] = got_not_leader,
		[MSG_REFUSED] = got_refused, [MSG_DIRECTIVE] = got_directive,
		[MSG_PING] = got_ping,	     [MSG_CERT_ANSWER] = got_cert,
		[MSG_TRUST] = got_cert,
	};
	struct session *s = arg;

	(void)l;
	if (s && m->kind < ARRAY_LEN(handlers) && handlers[m->kind])
		handlers[m->kind](s, m);
}

static void on_down(struct link *l, int err, const char *why, void *arg)
{
	struct session *s = arg;
	char text[TEXT_LEN + 96];

	if (!s)
		return;
	if (!s->leader.ss_family) { /* not sent on by it: it failed */
		s->lost = s->to;
		s->lost_at = mono_now();
	}
	snprintf(text, sizeof(text), "%s: %s", link_addr(l), why && *why ? why : err_str(err));
	session_to(s, WAIT, text);
}

static const struct link_ops link_callbacks = { .up = on_up, .msg = on_msg, .down = on_down };

static void connect_next(struct session *s)
{
	struct sockaddr_storage ss = s->leader;

	s->leader.ss_family = 0;
	if (!ss.ss_family) {
		unsigned i = s->next_endpoint++ % s->cfg->controller->endpoints_count;
		endpoint_parse(s->cfg->controller->endpoints[i], &ss, NULL); /* config verified it */
	}
	s->to = ss;
	session_to(s, CONNECTING, "");
	s->link = link_connect(s->loop, s->creds, (struct sockaddr *)&ss, &link_callbacks, s);
}

struct session *session_new(uv_loop_t *loop, const struct agent_config *cfg, struct tls_creds *creds,
			    const struct session_ops *ops, void *arg)
{
	struct session *s = xcalloc(1, sizeof(*s));
	uv_timer_t *timers[] = { &s->retry, &s->report, &s->ping };

	*s = (struct session){ .loop = loop,
			       .cfg = cfg,
			       .creds = tls_creds_ref(creds),
			       .ops = ops,
			       .arg = arg,
			       .backoff_ms = BACKOFF_MIN_MS };
	for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
		uv_timer_init(loop, timers[i]);
		timers[i]->data = s;
		s->handles++;
	}
	uv_timer_start(&s->retry, on_retry, 0, 0);
	return s;
}

void session_set_creds(struct session *s, struct tls_creds *creds)
{
	tls_creds_unref(s->creds);
	s->creds = tls_creds_ref(creds);
}

void session_report_now(struct session *s)
{
	if (s->state == ACTIVE)
		send_report(s);
}

void session_send(struct session *s, const struct msg *m)
{
	if (s->state == ACTIVE && s->voice != SESSION_SILENT)
		link_send(s->link, m);
}

void session_quiet(struct session *s, enum session_voice voice)
{
	s->voice = voice;
}

bool session_is_active(const struct session *s)
{
	return s->state == ACTIVE;
}

static void on_closed(uv_handle_t *h)
{
	struct session *s = h->data;

	if (--s->handles)
		return;
	tls_creds_unref(s->creds);
	free(s);
}

void session_free(struct session *s)
{
	s->leaving = true;
	if (s->link) { /* it outlives us by one loop iteration: on_down(NULL) */
		link_set_arg(s->link, NULL);
		link_close(s->link, "agent stops");
	}
	uv_close((uv_handle_t *)&s->retry, on_closed);
	uv_close((uv_handle_t *)&s->report, on_closed);
	uv_close((uv_handle_t *)&s->ping, on_closed);
}
