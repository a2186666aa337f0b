/* SPDX-License-Identifier: Apache-2.0
 * Every operation that changes state, and the controller that owns the parts. An operation is checked,
 * written to the store with its event, and only then takes effect; refused means nothing changed.
 * The API is the only caller of the operations; main.c builds the struct. */
#ifndef CTRL_CONTROL_H
#define CTRL_CONTROL_H
#include <uv.h>

#include "controller/events.h"
#include "controller/lead.h"
#include "controller/model.h"
#include "controller/store.h"

struct fleet;
struct rounds;
struct enrol;
struct term;
struct drills;

struct controller {
	uv_loop_t *loop;
	struct store *store;
	struct events *events;
	struct model model;
	struct fleet *fleet;
	struct rounds *rounds;
	struct enrol *enrol;	/* certificates of nodes; NULL in tests that have none */
	struct leadership lead; /* kept by term.c; all zero: alone */
	struct term *term;	/* NULL: alone */
	unsigned reads;		/* of the store as a whole: what others keep of it is read again, too */
	struct drills *drills;
};

struct op_result {
	int status;	       /* HTTP status it maps to: 200, 201, 400, 404, 409, 412, 422, 503 */
	char detail[TEXT_LEN]; /* a sentence that says what to do */
	json_t *errors;	       /* array of {pointer, reason}, or NULL; the caller decrefs */
};

/* if_match: "" or the etag the caller saw. dry_run: validated, nothing changed. */
struct op_result control_put_cluster(struct controller *c, const char *actor, json_t *doc,
				     const char *if_match, bool dry_run);
struct op_result control_set_mode(struct controller *c, const char *actor, enum steer_mode mode,
				  const char *reason);

/* -- drains.c: ordered drains; the stages are in drain.h ------------------------------------------- */
enum drain_kind { DRAIN_SITE, DRAIN_NODE, DRAIN_SERVICE, DRAIN_KINDS };
#define DRAIN_WAIT_S	   300
#define DRAIN_RESIDUAL_PCT 10.0
struct drain_ask {
	enum drain_kind kind;
	const char *name;
	const char *site; /* where a service is drained; NULL for the others */
	const char *reason;
	int64_t expires_s;   /* 0: until undrained */
	int64_t wait_s;	     /* longest wait for the fall */
	double residual_pct; /* of the load before, below which the fall is complete */
	bool keep;	     /* stay at the drain grade, do not withdraw */
};
/* Refused by the guard when a shard would be left below I1; it is asked again before the withdrawal. */
struct op_result control_drain(struct controller *c, const char *actor, const struct drain_ask *ask);
/* Aborts in any stage, too. site: of a service's drain. */
struct op_result control_undrain(struct controller *c, const char *actor, enum drain_kind kind,
				 const char *name, const char *site, const char *reason);
#define HANDS_MS 300 /* of a round, for what of drains and overrides has to be written */
/* NULL when there is no such object or no drain of it was ever made. */
const struct drain *drain_find(const struct model *m, enum drain_kind kind, const char *name,
			       const char *site);
/* fn for every drain that is on. site: "" unless it is a service's. */
typedef void (*drain_fn)(enum drain_kind kind, const char *name, const char *site, const struct drain *d,
			 void *arg);
void drains_each(const struct model *m, drain_fn fn, void *arg);
const char *drain_kind_str(enum drain_kind kind); /* "site", "node", "service" */
/* Once a round: measures, moves stages on, ends what expired. */
void drains_round(struct controller *c);
void drains_load(struct controller *c);

/* -- overrides.c ------------------------------------------------------------------------------------ */
#define OVERRIDES_MAX 4096
struct override_ask {
	const char *site, *node; /* one of them */
	const char *shard;
	const char *grade; /* with site */
	int weight;	   /* with node, 1..100 */
	const char *reason;
	int64_t expires_s; /* 0: until deleted */
	int64_t confirm_s; /* not 0: reverts by itself unless confirmed within this */
};
/* 201, and the id of what was made in ret_id (sizeof(struct override.id)). */
struct op_result control_override(struct controller *c, const char *actor, const struct override_ask *ask,
				  char *ret_id);
struct op_result control_override_confirm(struct controller *c, const char *actor, const char *id);
struct op_result control_override_delete(struct controller *c, const char *actor, const char *id,
					 const char *reason);
const struct override *override_find(const struct model *m, const char *id);
/* Once a round: reverts what is unconfirmed, ends what expired. */
void overrides_round(struct controller *c);
void overrides_load(struct controller *c);

/* -- API tokens: only the hash of a secret ever gets here -------------------------------------------- */
struct op_result control_token_make(struct controller *c, const char *actor, const char *name,
				    const char *role, const char *hash_hex, int64_t expires_s);
struct op_result control_token_revoke(struct controller *c, const char *actor, const char *name);

/* What an operation answers with. */
struct op_result op_result(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct op_result op_store_failed(struct controller *c);
/* false with the answer when the mode is freeze. */
bool op_not_frozen(const struct controller *c, struct op_result *ret_result);
/* What is stored into the model, whatever was there before of it; as often as the store changes under us. */
int control_read(struct controller *c, char *ret_why);
/* The same, and a new epoch: from here on it is ours to change. */
int control_load(struct controller *c, char *ret_why);
#endif
