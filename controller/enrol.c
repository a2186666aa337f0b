/* SPDX-License-Identifier: Apache-2.0
 * Records are JSON objects by key, the same in memory and in the store: one helper writes both. */
#include "controller/enrol.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdarg.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/base/log.h"
#include "proto/wire/msg.h"
#include "proto/wire/ticket.h"

#define MISSES	   10 /* wrong tokens at once, then one a second */
#define TELL_MS	   60000
#define CERTS_NODE 16 /* records of one node kept beside those still valid */
#define CA_MAX	   (64 * 1024)

enum { TOKENS, CERTS, REVOKED, KINDS };
static const char *const prefix[KINDS] = { "enrol/token/", "enrol/cert/", "enrol/revoked/" };

struct enrol {
	struct controller *c;
	struct pki_signer *signer; /* NULL: signs nothing */
	int64_t life_s;
	char *ca;
	char ca_ids[PKI_BUNDLE_MAX][PKI_ID_LEN];
	size_t n_cas, pin;  /* pin: index of the CA that vouches for ourselves */
	size_t root;	    /* index of the CA that the signer hangs from */
	json_t *rec[KINDS]; /* by what follows the prefix */
	double misses;	    /* left to be answered in words */
	mono_t misses_at;
};

static struct op_result result(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static struct op_result result(int status, const char *fmt, ...)
{
	struct op_result r = { .status = status };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r.detail, sizeof(r.detail), fmt, ap);
	va_end(ap);
	return r;
}

static struct op_result store_failed(const struct enrol *e)
{
	return result(503, "nothing was changed: the store failed: %s", store_why(e->c->store));
}

static const char *text(const json_t *rec, const char *key)
{
	const char *s = json_string_value(json_object_get(rec, key));

	return s ? s : "";
}

static int64_t number(const json_t *rec, const char *key)
{
	return json_integer_value(json_object_get(rec, key));
}

/* -- records ------------------------------------------------------------------------------------------ */

#define CHANGES 16

/* Several records at once: to the store with one event, then to memory. */
struct change {
	struct store_op ops[CHANGES];
	char *heap[2 * CHANGES];
	struct {
		int kind;
		char *name;
		json_t *rec; /* NULL: removed */
	} items[CHANGES];
	size_t n;
};

static void change_add(struct change *ch, int kind, const char *name, json_t *rec)
{
	size_t i = ch->n;

	ch->items[i].kind = kind;
	ch->items[i].name = xstrdup(name);
	ch->items[i].rec = rec;
	ch->heap[2 * i] = xasprintf("%s%s", prefix[kind], name);
	ch->heap[2 * i + 1] = rec ? json_dumps(rec, JSON_COMPACT) : NULL;
	ch->ops[i] = (struct store_op){ ch->heap[2 * i], ch->heap[2 * i + 1] };
	ch->n++;
}

static void change_done(struct change *ch)
{
	for (size_t i = 0; i < ch->n; i++) {
		free(ch->items[i].name);
		json_decref(ch->items[i].rec);
		free(ch->heap[2 * i]);
		free(ch->heap[2 * i + 1]);
	}
}
#define auto_change __attribute__((cleanup(change_done))) struct change

/* Once the store has them. */
static void change_take(struct enrol *e, struct change *ch)
{
	for (size_t i = 0; i < ch->n; i++) {
		if (ch->items[i].rec)
			json_object_set(e->rec[ch->items[i].kind], ch->items[i].name, ch->items[i].rec);
		else
			json_object_del(e->rec[ch->items[i].kind], ch->items[i].name);
	}
}

static bool starts_with_node(const char *key, const char *node)
{
	size_t n = strlen(node);

	return strncmp(key, node, n) == 0 && key[n] == '/';
}

/* Records that say nothing any more go out with the next change. */
static void add_expired(const struct enrol *e, struct change *ch, int kind, const char *node,
			const char *field)
{
	int64_t now = wall_now_ms();
	const char *key;
	json_t *rec;

	json_object_foreach(e->rec[kind], key, rec)
		if ((!node || starts_with_node(key, node)) && number(rec, field) < now && ch->n < CHANGES / 2)
			change_add(ch, kind, key, NULL);
}

static int load_one(const char *key, const char *value, void *arg)
{
	struct enrol *e = arg;

	for (int k = 0; k < KINDS; k++) {
		size_t n = strlen(prefix[k]);
		json_t *rec = strncmp(key, prefix[k], n) == 0 ? json_loads(value, 0, NULL) : NULL;
		if (json_is_object(rec))
			json_object_set(e->rec[k], key + n, rec);
		json_decref(rec);
	}
	return 0;
}

void enrol_load(struct enrol *e)
{
	for (int k = 0; k < KINDS; k++)
		json_object_clear(e->rec[k]);
	store_each(e->c->store, "enrol/", load_one, e);
}

/* -- the CAs ------------------------------------------------------------------------------------------ */

static char *read_ca(const char *path, char *ret_why)
{
	auto_fclose FILE *f = fopen(path, "re");
	char *s = xcalloc(CA_MAX, 1);

	if (!f) {
		snprintf(ret_why, TEXT_LEN, "%s: %s", path, strerror(errno));
		free(s);
		return NULL;
	}
	size_t n = fread(s, 1, CA_MAX - 1, f);
	s[n] = 0;
	return s;
}

/* What the files hold, checked: the enrolment CA must hang from the CA that signs now, or nobody would take
 * what it makes once the old one is gone. */
static int read_files(const struct enrol_cfg *cfg, struct enrol *ret, char *ret_why)
{
	char why[TEXT_LEN];

	ret->ca = read_ca(cfg->ca, ret_why);
	if (!ret->ca)
		return -ENOENT;
	if (pki_bundle_ids(ret->ca, ret->ca_ids, &ret->n_cas, why)) {
		snprintf(ret_why, TEXT_LEN, "%s: %.180s", cfg->ca, why);
		return ERR_CERT;
	}
	if (strlen(ret->ca) > PEM_TEXT_MAX) {
		snprintf(ret_why, TEXT_LEN, "%s: larger than %d bytes", cfg->ca, PEM_TEXT_MAX);
		return ERR_LIMIT;
	}
	auto_free char *own = read_ca(cfg->own, ret_why);
	int pin = own ? pki_chain_root(own, ret->ca) : -ENOENT;
	ret->pin = pin < 0 ? 0 : (size_t)pin;
	if (!cfg->cert)
		return 0;
	int err = pki_signer_load(cfg->cert, cfg->key, &ret->signer, ret_why);
	if (err)
		return err;
	auto_free char *pem = read_ca(cfg->cert, ret_why);
	int root = pem ? pki_chain_root(pem, ret->ca) : -ENOENT;
	if (root < 0) {
		snprintf(ret_why, TEXT_LEN, "%s is not signed by %s: copy both from the same directory",
			 cfg->cert, cfg->ca);
		return ERR_CERT;
	}
	ret->root = (size_t)root;
	if (root > 0)
		log_warn("%s is signed by the old CA: make a new one with sluicectl pki enrolment --force",
			 cfg->cert);
	return 0;
}

int enrol_reload(struct enrol *e, const struct enrol_cfg *cfg, char *ret_why)
{
	struct enrol next = { 0 };
	int err = read_files(cfg, &next, ret_why);

	if (err) {
		pki_signer_free(next.signer);
		free(next.ca);
		return err;
	}
	pki_signer_free(e->signer);
	free(e->ca);
	e->signer = next.signer;
	e->ca = next.ca;
	e->n_cas = next.n_cas;
	e->pin = next.pin;
	e->root = next.root;
	memcpy(e->ca_ids, next.ca_ids, sizeof(e->ca_ids));
	e->life_s = cfg->life_s ? cfg->life_s : ENROL_LIFE_S;
	return 0;
}

int enrol_new(struct controller *c, const struct enrol_cfg *cfg, struct enrol **ret_enrol, char *ret_why)
{
	struct enrol *e = xcalloc(1, sizeof(*e));
	int err = enrol_reload(e, cfg, ret_why);

	if (err) {
		free(e);
		return err;
	}
	e->c = c;
	e->misses = MISSES;
	for (int k = 0; k < KINDS; k++)
		e->rec[k] = json_object();
	*ret_enrol = e;
	return 0;
}

void enrol_free(struct enrol *e)
{
	if (!e)
		return;
	pki_signer_free(e->signer);
	free(e->ca);
	for (int k = 0; k < KINDS; k++)
		json_decref(e->rec[k]);
	free(e);
}

const char *enrol_ca(const struct enrol *e)
{
	return e->ca;
}

size_t enrol_cas(const struct enrol *e)
{
	return e->n_cas;
}

int enrol_ca_index(const struct enrol *e, const char *id)
{
	for (size_t i = 0; i < e->n_cas; i++)
		if (strcmp(e->ca_ids[i], id) == 0)
			return (int)i;
	return -1;
}

bool enrol_signs(const struct enrol *e)
{
	return e->signer;
}

static struct op_result signs_nothing(void)
{
	return result(409,
		      "this controller holds no enrolment CA: make one with sluicectl pki enrolment and name "
		      "it in controller.yaml (enrol.cert, enrol.key)");
}

/* -- what is revoked ---------------------------------------------------------------------------------- */

/* Of a node: {"all": MARK?, "serials": {SERIAL: MARK}}; a MARK is {"at_ms", "actor", "reason"}. All: what was
 * issued until then. What we issue notes as "after_ms" which of these it came after: a clock that steps back,
 * or another controller's, can neither save what was revoked nor spoil what came later. */
static const json_t *all_mark(const struct enrol *e, const char *node)
{
	return json_object_get(json_object_get(e->rec[REVOKED], node), "all");
}

static int64_t after_ms(const struct enrol *e, const char *node)
{
	return number(all_mark(e, node), "at_ms");
}

/* NULL: it is good. */
static const json_t *mark_of(const struct enrol *e, const char *node, const char *serial, int64_t issued_s)
{
	const json_t *all = all_mark(e, node);
	const json_t *one =
		json_object_get(json_object_get(json_object_get(e->rec[REVOKED], node), "serials"), serial);
	auto_free char *name = xasprintf("%s/%s", node, serial);
	const json_t *cert = json_object_get(e->rec[CERTS], name);

	if (one || !all)
		return one;
	/* not on record: made by hand, the second of the revocation belongs to it */
	bool over = cert ? number(cert, "after_ms") != after_ms(e, node)
			 : issued_s <= number(all, "at_ms") / 1000;
	return over ? all : NULL;
}

/* -- tokens ------------------------------------------------------------------------------------------- */

struct op_result enrol_token(struct enrol *e, const char *actor, const char *node, int64_t ttl_s,
			     char *ret_text, int64_t *ret_expires_ms)
{
	auto_change ch = { 0 };
	char hash[TICKET_HASH_LEN];
	struct ticket t;

	if (!e->signer)
		return signs_nothing();
	if (!pki_name_ok(node))
		return result(422,
			      "\"%.63s\" cannot be a node's name: letters, digits, '-', '_', '.', at most 63",
			      node);
	add_expired(e, &ch, TOKENS, NULL, "expires_ms");
	if (json_object_size(e->rec[TOKENS]) - ch.n >= ENROL_TOKENS)
		return result(409, "%d enrolment tokens are out already: wait until some expire",
			      ENROL_TOKENS);
	if (ticket_new(node, e->ca_ids[e->pin], &t) || ticket_hash(t.secret, hash))
		return result(503, "no random numbers");
	int64_t expires_ms = wall_now_ms() + ttl_s * 1000;
	change_add(&ch, TOKENS, hash,
		   json_pack("{s:s, s:s, s:I, s:I}", "node", node, "actor", actor, "expires_ms",
			     (json_int_t)expires_ms, "after_ms", (json_int_t)after_ms(e, node)));
	int err = events_emit(
		e->c->events, ch.ops, ch.n, "cert.token", "info",
		json_pack("{s:s, s:s, s:I}", "actor", actor, "node", node, "ttl_s", (json_int_t)ttl_s),
		"enrolment token for %s made by %s", node, actor);
	if (err == 0) {
		change_take(e, &ch);
		ticket_text(&t, ret_text);
		*ret_expires_ms = expires_ms;
	}
	explicit_bzero(&t, sizeof(t));
	return err < 0 ? store_failed(e) : result(200, "made");
}

/* Every one is compared, in constant time each: how long it takes says nothing. */
static json_t *token_of(const struct enrol *e, const char *hash, const char **ret_key)
{
	json_t *hit = NULL, *rec;
	const char *key;

	json_object_foreach(e->rec[TOKENS], key, rec)
		if (strlen(key) == TICKET_HASH_LEN - 1 &&
		    gnutls_memcmp(key, hash, TICKET_HASH_LEN - 1) == 0) {
			hit = rec;
			*ret_key = key;
		}
	return hit;
}

/* A token that is not ours costs nothing but words, and those are limited: a good one always passes. */
static struct op_result missed(struct enrol *e)
{
	mono_t now = mono_now();

	if (mono_is_set(e->misses_at))
		e->misses += (double)mono_diff_ms(e->misses_at, now) / 1000;
	e->misses_at = now;
	if (e->misses > MISSES)
		e->misses = MISSES;
	if (e->misses < 1)
		return result(429, "too many wrong enrolment tokens: try again in a few seconds");
	e->misses--;
	log_warn("an unknown enrolment token was refused");
	return result(
		401,
		"this enrolment token is not known here: it was made by another cluster, or expired and was "
		"forgotten; ask for a new one with sluicectl node token");
}

/* Whether it ever was any use to this request. */
static struct op_result token_valid(const struct enrol *e, const struct ticket *t, const json_t *rec)
{
	if (strcmp(text(rec, "node"), t->node) != 0)
		return result(403, "this token was made for the node %s", text(rec, "node"));
	if (number(rec, "after_ms") != after_ms(e, t->node))
		return result(403,
			      "this token was taken back with the certificates of %s: ask for a new one with "
			      "sluicectl node token %s",
			      t->node, t->node);
	if (number(rec, "expires_ms") < wall_now_ms())
		return result(403, "this token has expired: ask for a new one with sluicectl node token %s",
			      t->node);
	return result(200, "valid");
}

static json_t *cert_record(const struct enrol *e, const struct pki_leaf *l, const char *by)
{
	return json_pack("{s:I, s:I, s:s, s:s, s:I}", "issued_ms", (json_int_t)(pki_issued_s(l) * 1000),
			 "expires_ms", (json_int_t)(l->to_s * 1000), "by", by, "ca", e->ca_ids[e->root],
			 "after_ms", (json_int_t)after_ms(e, l->name));
}

static void add_cert(const struct enrol *e, struct change *ch, const struct pki_leaf *l, const char *by)
{
	auto_free char *name = xasprintf("%s/%s", l->name, l->serial);

	add_expired(e, ch, CERTS, l->name, "expires_ms");
	change_add(ch, CERTS, name, cert_record(e, l, by));
}

static struct op_result redeem(struct enrol *e, const struct ticket *t, const char *hash, json_t *rec,
			       const char *csr, char **ret_chain, struct pki_leaf *ret_leaf)
{
	auto_change ch = { 0 };
	auto_free char *chain = NULL;
	struct pki_leaf leaf;
	char why[TEXT_LEN], by[TEXT_LEN], id[PKI_ID_LEN];

	if (!e->signer)
		return signs_nothing();
	int err = pki_sign(e->signer, csr, t->node, e->life_s, &chain, &leaf, why);
	if (!err)
		err = pki_request_id(csr, id, why);
	if (err)
		return result(err == ERR_MALFORMED || err == ERR_NOT_ALLOWED ? 422 : 503, "%s", why);
	json_t *used = json_copy(rec);
	json_object_set_new(used, "used_ms", json_integer((json_int_t)wall_now_ms()));
	json_object_set_new(used, "key", json_string(id));
	json_object_set_new(used, "chain", json_string(chain));
	change_add(&ch, TOKENS, hash, used);
	snprintf(by, sizeof(by), "token of %.200s", text(rec, "actor"));
	add_cert(e, &ch, &leaf, by);
	err = events_emit(e->c->events, ch.ops, ch.n, "cert.issued", "info",
			  json_pack("{s:s, s:s, s:s}", "node", t->node, "serial", leaf.serial, "actor",
				    text(rec, "actor")),
			  "node %s enrolled with a token of %s: certificate %s", t->node, text(rec, "actor"),
			  leaf.serial);
	if (err < 0)
		return store_failed(e);
	change_take(e, &ch);
	*ret_chain = chain;
	chain = NULL;
	*ret_leaf = leaf;
	return result(200, "enrolled");
}

/* What was tried with a spent token; once a minute each, because who has it may try without end. */
static void tell_again(struct enrol *e, json_t *rec, bool same, const char *serial)
{
	int64_t now = wall_now_ms();
	const char *key = same ? "again_ms" : "refused_ms"; /* in memory only */

	if (number(rec, key) > now - TELL_MS && number(rec, key) <= now)
		return;
	json_object_set_new(rec, key, json_integer((json_int_t)now));
	events_emit(e->c->events, NULL, 0, same ? "cert.again" : "cert.refused", same ? "info" : "warning",
		    json_pack("{s:s, s:s, s:s}", "node", text(rec, "node"), "serial", serial, "actor",
			      text(rec, "actor")),
		    same ? "node %s asked again with its token of %s and its key: certificate %s once more"
			 : "somebody asked for a certificate of %s with the spent token of %s and another "
			   "key than "
			   "that of certificate %s",
		    text(rec, "node"), text(rec, "actor"), serial);
}

/* An answer may be lost on its way: whoever has the token and the key of the certificate may have it again.
 * Any other key with a spent token is somebody else's. */
static struct op_result redeem_again(struct enrol *e, const struct ticket *t, json_t *rec, const char *csr,
				     bool valid, char **ret_chain, struct pki_leaf *ret_leaf)
{
	const char *chain = text(rec, "chain"), *key = text(rec, "key");
	struct pki_leaf leaf = { 0 };
	char id[PKI_ID_LEN], why[TEXT_LEN];

	if (pki_request_id(csr, id, why))
		return result(422, "%s", why);
	bool same = strcmp(id, key) == 0 && pki_leaf_read(chain, &leaf, why) == 0;
	if (same && valid && enrol_refuses(e, &leaf, why))
		return result(403, "%s", why);
	if (same && valid && leaf.to_s > wall_now_ms() / 1000) {
		tell_again(e, rec, true, leaf.serial);
		*ret_chain = xstrdup(chain);
		*ret_leaf = leaf;
		return result(200, "enrolled, and told again");
	}
	if (!same) {
		if (pki_leaf_read(chain, &leaf, why))
			snprintf(leaf.serial, sizeof(leaf.serial), "unknown");
		tell_again(e, rec, false, leaf.serial);
	}
	return result(
		403,
		"this token was used already: if that was not you, revoke it with sluicectl node revoke %s; "
		"then ask for a new one with sluicectl node token %s",
		t->node, t->node);
}

struct op_result enrol_redeem(struct enrol *e, const char *token, const char *csr, char **ret_chain,
			      struct pki_leaf *ret_leaf)
{
	char why[TEXT_LEN], hash[TICKET_HASH_LEN];
	const char *key = NULL;
	struct ticket t;

	if (ticket_parse(token, &t, why) || ticket_hash(t.secret, hash))
		return missed(e);
	json_t *rec = token_of(e, hash, &key);
	if (!rec)
		return missed(e);
	struct op_result r = token_valid(e, &t, rec);
	if (number(rec, "used_ms") && strcmp(text(rec, "node"), t.node) == 0)
		r = redeem_again(e, &t, rec, csr, r.status == 200, ret_chain, ret_leaf);
	else if (r.status == 200)
		r = redeem(e, &t, hash, rec, csr, ret_chain, ret_leaf);
	explicit_bzero(&t, sizeof(t));
	return r;
}

/* -- renewal ------------------------------------------------------------------------------------------ */

/* A node asks when two thirds are over or the CA changes; one that asks all the time fills the store. */
static bool too_often(const struct enrol *e, const char *node)
{
	int64_t now = wall_now_ms(), recent = now - e->life_s * 1000 / 8;
	unsigned n = 0;
	const char *key;
	json_t *rec;

	json_object_foreach(e->rec[CERTS], key, rec)
		n += starts_with_node(key, node) && number(rec, "issued_ms") > recent;
	return n >= CERTS_NODE;
}

struct op_result enrol_renew(struct enrol *e, const struct pki_leaf *shown, const char *csr, char **ret_chain)
{
	auto_change ch = { 0 };
	auto_free char *chain = NULL;
	struct pki_leaf leaf;
	char why[TEXT_LEN];

	if (!e->signer)
		return signs_nothing();
	if (enrol_refuses(e, shown, why))
		return result(403, "%s", why);
	if (too_often(e, shown->name))
		return result(429, "%s was given %d certificates lately: see what it does with them",
			      shown->name, CERTS_NODE);
	int err = pki_sign(e->signer, csr, shown->name, e->life_s, &chain, &leaf, why);
	if (err)
		return result(503, "%s", why);
	add_cert(e, &ch, &leaf, "renewal");
	err = events_emit(e->c->events, ch.ops, ch.n, "cert.renewed", "info",
			  json_pack("{s:s, s:s, s:s}", "node", shown->name, "serial", leaf.serial, "before",
				    shown->serial),
			  "certificate of %s renewed: %s follows %s", shown->name, leaf.serial,
			  shown->serial);
	if (err < 0)
		return store_failed(e);
	change_take(e, &ch);
	*ret_chain = chain;
	chain = NULL;
	return result(200, "renewed");
}

/* -- revocation --------------------------------------------------------------------------------------- */

bool enrol_refuses(const struct enrol *e, const struct pki_leaf *l, char *ret_why)
{
	const json_t *mark = mark_of(e, l->name, l->serial, pki_issued_s(l));

	if (!mark)
		return false;
	snprintf(ret_why, TEXT_LEN,
		 "certificate of %.63s was revoked by %.40s (%.60s): if the node is to come back, enrol it "
		 "again with "
		 "sluicectl node token",
		 l->name, text(mark, "actor"), text(mark, "reason"));
	return true;
}

/* One record, however many certificates the node has: a node that asked for many cannot delay this. */
static json_t *revocation(const struct enrol *e, const char *actor, const char *node, const char *serial,
			  const char *reason)
{
	json_t *was = json_object_get(e->rec[REVOKED], node);
	json_t *rec = was ? json_deep_copy(was) : json_pack("{s:{}}", "serials");
	int64_t now = wall_now_ms(), last = after_ms(e, node);
	json_t *mark = json_pack("{s:I, s:s, s:s}", "at_ms", (json_int_t)(now > last ? now : last + 1),
				 "actor", actor, "reason", reason);

	if (serial)
		json_object_set_new(json_object_get(rec, "serials"), serial, mark);
	else
		json_object_set_new(rec, "all", mark);
	return rec;
}

struct op_result enrol_revoke(struct enrol *e, const char *actor, const char *node, const char *serial,
			      const char *reason)
{
	auto_change ch = { 0 };

	if (!pki_name_ok(node))
		return result(422, "\"%.63s\" cannot be a node's name", node);
	change_add(&ch, REVOKED, node, revocation(e, actor, node, serial, reason));
	int err = events_emit(e->c->events, ch.ops, ch.n, "cert.revoked", "warning",
			      json_pack("{s:s, s:s, s:s*, s:s}", "actor", actor, "node", node, "serial",
					serial, "reason", reason),
			      "%s %s of %s revoked by %s: %s", serial ? "certificate" : "every certificate",
			      serial ? serial : "until now", node, actor, reason);
	if (err < 0)
		return store_failed(e);
	change_take(e, &ch);
	return result(200, "revoked");
}

/* -- looking ------------------------------------------------------------------------------------------ */

json_t *enrol_list(const struct enrol *e)
{
	json_t *list = json_array(), *rec;
	const char *key;

	json_object_foreach(e->rec[CERTS], key, rec) {
		const char *slash = strrchr(key, '/');
		auto_free char *node = xasprintf("%.*s", (int)(slash - key), key);
		const json_t *mark = mark_of(e, node, slash + 1, 0);
		json_array_append_new(list, json_pack("{s:s, s:s, s:O, s:O, s:O, s:O*, s:O*}", "node", node,
						      "serial", slash + 1, "issued_ms",
						      json_object_get(rec, "issued_ms"), "expires_ms",
						      json_object_get(rec, "expires_ms"), "by",
						      json_object_get(rec, "by"), "revoked", mark, "ca",
						      json_object_get(rec, "ca")));
	}
	return list;
}
