/* SPDX-License-Identifier: Apache-2.0
 * Every operation that changes state, and the controller that owns the parts. An operation is checked,
 * written to the store with its event, and only then takes effect; refused means nothing changed.
 * The API is the only caller of the operations; main.c builds the struct. */
#ifndef CTRL_CONTROL_H
#define CTRL_CONTROL_H
#include <uv.h>

#include "controller/events.h"
#include "controller/model.h"
#include "controller/store.h"

struct fleet;
struct rounds;

struct controller {
	uv_loop_t *loop;
	struct store *store;
	struct events *events;
	struct model model;
	struct fleet *fleet;
	struct rounds *rounds;
};

struct op_result {
	int status;	       /* HTTP status it maps to: 200, 400, 404, 409, 412, 422, 503 */
	char detail[TEXT_LEN]; /* a sentence that says what to do */
	json_t *errors;	       /* array of {pointer, reason}, or NULL; the caller decrefs */
};

/* if_match: "" or the etag the caller saw. dry_run: validated, nothing changed. */
struct op_result control_put_cluster(struct controller *c, const char *actor, json_t *doc,
				     const char *if_match, bool dry_run);
struct op_result control_set_mode(struct controller *c, const char *actor, enum steer_mode mode,
				  const char *reason);
enum drain_kind { DRAIN_SITE, DRAIN_NODE };
/* expires_s 0: until undrained. Refused by the guard when a shard would be left below I1. */
struct op_result control_drain(struct controller *c, const char *actor, enum drain_kind kind,
			       const char *name, const char *reason, int64_t expires_s);
struct op_result control_undrain(struct controller *c, const char *actor, enum drain_kind kind,
				 const char *name);
/* Reads the stored cluster, mode and drains into the model; called once at start. */
int control_load(struct controller *c, char *ret_why);
#endif
