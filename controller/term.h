/* SPDX-License-Identifier: Apache-2.0
 * Terms of leadership over a shared store: asks etcd (store_etcd.h), lets lead.h decide, and does what it
 * says to store, model, rounds and agents. Keeps c->lead. Runs on the loop; timer TERM_TICK_MS.
 * The lease is renewed from the loop: a controller whose loop hangs loses it, which is the point. */
#ifndef CTRL_TERM_H
#define CTRL_TERM_H
#include "controller/config.h"
#include "controller/control.h"

#define TERM_TICK_MS 250

#include "controller/store_etcd.h"

/* The shared store of a configuration; ret_password is heap, may be NULL, and must outlive the store. */
int term_store_cfg(const struct ctrl_config *cfg, const char *self, struct store_etcd_cfg *ret,
		   char **ret_password, char *ret_why);

struct term;
/* Opens the store into c->store and marks it shared. ret_why: TEXT_LEN. */
int term_open(struct controller *c, const struct ctrl_config *cfg, const char *name, struct term **ret_term,
	      char *ret_why);
/* Everything of c stands: take part. */
void term_start(struct term *t);
/* Gives the lease back, at most about a second, and stops taking part; before fleet and rounds go. */
void term_stop(struct term *t);
/* After the store is closed: its worker calls us until then. */
void term_free(struct term *t);
#endif
