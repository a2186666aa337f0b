/* SPDX-License-Identifier: Apache-2.0
 * What a controller that does not lead answers: reads from what it knows, everything else goes to the leader.
 * Stateless. */
#include <ctype.h>
#include <string.h>

#include "controller/api/api_int.h"

#define RETRY_S 2 /* an election takes about a lease */

const char *leader_role(const struct leadership *l)
{
	static const char *const words[LEAD_STATES] = { "standby", "standby", "leader", "lost" };

	return l->shared ? words[l->state] : "alone";
}

json_t *leader_json(const struct leadership *l, mono_t now)
{
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "role", leader_role(l), "name", view_text(l->name),
			 "api", view_text(l->api), "agents", view_text(l->agents), "since_ms",
			 l->shared ? view_age(l->since, now) : json_null(), "store_age_ms",
			 l->shared ? view_age(l->heard_at, now) : json_null());
}

/* Decoded on the way in; what is not plain is encoded again. */
static void add_encoded(struct buf *out, const char *s)
{
	for (; *s; s++) {
		if (isalnum((unsigned char)*s) || strchr("-._~/:", *s))
			buf_add(out, s, 1);
		else
			buf_addf(out, "%%%02X", (unsigned char)*s);
	}
}

static struct response see_leader(const struct leadership *l, const struct request *req)
{
	auto_buf url = { 0 };
	struct response r;

	buf_adds(&url, l->api);
	add_encoded(&url, req->path);
	for (size_t i = 0; i < req->n_query; i++) {
		buf_adds(&url, i ? "&" : "?");
		add_encoded(&url, req->query[i].key);
		buf_adds(&url, "=");
		add_encoded(&url, req->query[i].value);
	}
	if (url.len >= sizeof(r.location))
		return problem(503, "This controller does not lead; ask %s.", l->api);
	r = problem(307, "This controller does not lead; %s does: %s.", l->name, l->api);
	snprintf(r.location, sizeof(r.location), "%s", url.data);
	return r;
}

bool leader_check(const struct api *a, const struct request *req, struct response *ret_response)
{
	const struct leadership *l = &a->c->lead;

	if (leads(l) || strcmp(req->method, "GET") == 0)
		return true;
	if (l->state != LEAD_LEADER && l->state != LEAD_LOST && l->api[0]) {
		*ret_response = see_leader(l, req);
		return false;
	}
	*ret_response =
		problem(503, "%s; nothing was changed. Ask again in %d s.",
			l->state == LEAD_FOLLOWER || l->state == LEAD_CANDIDATE
				? "No controller leads at the moment"
				: "This controller cannot renew its lease and therefore changes nothing",
			RETRY_S);
	ret_response->retry_after_s = RETRY_S;
	return false;
}
