/* SPDX-License-Identifier: Apache-2.0
 * Puts the API together: tokens, event listeners, HTTPS. Owns struct api. */
#include "controller/api/api.h"

#include "controller/api/api_int.h"
#include "controller/api/routes.h"
#include "controller/rounds.h"

int api_new(struct controller *c, const struct api_cfg *cfg, struct api **ret_api, char *ret_why)
{
	struct api *a = xcalloc(1, sizeof(*a));
	struct http_cfg http = {
		.listen = (const struct sockaddr *)&cfg->listen,
		.cert = cfg->cert,
		.key = cfg->key,
	};

	a->c = c;
	int r = http_new(c->loop, &http, &routes_ops, a, &a->http, ret_why);
	if (r != 0) {
		free(a);
		return r;
	}
	a->auth = auth_new(cfg->tokens, c->store);
	a->hub = hub_new(a, HUB_HEARTBEAT_MS);
	*ret_api = a;
	return 0;
}

uint16_t api_port(const struct api *a)
{
	return http_port(a->http);
}

const struct rounds_view *api_rounds(const struct api *a)
{
	return a->c->rounds ? rounds_view(a->c->rounds) : NULL;
}

void api_free(struct api *a)
{
	if (!a)
		return;
	http_free(a->http); /* closes the streams, which the hub still has to see */
	hub_free(a->hub);
	auth_free(a->auth);
	buf_done(&a->metrics);
	free(a);
}
