/* SPDX-License-Identifier: Apache-2.0
 * /v1/whatif: what would happen if a site were drained or lost, or if some moves were ordered. Reads the
 * question, asks the rounds, orders and remembers nothing. Indices are the model's throughout: no snapshot is
 * borrowed, as the next round replaces it. */
#include <stdarg.h>
#include <string.h>

#include "controller/api/api_int.h"
#include "controller/rounds.h"

#define RETRY_S 1

struct question {
	struct move moves[STEER_MOVES];
	size_t n, asked; /* asked: also those beyond STEER_MOVES */
	json_t *errors;	 /* [{"pointer", "reason"}] */
};

__attribute__((format(printf, 3, 4))) static void wrong(struct question *q, const char *pointer,
							const char *fmt, ...)
{
	char reason[TEXT_LEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	json_array_append_new(q->errors,
			      json_pack("{s:s, s:o}", "pointer", pointer, "reason", view_text(reason)));
}

/* -- the question ------------------------------------------------------------------------------------- */

/* An object with these keys (NULL-terminated), all of them. */
static bool has_keys(struct question *q, const char *at, json_t *v, const char *const *keys)
{
	size_t n = 0;

	for (; json_is_object(v) && keys[n] && json_object_get(v, keys[n]); n++)
		;
	if (json_is_object(v) && !keys[n] && json_object_size(v) == n)
		return true;
	wrong(q, at, "must be an object with %s", keys[1] ? "site, shard and grade" : "the name of a site");
	return false;
}

/* The index of what v.key names; -1 with an error when there is none. */
static ssize_t named(struct question *q, const struct cluster *cl, const char *at, json_t *v, const char *key,
		     ssize_t (*index)(const struct cluster *c, const char *name))
{
	const char *name = json_string_value(json_object_get(v, key));
	auto_free char *pointer = xasprintf("%s/%s", at, key);
	ssize_t i = name ? index(cl, name) : -1;

	if (i < 0 && name)
		wrong(q, pointer, "there is no %s \"%.64s\" in the cluster document", key, name);
	else if (i < 0)
		wrong(q, pointer, "must be the name of a %s", key);
	return i;
}

static double load_bps(const struct model *m, const struct move *mv)
{
	return model_cell(m, mv->site, mv->shard)->hi[RES_BPS];
}

/* The heaviest come first: when not all can be counted, those left out matter least. */
static void add_by_load(struct question *q, const struct model *m, struct move mv)
{
	size_t at = q->n;

	q->asked++;
	while (at && load_bps(m, &mv) > load_bps(m, &q->moves[at - 1]))
		at--;
	if (at == STEER_MOVES)
		return;
	if (q->n < STEER_MOVES)
		q->n++;
	memmove(&q->moves[at + 1], &q->moves[at], (q->n - at - 1) * sizeof(mv));
	q->moves[at] = mv;
}

static struct move move_of(const struct model *m, size_t site, size_t shard, uint8_t to)
{
	const struct cell_live *c = model_cell(m, site, shard);

	return (struct move){ .site = site,
			      .shard = shard,
			      .from = c->ordered ? c->wanted : c->grade,
			      .to = to,
			      .kind = MOVE_OPERATOR };
}

/* Every shard announced there that is not as weak already. */
static void read_site(struct question *q, const struct model *m, const char *at, json_t *v, const char *grade)
{
	static const char *const keys[] = { "site", NULL };
	uint8_t to = (uint8_t)cluster_grade(m->cl, grade);

	if (!has_keys(q, at, v, keys))
		return;
	ssize_t site = named(q, m->cl, at, v, "site", cluster_site);
	for (size_t k = 0; site >= 0 && k < m->cl->n_shards; k++) {
		struct move mv = move_of(m, (size_t)site, k, to);
		if (model_cell(m, mv.site, k)->announced && mv.from < to)
			add_by_load(q, m, mv);
	}
}

static void read_move(struct question *q, const struct model *m, const char *at, json_t *v)
{
	static const char *const keys[] = { "site", "shard", "grade", NULL };

	if (!has_keys(q, at, v, keys))
		return;
	ssize_t site = named(q, m->cl, at, v, "site", cluster_site);
	ssize_t shard = named(q, m->cl, at, v, "shard", cluster_shard);
	ssize_t grade = named(q, m->cl, at, v, "grade", cluster_grade);
	if (site < 0 || shard < 0 || grade < 0)
		return;
	for (size_t i = 0; i < q->n; i++)
		if (q->moves[i].site == (size_t)site && q->moves[i].shard == (size_t)shard) {
			wrong(q, at, "this shard of this site is moved before already");
			return;
		}
	q->moves[q->n++] = move_of(m, (size_t)site, (size_t)shard, (uint8_t)grade);
	q->asked++;
}

static void read_moves(struct question *q, const struct model *m, json_t *list)
{
	size_t i;
	json_t *v;

	if (!json_array_size(list) || json_array_size(list) > STEER_MOVES) {
		wrong(q, "/moves", "must be a list of 1 to %d moves", STEER_MOVES);
		return;
	}
	json_array_foreach(list, i, v) {
		auto_free char *at = xasprintf("/moves/%zu", i);
		read_move(q, m, at, v);
	}
}

static void read_question(struct question *q, const struct model *m, json_t *body)
{
	json_t *drain = json_object_get(body, "drain"), *lose = json_object_get(body, "lose");

	if (json_object_size(body) != 1)
		wrong(q, "", "must have one of drain, lose and moves");
	else if (drain)
		read_site(q, m, "/drain", drain, "drain");
	else if (lose)
		read_site(q, m, "/lose", lose, "withdrawn");
	else
		read_moves(q, m, json_object_get(body, "moves"));
}

/* -- the answer --------------------------------------------------------------------------------------- */

static void names_done(struct snapshot *s)
{
	free(s->sites);
	free(s->shards);
}

/* The names a plan's indices stand for, and nothing else. */
static struct snapshot names_of(const struct cluster *cl)
{
	struct snapshot s = { .grades = &cl->grades, .n_sites = cl->n_sites, .n_shards = cl->n_shards };

	s.sites = xcalloc(s.n_sites, sizeof(*s.sites));
	s.shards = xcalloc(s.n_shards, sizeof(*s.shards));
	for (size_t i = 0; i < s.n_sites; i++)
		snprintf(s.sites[i].name, STEER_NAME, "%s", cl->sites[i].name);
	for (size_t k = 0; k < s.n_shards; k++)
		snprintf(s.shards[k].name, STEER_NAME, "%s", cl->shards[k].name);
	return s;
}

static json_t *answer(const struct cluster *cl, const struct question *q, const struct plan *p)
{
	__attribute__((cleanup(names_done))) struct snapshot s = names_of(cl);

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:I}", "state", plan_state_str(p->state), "why",
			 view_text(p->why), "moves", plan_moves(&s, p->moves, p->n_moves), "refused",
			 plan_moves(&s, p->refused, p->n_refused), "forecast", plan_forecast(&s, p),
			 "left_out", (json_int_t)(q->asked - p->n_moves));
}

static struct response busy(void)
{
	struct response r = problem(503, "A plan is being made just now: ask again in a second.");

	r.retry_after_s = RETRY_S;
	return r;
}

struct response res_whatif_post(struct api *a, const struct request *req)
{
	json_auto_t *body = NULL, *errors = json_array();
	struct question q = { .errors = errors };
	struct plan p = { 0 };
	struct response error;

	if (!view_body(req, &body, &error))
		return error;
	read_question(&q, &a->c->model, body);
	if (json_array_size(errors))
		return problem_errors(422, "The question cannot be answered as it is.", errors);
	if (!a->c->rounds || rounds_whatif(a->c->rounds, q.moves, q.n, &p) != 0)
		return busy();
	struct response r = view_reply(200, answer(a->c->model.cl, &q, &p));
	plan_done(&p);
	return r;
}
