/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/api_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>
#include <gnutls/crypto.h>
#include <math.h>

#include "controller/api/api_int.h"
#include "controller/enrol.h"
#include "controller/drill/drill_int.h"
#include "controller/fleet.h"
#include "proto/base/err.h"
#include "proto/base/log.h"
#include "tests/unit/certs.h"

struct stub stub;
struct rig t;
json_t *openapi;

static struct snapshot snapshot; /* below */

void fleet_changed(struct fleet *f)
{
	(void)f;
}

void rounds_changed(struct rounds *r)
{
	(void)r;
	snapshot.grades = &t.c.model.cl->grades;
}

void rounds_follow(struct rounds *r)
{
	(void)r;
}
int rounds_guard_operator(struct rounds *r, const struct move *moves, size_t n,
			  struct guard_verdict *ret_verdict)
{
	(void)r;
	(void)moves;
	(void)n;
	ret_verdict->id = GUARD_I1;
	snprintf(ret_verdict->why, sizeof(ret_verdict->why), "web-a would be announced by one site");
	return stub.guard_refuses ? ERR_GUARD : 0;
}

void fleet_revoked(struct fleet *f)
{
	(void)f;
}

bool fleet_identity(struct fleet *f, size_t node, struct fleet_identity *ret)
{
	(void)f;
	(void)node;
	(void)ret;
	return false;
}

int rounds_guard(struct rounds *r, const struct move *moves, size_t n, enum guard_actor actor,
		 struct guard_verdict *ret_verdict)
{
	(void)actor;
	return rounds_guard_operator(r, moves, n, ret_verdict);
}

int rounds_order(struct rounds *r, const struct move *moves, size_t n, enum guard_actor actor,
		 const char *why, const struct store_op *with, size_t n_with,
		 struct guard_verdict *ret_verdict)
{
	(void)why;
	(void)with;
	(void)n_with;
	return rounds_guard(r, moves, n, actor, ret_verdict);
}

int rounds_forecast(struct rounds *r, const struct move *moves, size_t n, struct site_forecast *ret_sites)
{
	(void)r;
	(void)moves;
	(void)n;
	ret_sites[0] = ret_sites[1] = (struct site_forecast){ 0.9, 0.5, 0.6, 0.7 };
	return stub.busy ? -EBUSY : 0;
}

int rounds_state(struct rounds *r, struct rounds_state *ret_state)
{
	(void)r;
	(void)ret_state;
	return -EBUSY;
}

int rounds_basis(struct rounds *r, const struct move *moves, size_t n, struct forecast_basis *ret_basis,
		 double *ret_noise)
{
	(void)r;
	(void)moves;
	(void)n;
	(void)ret_noise;
	*ret_basis = (struct forecast_basis){ .lessons = 0, .rounds = 30 };
	return stub.busy ? -EBUSY : 0;
}

const struct snapshot *rounds_snapshot(struct rounds *r)
{
	(void)r;
	return NULL;
}

void fleet_direct(struct fleet *f)
{
	(void)f;
}

size_t fleet_sessions(const struct fleet *f)
{
	(void)f;
	return 0;
}

static struct snap_site snap_sites[2] = { { .name = "fra" }, { .name = "ams" } };
static struct snap_shard snap_shards[1] = { { .name = "web-a" } };
static struct site_forecast forecasts[2] = { { 0.9, 0.5, 0.6, 0.7 },
					     { 0.1, 0.2, (double)NAN, (double)INFINITY } };
static struct snapshot snapshot = { .sites = snap_sites, .shards = snap_shards, .n_sites = 2, .n_shards = 1 };
static struct plan plan = {
	.state = PLAN_ACT,
	.why = "fra is hot",
	.moves = { { .from = 0,
		     .to = 1,
		     .kind = MOVE_SHED,
		     .moved_lo = 1e6,
		     .moved = 2e6,
		     .moved_hi = 3e6,
		     .why = "sheds 2 Mbit/s" } },
	.n_moves = 1,
	.refused = { { .site = 1, .from = 0, .to = 200, .kind = MOVE_SHED, .why = "I1" }, { .site = 77 } },
	.n_refused = 2,
	.sites = forecasts,
};
static struct rounds_view round_view = { .plan = &plan, .snapshot = &snapshot, .rounds = 7, .moves = 3 };

const struct rounds_view *rounds_view(const struct rounds *r)
{
	(void)r;
	return stub.no_round ? NULL : &round_view;
}

int rounds_whatif(struct rounds *r, const struct move *moves, size_t n, struct plan *ret_plan)
{
	(void)r;
	if (stub.busy)
		return -EBUSY;
	assert_true(n <= STEER_MOVES);
	memcpy(stub.moves, moves, n * sizeof(*moves));
	stub.n_moves = n;
	*ret_plan = (struct plan){ .state = stub.guard_refuses ? PLAN_HOLD : PLAN_ACT,
				   .why = "asked for",
				   .n_moves = n,
				   .n_refused = stub.guard_refuses ? n : 0 };
	memcpy(ret_plan->moves, moves, n * sizeof(*moves));
	memcpy(ret_plan->refused, moves, n * sizeof(*moves));
	ret_plan->sites = xcalloc(2, sizeof(*ret_plan->sites));
	memcpy(ret_plan->sites, forecasts, sizeof(forecasts));
	return 0;
}

/* clang-format off */
#define NODE(n) "{'name':'" n "','capacity':{'bps':20000000}}"
static const char cluster_quoted[] =
	"{'name':'example','policy':{'trigger_util':0.85},"
	"'grades':[{'name':'less','strength':10,'communities':['64500:80']}],"
	"'sites':[{'name':'fra','nodes':[" NODE("fra1") "," NODE("fra2") "]},{'name':'ams','nodes':[" NODE("ams1") "]}],"
	"'services':[{'name':'web','shards':[{'name':'web-a','prefixes':['198.18.1.0/24','2001:db8:1::/48']},"
	"{'name':'web-b','prefixes':['198.18.2.0/24']}]}]}";
/* clang-format on */
char rig_cluster[sizeof(cluster_quoted)];

static void requote(void)
{
	for (size_t i = 0; i < sizeof(cluster_quoted); i++)
		rig_cluster[i] = cluster_quoted[i] == '\'' ? '"' : cluster_quoted[i];
}

static void fill_model(void)
{
	json_auto_t *doc = json_loads(rig_cluster, 0, NULL), *errors = json_array();
	struct cluster *cl = NULL;
	struct model *m = &t.c.model;

	assert_int_equal(cluster_parse(doc, &cl, errors), 0);
	model_init(m, cl);
	for (size_t i = 0; i < 2; i++)
		m->nodes[i] = (struct node_live){ .connected = true,
						  .addr = "192.0.2.1:4711",
						  .report_at = mono_now(),
						  .connected_at = mono_now(),
						  .bgp_ok = true,
						  .service_up = i == 0,
						  .service_reason = "http: 503",
						  .util = 0.9,
						  .weight = 100,
						  .shards = m->nodes[i].shards };
	m->nodes[1].drain = (struct drain){ .on = true,
					    .stage = DRAIN_WAITING,
					    .reason = "cut in two \xc3",
					    .since = mono_now(),
					    .expires_wall_ms = 1700000000000 };
	m->nodes[0].shards[0].seen = true;
	m->nodes[0].load[RES_BPS] = (double)NAN;
	m->sites[0] = (struct site_live){ .healthy = true, .util = 0.95, .report_at = mono_now() };
	*model_cell(m, 0, 0) = (struct cell_live){ .ordered = true,
						   .wanted = 2,
						   .grade = 1,
						   .announced = true,
						   .why = "hot",
						   .changed_at = mono_now() };
	round_view.at = mono_now();
	snapshot.grades = &cl->grades;
}

json_t *answer_json(const struct answer *r)
{
	json_error_t e;
	json_t *j = json_loadb(r->body.data ? r->body.data : "", r->body.len, 0, &e);

	if (!j)
		fail_msg("not JSON (%s): %s", e.text, r->body.data ? r->body.data : "(empty)");
	return j;
}

json_t *get(const char *path)
{
	auto_answer r = { 0 };

	ask(&(struct ask){ .method = "GET", .path = path, .token = "viewer" }, &r);
	assert_int_equal(r.status, 200);
	return answer_json(&r);
}

/* -- openapi.json ------------------------------------------------------------------------------------- */

json_t *dig(json_t *j, ...)
{
	va_list ap;
	const char *key;

	va_start(ap, j);
	while (j && (key = va_arg(ap, const char *)))
		j = json_object_get(j, key);
	va_end(ap);
	return j;
}

static json_t *deref(json_t *schema)
{
	const char *ref = json_string_value(json_object_get(schema, "$ref"));

	if (!ref)
		return schema;
	assert_memory_equal(ref, "#/components/", 13);
	auto_free char *copy = xstrdup(ref + 13);
	char *slash = strchr(copy, '/');
	*slash = 0;
	json_t *to = dig(openapi, "components", copy, slash + 1, NULL);
	if (!to)
		fail_msg("openapi.json: %s leads nowhere", ref);
	return to;
}

static void conform_object(json_t *schema, json_t *v, const char *at)
{
	json_t *props = json_object_get(schema, "properties"),
	       *more = json_object_get(schema, "additionalProperties"), *x;
	const char *key;
	size_t i;

	if (!json_is_object(v))
		fail_msg("%s: an object is promised", at);
	json_object_foreach(v, key, x) {
		auto_free char *here = xasprintf("%s/%s", at, key);
		json_t *s = json_object_get(props, key);
		if (s)
			conform(s, x, here);
		else if (json_is_object(more))
			conform(more, x, here);
		else if (!json_is_true(more) && props)
			fail_msg("%s is not in openapi.json", here);
	}
	json_array_foreach(json_object_get(schema, "required"), i, x)
		if (!json_object_get(v, json_string_value(x)))
			fail_msg("%s: %s is promised and missing", at, json_string_value(x));
}

static void conform_enum(json_t *schema, json_t *v, const char *at)
{
	json_t *list = json_object_get(schema, "enum"), *x;
	size_t i;

	json_array_foreach(list, i, x)
		if (json_equal(x, v))
			return;
	if (list)
		fail_msg("%s: \"%s\" is not one of those promised", at, json_string_value(v));
}

void conform(json_t *schema, json_t *v, const char *at)
{
	size_t i;
	json_t *x;

	schema = deref(schema);
	if (json_is_null(v) && json_is_true(json_object_get(schema, "nullable")))
		return;
	json_array_foreach(json_object_get(schema, "allOf"), i, x)
		conform(x, v, at);
	const char *type = json_string_value(json_object_get(schema, "type"));
	if (!type)
		return;
	bool ok = strcmp(type, "object") == 0	 ? json_is_object(v)
		  : strcmp(type, "array") == 0	 ? json_is_array(v)
		  : strcmp(type, "string") == 0	 ? json_is_string(v)
		  : strcmp(type, "integer") == 0 ? json_is_integer(v)
		  : strcmp(type, "number") == 0	 ? json_is_number(v)
		  : strcmp(type, "boolean") == 0 ? json_is_boolean(v)
						 : false;
	if (!ok)
		fail_msg("%s: not the %s that is promised", at, type);
	conform_enum(schema, v, at);
	if (json_is_object(v))
		conform_object(schema, v, at);
	json_array_foreach(v, i, x) {
		auto_free char *here = xasprintf("%s/%zu", at, i);
		conform(json_object_get(schema, "items"), x, here);
	}
}

/* The answer of an operation, by its status, as openapi.json describes it. */
void conform_answer(const char *path, const char *method, const struct answer *r)
{
	char status[16], lower[16];

	snprintf(status, sizeof(status), "%ld", r->status);
	for (size_t i = 0; i <= strlen(method); i++)
		lower[i] = (char)(method[i] | (method[i] ? 0x20 : 0));
	json_t *response = dig(openapi, "paths", path, lower, "responses", status, NULL);
	if (!response)
		fail_msg("%s %s: status %s is not in openapi.json", method, path, status);
	json_t *content = json_object_get(deref(response), "content");
	json_t *schema = dig(content, r->status < 400 ? "application/json" : "application/problem+json",
			     "schema", NULL);
	if (!schema)
		return;
	json_auto_t *v = answer_json(r);
	auto_free char *at = xasprintf("%s %s %s", method, path, status);
	conform(schema, v, at);
}

static void write_tokens(void)
{
	static const char *const roles[] = { "viewer", "operator", "admin" };
	auto_fclose FILE *f = fopen(t.tokens, "w");

	assert_non_null(f);
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		uint8_t h[32];
		gnutls_hash_fast(GNUTLS_DIG_SHA256, roles[i], strlen(roles[i]), h);
		fprintf(f, "%s %s ", roles[i], roles[i]);
		for (int k = 0; k < 32; k++)
			fprintf(f, "%02x", h[k]);
		fputc('\n', f);
	}
}

int rig_group_setup(void **state)
{
	char why[TEXT_LEN] = "";

	(void)state;
	log_init("api_test", LOG_LEVEL_ERROR + 1, false);
	https_init();
	requote();
	t.certs = certs_new();
	if (pki_issue(t.certs, "ctrl", PKI_ROLE_CONTROLLER, "127.0.0.1", 10, true, why) ||
	    pki_enrolment(t.certs, 10, true, why))
		fail_msg("%s", why);
	t.ca = xasprintf("%s/ca.pem", t.certs);
	t.tokens = xasprintf("%s/tokens", t.certs);
	write_tokens();
	openapi = json_load_file("controller/api/openapi.json", JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(openapi);
	return 0;
}

void rig_drill(enum drill_state s)
{
	struct store_op op = { "drill/current", NULL };
	json_auto_t *body = json_pack("{s:s, s:s, s:s}", "kind", "tabletop", "site", "fra", "reason", "test"),
		    *errors = json_array(), *drill = NULL;
	struct drills *d = t.c.drills;
	struct drill_spec spec;

	assert_int_equal(store_write(t.c.store, &op, 1, NULL), 0);
	drills_load(d);
	if (s == DRILL_DRAFT)
		return;
	d->last_id = 0;
	spec_parse(body, &spec, errors);
	assert_int_equal(drills_start(d, "test", &spec, &drill).status, 200);
	d->r.state = s;
	if (s == DRILL_REPORT)
		drills_tick(d);
}

int rig_setup(void **state)
{
	char why[TEXT_LEN] = "";
	auto_free char *cert = xasprintf("%s/ctrl.pem", t.certs);
	auto_free char *key = xasprintf("%s/ctrl.key", t.certs);
	auto_free char *enrol_cert = xasprintf("%s/enrol.pem", t.certs);
	auto_free char *enrol_key = xasprintf("%s/enrol.key", t.certs);
	struct api_cfg cfg = { .ca = t.ca, .cert = cert, .key = key, .tokens = t.tokens };

	(void)state;
	memset(&stub, 0, sizeof(stub));
	uv_loop_init(&t.loop);
	t.c = (struct controller){ .loop = &t.loop, .rounds = (struct rounds *)&round_view };
	store_open_memory(&t.c.store);
	t.c.events = events_new(t.c.store);
	if (enrol_new(&t.c, &(struct enrol_cfg){ t.ca, cert, enrol_cert, enrol_key, 0 }, &t.c.enrol, why))
		fail_msg("%s", why);
	fill_model();
	endpoint_parse("127.0.0.1:1", &cfg.listen, NULL);
	((struct sockaddr_in *)&cfg.listen)->sin_port = 0;
	t.c.drills = drills_new(&t.c);
	uv_timer_stop(&t.c.drills->timer); /* drills stay in the state they are put into */
	if (api_new(&t.c, &cfg, &t.a, why) != 0)
		fail_msg("%s", why);
	https.loop = &t.loop;
	https.ca = t.ca;
	https.port = api_port(t.a);
	return 0;
}

int rig_teardown(void **state)
{
	(void)state;
	api_free(t.a);
	drills_free(t.c.drills);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t.loop), 0);
	enrol_free(t.c.enrol);
	events_free(t.c.events);
	store_close(t.c.store);
	model_done(&t.c.model);
	return 0;
}

int rig_group_teardown(void **state)
{
	(void)state;
	json_decref(openapi);
	https_done();
	certs_rm(t.certs);
	free(t.ca);
	free(t.tokens);
	return 0;
}
