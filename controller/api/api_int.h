/* SPDX-License-Identifier: Apache-2.0
 * What the resources share: the API's own state and the handlers' names for the route table. */
#ifndef API_API_INT_H
#define API_API_INT_H
#include "controller/api/api.h"
#include "controller/api/auth.h"
#include "controller/api/http.h"
#include "controller/api/problem.h"
#include "controller/api/view.h"

struct hub; /* res_events.c: the SSE listeners */

enum { API_2XX, API_4XX, API_5XX, API_CLASSES };

struct api {
	struct controller *c;
	struct http *http;
	struct auth *auth;
	struct hub *hub;
	struct limit *limit;
	struct idem *idem;
	struct cache *cache;
	void *listening; /* to events, which empty the cache */
	uv_timer_t tick;
	unsigned reads;					 /* of c, when the tokens were read */
	uint64_t ticks, generation;			 /* of auth, as last seen */
	uint64_t answers[API_CLASSES], refused, limited; /* refused: 401 and 403; limited: 429 */
	struct buf metrics;				 /* the last page, for METRICS_KEEP_MS */
	mono_t metrics_at;
};

typedef struct response res_fn(struct api *a, const struct request *req);
res_fn res_cluster_get, res_cluster_put;
res_fn res_sites_list, res_sites_get, res_sites_drain, res_sites_undrain;
res_fn res_nodes_list, res_nodes_get, res_nodes_drain, res_nodes_undrain;
res_fn res_services_list, res_services_get, res_services_drain, res_services_undrain;
res_fn res_shards_list, res_shards_get, res_grades_list, res_drains_list;
res_fn res_overrides_list, res_overrides_get, res_overrides_post, res_overrides_confirm, res_overrides_delete;
res_fn res_decisions_list, res_decisions_get, res_audit_list;
res_fn res_tokens_list, res_tokens_post, res_tokens_delete;
res_fn res_drills_list, res_drills_post, res_drills_plan, res_drills_get, res_drills_report;
res_fn res_drills_hold, res_drills_resume, res_drills_abort, res_drills_probe;
res_fn res_drill_schedule_get, res_drill_schedule_put, res_readiness_get;
res_fn res_mode_get, res_mode_put;
res_fn res_events_get, res_events_one, res_plan_get, res_whatif_post, res_status_get;
res_fn res_ca_get, res_enroll_post, res_nodes_token, res_nodes_revoke, res_certificates_list;
res_fn metrics_get, health_live, health_ready, openapi_get;

#define OP_EXPIRES_MAX_S (366 * 86400)
/* The op's own words as a problem, or done() when it went well. */
struct response op_reply(struct op_result r, json_t *done);
struct response op_drain(struct api *a, const struct request *req, enum drain_kind kind);
struct response op_undrain(struct api *a, const struct request *req, enum drain_kind kind);

json_t *drains_json(const struct model *m, mono_t now);

/* leader.c. Changes go to the leader: false, and the answer that says so, where we do not lead. */
bool leader_check(const struct api *a, const struct request *req, struct response *ret_response);
json_t *leader_json(const struct leadership *l, mono_t now);
const char *leader_role(const struct leadership *l); /* "alone", "leader", "standby", "lost" */

/* Another controller may have made or revoked tokens, or changed anything: called before they are asked. */
void api_follow(struct api *a);
struct rounds_view;
/* The last round's, or NULL. */
const struct rounds_view *api_rounds(const struct api *a);
/* Of s only the names are used. */
json_t *plan_moves(const struct snapshot *s, const struct move *m, size_t n);
json_t *plan_forecast(const struct snapshot *s, const struct plan *p);

/* What is wrong now, worst first: fn per finding. */
enum alert_severity { ALERT_ALERT, ALERT_WARNING, ALERT_SEVERITIES };
struct alert {
	enum alert_severity severity;
	const char *kind; /* "round", "mode", "plan", "site", "node", "certificate", "route", "service",
			   * "shard", "drain", "override", "store", "leader" */
	const char *name; /* of the object, or "" */
	const char *text;
};
void alerts_each(const struct api *a, mono_t now, void (*fn)(const struct alert *al, void *arg), void *arg);

#define HUB_HEARTBEAT_MS 10000
struct hub *hub_new(struct api *a, uint64_t heartbeat_ms);
void hub_free(struct hub *h);
size_t hub_listeners(const struct hub *h);
/* Ends the streams of tokens that are not valid any more. */
void hub_recheck(struct hub *h);
#endif
