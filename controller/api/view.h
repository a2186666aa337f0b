/* SPDX-License-Identifier: Apache-2.0
 * JSON pictures of what the model knows, shared by the resources, and the wrapping of JSON into responses.
 * Numbers that cannot be are null; every live value has its age, null when never seen. New references. */
#ifndef API_VIEW_H
#define API_VIEW_H
#include <jansson.h>

#include "controller/api/http.h"
#include "controller/model.h"

/* 15 digits: what people typed comes back as they typed it */
#define VIEW_DUMP (JSON_COMPACT | JSON_REAL_PRECISION(15))

/* j: stolen. */
struct response view_reply(int status, json_t *j);

/* The body as a JSON object with no other keys than those of the route. false: *ret_error is the answer. An
 * empty body is an empty object. */
bool view_body(const struct request *req, json_t **ret_body, struct response *ret_error);
/* A text of at most TEXT_LEN - 1 bytes, "" when absent. */
bool view_body_text(json_t *body, const char *key, const char **ret_text, struct response *ret_error);
/* A number from min to max; def when absent. */
bool view_body_int(json_t *body, const char *key, int64_t def, int64_t min, int64_t max, int64_t *ret_value,
		   struct response *ret_error);
/* An unsigned query argument within limits; def when absent. */
bool view_query_uint(const struct request *req, const char *key, uint64_t def, uint64_t max,
		     uint64_t *ret_value, struct response *ret_error);

/* Is it one of these? names: with one space between; NULL: none. */
bool view_named(const char *names, const char *name);
/* An event's id; 0 when it is none. */
uint64_t view_id(const char *s);

json_t *view_text(const char *s);		       /* never NULL, whatever bytes s has */
json_t *view_age(mono_t at, mono_t now);	       /* ms or null */
json_t *view_ratio(double x);			       /* four decimals */
json_t *view_count(double x);			       /* whole number */
json_t *view_res(const double v[RES_N]);	       /* {"bps", "pps", "conns", "cpu"} */
json_t *view_wall(int64_t wall_ms);		       /* RFC 3339, null for 0 */
json_t *view_drain(const struct drain *d, mono_t now); /* null when not on */
const char *view_grade(const struct model *m, uint8_t grade);
/* {"site" or "shard": the other side's name, "grade", "wanted", "base", "announced", "load_bps": {lo, hi},
 * "age_ms", "changed_ms", "why"} */
enum view_side { VIEW_SITE, VIEW_SHARD };
json_t *view_cell(const struct model *m, size_t site, size_t shard, enum view_side side, mono_t now);
struct out;
void view_out_cell(struct out *o, const struct model *m, size_t site, size_t shard, enum view_side side,
		   mono_t now);
/* The end of a list that began with an object and its array: next is the last one shown, NULL when there are
 * no more. */
struct response view_out_page(struct out *o, const char *next);

/* One page of a list of named things: ?after=NAME&limit=N. */
struct view_page {
	size_t from, limit;
};
#define VIEW_PAGE_MAX 1000
/* index: cluster_site and its like. */
bool view_page(const struct request *req, const struct cluster *c,
	       ssize_t (*index)(const struct cluster *c, const char *name), struct view_page *ret_page,
	       struct response *ret_error);
#endif
