/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/api_call.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/check/reply.h"
#include "proto/base/err.h"

#define ANSWER_MAX (256 * 1024)

/* -- the connection ----------------------------------------------------------------------------------- */

static int wait_for(struct call *c, short events)
{
	struct pollfd p = { .fd = c->fd, .events = events };
	int64_t left = mono_diff_ms(mono_now(), c->deadline);

	if (left > 0 && poll(&p, 1, (int)left) > 0)
		return 0;
	snprintf(c->why, sizeof(c->why), "no answer within %d s", CALL_DEADLINE_MS / 1000);
	return ERR_TIMEOUT;
}

static int dial(const struct addrinfo *a, struct call *c)
{
	int err = 0;
	socklen_t len = sizeof(err);

	c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	if (connect(c->fd, a->ai_addr, a->ai_addrlen) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	if (wait_for(c, POLLOUT))
		return ERR_TIMEOUT;
	getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return -err;
}

/* HOST:PORT or [ADDRESS]:PORT */
static int connect_to(const char *where, struct call *c)
{
	const char *colon = strrchr(where, ':');
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *list = NULL;
	int err = -EINVAL;

	if (!colon || colon == where || !colon[1]) {
		snprintf(c->why, sizeof(c->why),
			 "--controller wants HOST:PORT of the API, such as 192.0.2.10:7443");
		return err;
	}
	bool v6 = where[0] == '[';
	auto_free char *host = xasprintf("%.*s", (int)(colon - where) - 2 * v6, where + v6);
	int r = getaddrinfo(host, colon + 1, &hints, &list);
	if (r) {
		snprintf(c->why, sizeof(c->why), "%s: %s", host, gai_strerror(r));
		return err;
	}
	for (const struct addrinfo *a = list; a && err; a = a->ai_next) {
		if (c->fd >= 0)
			close(c->fd);
		err = dial(a, c);
	}
	freeaddrinfo(list);
	if (err && err != ERR_TIMEOUT)
		snprintf(c->why, sizeof(c->why),
			 "cannot reach %s: %s: does the controller's api.listen say so?", where,
			 err_str(err));
	return err;
}

static int flush(struct call *c)
{
	struct buf *out = tls_out(c->tls);

	while (out->len) {
		ssize_t n = send(c->fd, out->data, out->len, MSG_NOSIGNAL);
		if (n > 0)
			buf_drop(out, (size_t)n);
		else if (n < 0 && errno == EAGAIN) {
			if (wait_for(c, POLLOUT))
				return ERR_TIMEOUT;
		} else if (n < 0 && errno != EINTR) {
			snprintf(c->why, sizeof(c->why), "the connection broke: %s", strerror(errno));
			return -errno;
		}
	}
	return 0;
}

/* More bytes from the peer into TLS. */
static int fill(struct call *c)
{
	char data[16384];
	int err = wait_for(c, POLLIN);
	ssize_t n = err ? 0 : recv(c->fd, data, sizeof(data), 0);

	if (err)
		return err;
	if (n > 0)
		return tls_feed(c->tls, data, (size_t)n);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	snprintf(c->why, sizeof(c->why),
		 "the other end closed the connection: is it the API's port, and HTTPS?");
	return ERR_CLOSED;
}

static int from_tls(struct call *c, int err)
{
	snprintf(c->why, sizeof(c->why), "%s", tls_why(c->tls));
	return err;
}

static int handshake(struct call *c)
{
	struct tls_creds *blind = tls_creds_blind();
	int r, err = 0;

	c->tls = tls_new(blind, false, PKI_ROLE_CONTROLLER);
	tls_creds_unref(blind);
	while ((r = tls_handshake(c->tls)) == 0 && !err) {
		err = flush(c);
		if (!err)
			err = fill(c);
	}
	if (!err && r < 0) {
		flush(c); /* the alert */
		return from_tls(c, r);
	}
	return err ? err : flush(c);
}

/* -- requests ----------------------------------------------------------------------------------------- */

static int read_reply(struct call *c, struct reply *r, struct buf *raw, struct buf *body)
{
	size_t seen = 0;
	int done = 0, got = 0;

	while (done == 0) {
		int err = fill(c);
		if (err)
			return err;
		got = tls_read(c->tls, raw);
		if (got < 0)
			return from_tls(c, got);
		if (raw->len > seen && !r->status)
			done = reply_feed(r, raw->data + seen, raw->len - seen);
		seen = raw->len;
		if (done == 1 || (done == 0 && r->status))
			done = reply_body(r, raw->data, raw->len, false, body);
	}
	if (done > 0)
		return 0;
	snprintf(c->why, sizeof(c->why), "the other end does not answer as the API does: %s", err_str(done));
	return done;
}

bool call_host(const char *url, const char *path, char *ret_host)
{
	static const char scheme[] = "https://";
	size_t n = strlen(url), tail = strlen(path);

	if (strncmp(url, scheme, sizeof(scheme) - 1) != 0 || n < sizeof(scheme) + tail ||
	    strcmp(url + n - tail, path) != 0)
		return false;
	url += sizeof(scheme) - 1;
	n -= sizeof(scheme) - 1 + tail;
	/* a name or an address, and a port: no user, path or query */
	if (strspn(url, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-:[]") < n ||
	    n + 4 >= CALL_HOST_LEN)
		return false;
	const char *colon = memrchr(url, ':', n);
	bool port = colon && (url[0] != '[' || (colon > url && colon[-1] == ']'));
	snprintf(ret_host, CALL_HOST_LEN, "%.*s%s", (int)n, url, port ? "" : ":443");
	return true;
}

static int moved(struct call *c, const struct reply *r, const struct buf *raw, const char *path)
{
	size_t n = 0;
	const char *v = reply_field(r, raw->data, "Location", &n);
	auto_free char *url = xasprintf("%.*s", (int)n, v ? v : "");

	if (call_host(url, path, c->moved))
		return CALL_MOVED;
	snprintf(c->why, sizeof(c->why), "the controller sends us on (%u) to where we do not go: %.150s",
		 r->status, n ? url : "it does not say where");
	return ERR_REFUSED;
}

static int judge(struct call *c, const struct reply *r, const struct buf *body, json_t **ret_json)
{
	json_auto_t *j = body->data ? json_loads(body->data, 0, NULL) : NULL;
	const char *detail = json_string_value(json_object_get(j, "detail"));

	if (r->status == 200 && j) {
		*ret_json = json_incref(j);
		return 0;
	}
	snprintf(c->why, sizeof(c->why), "the controller refused (%u): %.200s", r->status,
		 detail ? detail : "it is not a Sluice controller, or an older one");
	return ERR_REFUSED;
}

int call_request(struct call *c, const char *method, const char *path, const json_t *body, json_t **ret_json)
{
	auto_free char *text = body ? json_dumps(body, JSON_COMPACT) : xstrdup("");
	auto_free char *head = xasprintf("%s %s HTTP/1.1\r\nHost: controller\r\nAccept: application/json\r\n"
					 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
					 method, path, strlen(text));
	auto_buf raw = { .max = ANSWER_MAX }, answer = { 0 };
	struct reply r = { 0 };
	int err = tls_write(c->tls, head, strlen(head));

	if (!err && *text)
		err = tls_write(c->tls, text, strlen(text));
	explicit_bzero(text, strlen(text));
	if (err)
		return from_tls(c, err);
	c->sent = true;
	c->status = 0;
	err = flush(c);
	if (!err)
		err = read_reply(c, &r, &raw, &answer);
	if (err)
		return err;
	c->status = r.status;
	if (r.status == 307 || r.status == 308)
		return moved(c, &r, &raw, path);
	return judge(c, &r, &answer, ret_json);
}

/* The one certificate of the bundle that the token names; heap, NULL when there is none. */
static char *pinned(const char *bundle, const char *id)
{
	static const char end[] = "-----END CERTIFICATE-----";
	char ids[PKI_BUNDLE_MAX][PKI_ID_LEN], why[TEXT_LEN];
	size_t n = 0;

	if (pki_bundle_ids(bundle, ids, &n, why) < 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const char *stop = strstr(bundle, end);
		if (!stop)
			return NULL;
		stop += sizeof(end) - 1;
		if (strcmp(ids[i], id) == 0)
			return xasprintf("%.*s\n", (int)(stop - bundle), bundle);
		bundle = stop;
	}
	return NULL;
}

/* From here on the peer is known to be a controller of that CA. */
static int check_controller(struct call *c, const char *ca_id)
{
	json_t *answer = NULL;
	int err = call_request(c, "GET", "/v1/ca", NULL, &answer);

	if (err == CALL_MOVED) { /* every controller answers that itself */
		snprintf(c->why, sizeof(c->why),
			 "the other end does not answer as the API does: it sends us on");
		return ERR_REFUSED;
	}
	if (err)
		return err;
	const char *ca = json_string_value(json_object_get(answer, "ca"));
	auto_free char *pin = ca ? pinned(ca, ca_id) : NULL;
	json_decref(answer);
	if (!pin) {
		snprintf(c->why, sizeof(c->why),
			 "this is not the controller that made the token: it names another CA. Nothing was "
			 "told to it");
		return ERR_CERT;
	}
	err = tls_trust(c->tls, pin);
	return err ? from_tls(c, err) : 0;
}

int call_open(struct call *c, const char *where, const char *ca_id)
{
	c->deadline = mono_add_ms(mono_now(), CALL_DEADLINE_MS);
	int err = connect_to(where, c);

	if (!err)
		err = handshake(c);
	if (!err)
		err = check_controller(c, ca_id);
	c->sent = false; /* nothing of the caller's */
	c->status = 0;
	return err;
}

void call_close(struct call *c)
{
	tls_free(c->tls);
	if (c->fd >= 0)
		close(c->fd);
	*c = (struct call)CALL_INIT;
}
