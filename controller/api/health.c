/* SPDX-License-Identifier: Apache-2.0
 * /healthz: the loop answers. /readyz: this one can be relied on. Leading, rounds happen in time; standing
 * by, the store answers.
 */
#include "controller/api/api_int.h"
#include "controller/rounds.h"

#define READY_ROUND_MS (5 * ROUND_MS)
#define READY_STORE_MS 5000

struct response health_live(struct api *a, const struct request *req)
{
	(void)a;
	(void)req;
	return view_reply(200, json_pack("{s:s}", "status", "ok"));
}

static struct response ready_standby(const struct leadership *l)
{
	int64_t age_ms = mono_diff_ms(l->heard_at, mono_now());

	if (!mono_is_set(l->heard_at))
		return problem(503, "standby: the store has not answered yet.");
	if (age_ms > READY_STORE_MS)
		return problem(503, "standby: the store last answered %lld ms ago.", (long long)age_ms);
	return view_reply(200, json_pack("{s:s, s:s}", "status", "ok", "role", "standby"));
}

struct response health_ready(struct api *a, const struct request *req)
{
	const struct rounds_view *v = api_rounds(a);

	(void)req;
	if (!listens(&a->c->lead))
		return ready_standby(&a->c->lead);
	if (!leads(&a->c->lead))
		return problem(503, "The lease cannot be renewed: nothing is ordered.");
	if (!v)
		return problem(503, "No round has ended since the start or the last change.");
	int64_t age_ms = mono_diff_ms(v->at, mono_now());
	if (age_ms > READY_ROUND_MS)
		return problem(503, "The last round was %lld ms ago; one is due every %d ms.",
			       (long long)age_ms, ROUND_MS);
	return view_reply(200, json_pack("{s:s, s:s, s:I}", "status", "ok", "role", leader_role(&a->c->lead),
					 "round_age_ms", (json_int_t)age_ms));
}
