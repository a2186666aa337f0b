/* SPDX-License-Identifier: Apache-2.0
 * /healthz: the loop answers. /readyz: rounds happen in time, so agents and operators can rely on this one.
 */
#include "controller/api/api_int.h"
#include "controller/rounds.h"

#define READY_ROUND_MS (5 * ROUND_MS)

struct response health_live(struct api *a, const struct request *req)
{
	(void)a;
	(void)req;
	return view_reply(200, json_pack("{s:s}", "status", "ok"));
}

struct response health_ready(struct api *a, const struct request *req)
{
	const struct rounds_view *v = api_rounds(a);

	(void)req;
	if (!v)
		return problem(503, "No round has ended since the start or the last change.");
	int64_t age_ms = mono_diff_ms(v->at, mono_now());
	if (age_ms > READY_ROUND_MS)
		return problem(503, "The last round was %lld ms ago; one is due every %d ms.",
			       (long long)age_ms, ROUND_MS);
	return view_reply(200, json_pack("{s:s, s:I}", "status", "ok", "round_age_ms", (json_int_t)age_ms));
}
