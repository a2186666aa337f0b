/* SPDX-License-Identifier: Apache-2.0
 * Model to JSON. Stateless; reads the model, never changes it. */
#include "controller/api/view.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "controller/api/out.h"
#include "controller/api/problem.h"
#include "controller/api/routes.h"

struct response view_reply(int status, json_t *j)
{
	char *body = json_dumps(j, VIEW_DUMP);

	json_decref(j);
	if (!body)
		return (struct response){ .status = 500 };
	return (struct response){
		.status = status, .type = "application/json", .body = body, .len = strlen(body)
	};
}

bool view_body(const struct request *req, json_t **ret_body, struct response *ret_error)
{
	json_error_t e;
	const char *key;
	json_t *v;
	json_auto_t *j = req->body_len ? json_loadb(req->body, req->body_len,
						    JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e)
				       : json_object();

	if (!j) {
		*ret_error = problem(400, "The body is not JSON: line %d, column %d: %s.", e.line, e.column,
				     e.text);
		return false;
	}
	if (!json_is_object(j)) {
		*ret_error = problem(400, "The body must be a JSON object.");
		return false;
	}
	json_object_foreach(j, key, v) {
		if (strcmp(req->route->body, "*") == 0 || view_named(req->route->body, key))
			continue;
		*ret_error = problem(400, "Unknown key \"%.64s\" in the body.", key);
		return false;
	}
	*ret_body = json_incref(j);
	return true;
}

bool view_body_text(json_t *body, const char *key, const char **ret_text, struct response *ret_error)
{
	json_t *v = json_object_get(body, key);

	*ret_text = v ? json_string_value(v) : "";
	if (!*ret_text || strlen(*ret_text) >= TEXT_LEN)
		*ret_error = problem(422, "%s must be a string of at most %d bytes.", key, TEXT_LEN - 1);
	else if (!str_plain(*ret_text))
		*ret_error = problem(422, "%s must be one line, without control characters.", key);
	else
		return true;
	return false;
}

bool view_body_int(json_t *body, const char *key, int64_t def, int64_t min, int64_t max, int64_t *ret_value,
		   struct response *ret_error)
{
	json_t *v = json_object_get(body, key);

	*ret_value = v ? json_integer_value(v) : def;
	if (!v || (json_is_integer(v) && *ret_value >= min && *ret_value <= max))
		return true;
	*ret_error = problem(422, "%s must be a whole number from %lld to %lld.", key, (long long)min,
			     (long long)max);
	return false;
}

bool view_query_uint(const struct request *req, const char *key, uint64_t def, uint64_t max,
		     uint64_t *ret_value, struct response *ret_error)
{
	const char *s = request_query(req, key);
	uint64_t v = 0;

	if (!s) {
		*ret_value = def;
		return true;
	}
	for (const char *p = s; *p || p == s; p++) {
		if (*p < '0' || *p > '9' || v > (UINT64_MAX - 9) / 10) {
			*ret_error = problem(400, "?%s= must be a whole number.", key);
			return false;
		}
		v = v * 10 + (uint64_t)(*p - '0');
	}
	*ret_value = v < max ? v : max;
	return true;
}

json_t *view_text(const char *s)
{
	json_t *j = json_string(s);

	if (j)
		return j;
	/* text that was cut inside a character, or came from a peer */
	auto_free char *ascii = xstrdup(s);
	for (char *p = ascii; *p; p++)
		if (*p & 0x80)
			*p = '?';
	return json_string(ascii);
}

json_t *view_age(mono_t at, mono_t now)
{
	if (!mono_is_set(at))
		return json_null();
	int64_t ms = mono_diff_ms(at, now);
	return json_integer(ms > 0 ? ms : 0);
}

json_t *view_ratio(double x)
{
	return isfinite(x) && fabs(x) < 1e12 ? json_real(round(x * 1e4) / 1e4) : json_null();
}

json_t *view_count(double x)
{
	return isfinite(x) && fabs(x) < 9e18 ? json_integer((json_int_t)llround(x)) : json_null();
}

json_t *view_res(const double v[RES_N])
{
	return json_pack("{s:o, s:o, s:o, s:o}", "bps", view_count(v[RES_BPS]), "pps", view_count(v[RES_PPS]),
			 "conns", view_count(v[RES_CONNS]), "cpu", view_count(v[RES_CPU]));
}

json_t *view_wall(int64_t wall_ms)
{
	time_t s = (time_t)(wall_ms / 1000);
	char day[32];
	struct tm tm;

	if (!wall_ms || !gmtime_r(&s, &tm))
		return json_null();
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	return json_sprintf("%s.%03dZ", day, (int)(wall_ms % 1000));
}

json_t *view_drain(const struct drain *d, mono_t now)
{
	if (!d || !d->on)
		return json_null();
	json_t *j = json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:b, s:o}", "reason", view_text(d->reason),
			      "actor", view_text(d->actor), "age_ms", view_age(d->since, now), "expires",
			      view_wall(d->expires_wall_ms), "stage", drain_stage_str(d->stage),
			      "stage_age_ms", view_age(d->stage_since, now), "withdraw", !d->keep,
			      "load_before_bps", view_count(d->load_before_bps));

	json_object_set_new(j, "load_bps", view_count(d->load_bps));
	json_object_set_new(j, "residual_pct", view_ratio(d->residual * 100));
	json_object_set_new(j, "wait_s", json_integer((json_int_t)(d->wait_ms / 1000)));
	json_object_set_new(j, "held_by", d->held[0] ? view_text(d->held) : json_null());
	return j;
}

const char *view_grade(const struct model *m, uint8_t grade)
{
	return grade < m->cl->grades.n ? m->cl->grades.g[grade].name : "?";
}

void view_out_cell(struct out *o, const struct model *m, size_t site, size_t shard, enum view_side side,
		   mono_t now)
{
	const struct cell_live *c = model_cell(m, site, shard);

	out_open(o, NULL, '{');
	if (side == VIEW_SITE)
		out_text(o, "site", m->cl->sites[site].name);
	else
		out_text(o, "shard", m->cl->shards[shard].name);
	out_text(o, "grade", view_grade(m, c->grade));
	out_text(o, "wanted", view_grade(m, c->wanted));
	out_text(o, "base", view_grade(m, c->base));
	out_bool(o, "announced", c->announced);
	out_bool(o, "pinned", c->pinned);
	out_open(o, "load_bps", '{');
	out_count(o, "lo", c->lo[RES_BPS]);
	out_count(o, "hi", c->hi[RES_BPS]);
	out_close(o, '}');
	out_age(o, "age_ms", m->sites[site].report_at, now);
	out_age(o, "changed_ms", c->changed_at, now);
	out_text(o, "why", c->why);
	out_close(o, '}');
}

/* For the few places that show one among other things. */
json_t *view_cell(const struct model *m, size_t site, size_t shard, enum view_side side, mono_t now)
{
	struct out o = { 0 };

	view_out_cell(&o, m, site, shard, side, now);
	json_t *j = json_loadb(o.b.data, o.b.len, 0, NULL);
	buf_done(&o.b);
	return j;
}

struct response view_out_page(struct out *o, const char *next)
{
	out_close(o, ']');
	if (next)
		out_text(o, "next", next);
	else
		out_null(o, "next");
	out_close(o, '}');
	return out_reply(o);
}

bool view_page(const struct request *req, const struct cluster *c,
	       ssize_t (*index)(const struct cluster *c, const char *name), struct view_page *ret_page,
	       struct response *ret_error)
{
	const char *after = request_query(req, "after");
	uint64_t limit;

	if (!view_query_uint(req, "limit", VIEW_PAGE_MAX, VIEW_PAGE_MAX, &limit, ret_error))
		return false;
	ssize_t at = after ? index(c, after) : -1;
	if (after && at < 0) {
		*ret_error =
			problem(400, "?after= names nothing that exists (any more): start again without it.");
		return false;
	}
	*ret_page = (struct view_page){ .from = (size_t)(at + 1), .limit = limit ? (size_t)limit : 1 };
	return true;
}

uint64_t view_id(const char *s)
{
	uint64_t id = 0;

	if (strspn(s, "0123456789") != strlen(s) || strlen(s) > 18)
		return 0;
	for (; *s; s++)
		id = id * 10 + (uint64_t)(*s - '0');
	return id;
}

bool view_named(const char *names, const char *name)
{
	size_t len = strchr(name, ' ') ? 0 : strlen(name);

	for (const char *s = names; s && len; s = strchr(s, ' ')) {
		s += *s == ' ';
		if (strncmp(s, name, len) == 0 && (s[len] == ' ' || !s[len]))
			return true;
	}
	return false;
}
