/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/raw.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/wire/pki.h"

void raw_init(struct raw *r, const struct sockaddr_storage *at, struct tls_creds *creds)
{
	memset(r, 0, sizeof(*r));
	r->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(r->fd, (const struct sockaddr *)at, sizeof(struct sockaddr_in)), 0);
	fcntl(r->fd, F_SETFL, O_NONBLOCK);
	setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (creds)
		r->tls = tls_new(creds, false, PKI_ROLE_CONTROLLER);
}

void raw_done(struct raw *r)
{
	if (r->fd >= 0)
		close(r->fd);
	tls_free(r->tls);
	buf_done(&r->plain);
}

static void raw_write(struct raw *r)
{
	struct buf *out = tls_out(r->tls);
	ssize_t n = out->len ? write(r->fd, out->data, out->len) : 0;

	if (n > 0)
		buf_drop(out, (size_t)n);
}

bool raw_pump(struct raw *r)
{
	char data[65536];
	ssize_t n = r->deaf ? -1 : read(r->fd, data, sizeof(data));

	if (n == 0 && !r->eof) {
		r->eof = true;
		if (!r->stays)
			shutdown(r->fd, SHUT_WR);
	}
	if (!r->tls)
		return true;
	if (n > 0)
		assert_int_equal(tls_feed(r->tls, data, (size_t)n), 0);
	if (!r->up)
		r->up = tls_handshake(r->tls) == 1;
	if (r->up && !r->read_err) {
		int got = tls_read(r->tls, &r->plain);
		r->read_err = got < 0 ? got : 0;
	}
	raw_write(r);
	return true;
}

void raw_send(struct raw *r, const void *data, size_t len)
{
	assert_int_equal(tls_write(r->tls, data, len), 0);
	raw_write(r);
}
