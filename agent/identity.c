/* SPDX-License-Identifier: Apache-2.0
 * States and rules: identity.h. Owns the texts, the key of a renewal under way, and the credentials made of
 * them. */
#include "agent/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/log.h"
#include "proto/base/mono.h"

#define TEXT_MAX     (256 * 1024)
#define ASK_MS	     30000
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 3600000
#define LOOK_MS	     60000 /* for better files, when what we have is of no use */

struct papers {
	char *ca, *cert, *key; /* PEM; heap */
	struct pki_leaf leaf;
};

struct identity {
	const struct identity_ops *ops;
	void *arg;
	char *node, *state_dir;
	struct agent_controller files; /* of agent.yaml; heap copies */
	struct papers now;
	struct tls_creds *creds;
	char *told_ca;	   /* the bundle the controller named last; NULL: none yet */
	char *pending_key; /* ASKED */
	mono_t asked_at, next_at;
	int64_t backoff_ms;
	bool up;
	bool other_ca; /* our certificate does not hang from the CA that signs now */
	char trouble[TEXT_LEN];
};

/* -- files -------------------------------------------------------------------------------------------- */

static void wipe(char **s)
{
	if (*s)
		explicit_bzero(*s, strlen(*s));
	free(*s);
	*s = NULL;
}

static void papers_done(struct papers *p)
{
	free(p->ca);
	free(p->cert);
	wipe(&p->key);
	*p = (struct papers){ 0 };
}

/* Heap, or NULL with errno. */
static char *read_file(const char *path)
{
	auto_fclose FILE *f = fopen(path, "re");
	char *s;

	if (!f)
		return NULL;
	s = xcalloc(TEXT_MAX + 1, 1);
	size_t n = fread(s, 1, TEXT_MAX, f);
	s[n] = 0;
	char *exact = xstrdup(s);
	explicit_bzero(s, n);
	free(s);
	return exact;
}

static bool from_files(const struct agent_controller *f, struct papers *ret)
{
	char why[TEXT_LEN];
	struct papers p = { .ca = read_file(f->ca), .cert = read_file(f->cert), .key = read_file(f->key) };

	if (p.ca && p.cert && p.key && pki_leaf_read(p.cert, &p.leaf, why) == 0) {
		*ret = p;
		return true;
	}
	papers_done(&p);
	return false;
}

static char *state_path(const struct identity *id)
{
	return xasprintf("%s/identity.json", id->state_dir);
}

static bool from_state(const struct identity *id, struct papers *ret)
{
	auto_free char *path = state_path(id);
	auto_free char *text = read_file(path);
	json_auto_t *j = text ? json_loads(text, 0, NULL) : NULL;
	const char *ca, *cert, *key;
	struct papers p = { 0 };
	char why[TEXT_LEN];

	if (text)
		explicit_bzero(text, strlen(text));
	if (json_unpack(j, "{s:s, s:s, s:s}", "ca", &ca, "cert", &cert, "key", &key) < 0 ||
	    pki_leaf_read(cert, &p.leaf, why) < 0 || strcmp(p.leaf.name, id->node) != 0)
		return false;
	p.ca = xstrdup(ca);
	p.cert = xstrdup(cert);
	p.key = xstrdup(key);
	*ret = p;
	return true;
}

static int write_all(const char *path, const char *text)
{
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t len = strlen(text);

	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, text, len);
	if (n < 0 || fsync(fd))
		return -errno;
	return (size_t)n == len ? 0 : -ENOSPC;
}

/* Whole or not at all. A renewal every few weeks may wait for the disk. */
static int save(const struct identity *id, const struct papers *p)
{
	auto_free char *path = state_path(id), *tmp = xasprintf("%s.new", path);
	json_auto_t *j = json_pack("{s:s, s:s, s:s}", "ca", p->ca, "cert", p->cert, "key", p->key);
	char *text = json_dumps(j, JSON_INDENT(1));
	int err = write_all(tmp, text);

	wipe(&text);
	if (!err && rename(tmp, path) < 0)
		err = -errno;
	if (err)
		unlink(tmp);
	return err;
}

/* -- what we are -------------------------------------------------------------------------------------- */

static const char *bundle(const struct identity *id)
{
	return id->told_ca ? id->told_ca : id->now.ca;
}

static void look_at_ca(struct identity *id)
{
	id->other_ca = id->now.cert && pki_chain_root(id->now.cert, bundle(id)) != 0;
}

/* Takes p, unless it is refused. */
static int use(struct identity *id, struct papers *p, const char *where, char *ret_why)
{
	struct tls_creds *creds = NULL;
	int err = tls_creds_make(&(struct tls_pem){ p->ca, p->cert, p->key }, where, &creds, ret_why);

	if (err)
		return err;
	tls_creds_unref(id->creds);
	id->creds = creds;
	papers_done(&id->now);
	id->now = *p;
	*p = (struct papers){ 0 };
	look_at_ca(id);
	if (id->ops)
		id->ops->creds(creds, id->arg);
	return 0;
}

static bool later(const struct papers *a, const struct papers *b)
{
	return pki_issued_s(&a->leaf) >= pki_issued_s(&b->leaf);
}

static int check_name(const struct identity *id, const char *name, char *ret_why)
{
	if (strcmp(name, id->node) == 0)
		return 0;
	snprintf(ret_why, CONF_WHY_LEN,
		 "%s is the certificate of \"%s\", but node is \"%s\": they must be the same", id->files.cert,
		 name, id->node);
	return ERR_CERT;
}

/* What agent.yaml names: everything is said about it. */
static int load_files(struct identity *id, char *ret_why)
{
	struct tls_creds *creds = NULL;
	char why[TEXT_LEN];
	int err = tls_creds_load(id->files.ca, id->files.cert, id->files.key, &creds, why);

	if (!err)
		err = check_name(id, tls_creds_name(creds), ret_why);
	else
		snprintf(ret_why, CONF_WHY_LEN, "%s", why);
	if (err) {
		tls_creds_unref(creds);
		return err;
	}
	tls_creds_unref(id->creds);
	id->creds = creds;
	papers_done(&id->now);
	from_files(&id->files, &id->now);
	look_at_ca(id);
	if (id->ops)
		id->ops->creds(creds, id->arg);
	return 0;
}

static int load(struct identity *id, char *ret_why)
{
	struct papers file = { 0 }, kept = { 0 };
	auto_free char *path = state_path(id);
	bool have = from_files(&id->files, &file);
	int err = ERR_CERT;
	char why[TEXT_LEN];

	if (from_state(id, &kept) && (!have || later(&kept, &file))) {
		err = use(id, &kept, path, why);
		if (err)
			log_warn("%s", why);
	}
	if (err)
		err = load_files(id, ret_why);
	papers_done(&file);
	papers_done(&kept);
	return err;
}

int identity_new(const struct agent_config *cfg, const char *state_dir, struct identity **ret_id,
		 char *ret_why)
{
	struct identity *id = xcalloc(1, sizeof(*id));

	id->node = xstrdup(cfg->node);
	id->state_dir = xstrdup(state_dir);
	id->files.ca = xstrdup(cfg->controller->ca);
	id->files.cert = xstrdup(cfg->controller->cert);
	id->files.key = xstrdup(cfg->controller->key);
	int err = load(id, ret_why);
	if (err == ERR_CERT_TIME) {
		snprintf(id->trouble, sizeof(id->trouble), "%.*s", TEXT_LEN - 1, ret_why);
		log_error("%s; going on without the controller", id->trouble);
		id->next_at = mono_add_ms(mono_now(), LOOK_MS);
		err = 0;
	}
	if (err)
		identity_free(id);
	else
		*ret_id = id;
	return err;
}

void identity_attach(struct identity *id, const struct identity_ops *ops, void *arg)
{
	id->ops = ops;
	id->arg = arg;
}

void identity_free(struct identity *id)
{
	if (!id)
		return;
	tls_creds_unref(id->creds);
	papers_done(&id->now);
	wipe(&id->pending_key);
	free(id->told_ca);
	free(id->node);
	free(id->state_dir);
	free(id->files.ca);
	free(id->files.cert);
	free(id->files.key);
	free(id);
}

struct tls_creds *identity_creds(const struct identity *id)
{
	return id->creds;
}

/* -- telling ------------------------------------------------------------------------------------------ */

static void tell(struct identity *id)
{
	char ids[PKI_BUNDLE_MAX][PKI_ID_LEN], why[TEXT_LEN];
	struct msg m = { .kind = MSG_IDENTITY };
	struct msg_identity *i = &m.identity;
	size_t n = 0;

	if (!id->up || !id->creds)
		return;
	if (pki_bundle_ids(id->now.ca, ids, &n, why) == 0)
		snprintf(i->ca_id, sizeof(i->ca_id), "%s", ids[0]);
	i->cas = (uint32_t)n;
	snprintf(i->serial, sizeof(i->serial), "%s", id->now.leaf.serial);
	i->from_s = (uint64_t)pki_issued_s(&id->now.leaf);
	i->to_s = (uint64_t)id->now.leaf.to_s;
	snprintf(i->error, sizeof(i->error), "%s", id->trouble);
	id->ops->send(&m, id->arg);
}

static void set_trouble(struct identity *id, const char *why)
{
	if (strcmp(id->trouble, why) == 0)
		return;
	snprintf(id->trouble, sizeof(id->trouble), "%s", why);
	if (*why)
		log_warn("certificate: %s", why);
	tell(id);
}

void identity_up(struct identity *id, bool up)
{
	id->up = up;
	wipe(&id->pending_key); /* an answer of the old session will not come */
	if (up)
		tell(id);
}

/* -- renewal ------------------------------------------------------------------------------------------ */

int64_t identity_renew_s(const struct pki_leaf *l)
{
	int64_t from = pki_issued_s(l), life = l->to_s - from;
	unsigned salt = 0;

	for (const char *s = l->serial; *s; s++)
		salt = salt * 31 + (unsigned char)*s;
	return from + life * 2 / 3 + (int64_t)(salt % 1000) * (life / 12) / 1000;
}

static int64_t life_ms(const struct identity *id)
{
	return (id->now.leaf.to_s - pki_issued_s(&id->now.leaf)) * 1000;
}

/* The first wait is a fiftieth of its life, a minute at most; doubling, up to an hour. */
static void later_again(struct identity *id)
{
	int64_t least = life_ms(id) / 50;

	least = least < RETRY_MIN_MS ? RETRY_MIN_MS : least > 60000 ? 60000 : least;
	id->backoff_ms = id->backoff_ms ? id->backoff_ms * 2 : least;
	if (id->backoff_ms > RETRY_MAX_MS)
		id->backoff_ms = RETRY_MAX_MS;
	id->next_at = mono_add_ms(mono_now(), id->backoff_ms);
}

static void failed(struct identity *id, const char *why)
{
	wipe(&id->pending_key);
	later_again(id);
	set_trouble(id, why);
}

static bool is_due(const struct identity *id)
{
	return id->other_ca || wall_now_ms() / 1000 >= identity_renew_s(&id->now.leaf);
}

static void ask(struct identity *id)
{
	struct msg m = { .kind = MSG_CERT_REQUEST };
	char why[TEXT_LEN];

	if (pki_request(id->node, &m.cert_request.csr, &id->pending_key, why)) {
		failed(id, why);
		return;
	}
	id->asked_at = mono_now();
	log_info("certificate %s: asking for a new one", id->now.leaf.serial);
	id->ops->send(&m, id->arg);
	msg_done(&m);
}

/* Files may have been put right, or the clock. */
static void look(struct identity *id)
{
	char why[CONF_WHY_LEN];

	id->next_at = mono_add_ms(mono_now(), LOOK_MS);
	if (load(id, why) == 0) {
		log_info("certificate %s is good", id->now.leaf.serial);
		set_trouble(id, "");
	}
}

void identity_tick(struct identity *id)
{
	mono_t now = mono_now();

	if (id->pending_key && mono_diff_ms(id->asked_at, now) > ASK_MS)
		failed(id, "the controller did not answer the request for a new one");
	if (id->pending_key || (mono_is_set(id->next_at) && mono_diff_ms(now, id->next_at) > 0))
		return;
	if (!id->creds || (!id->up && wall_now_ms() / 1000 >= id->now.leaf.to_s))
		look(id);
	else if (id->up && is_due(id))
		ask(id);
}

/* Nothing is written that could not be used. */
static int check(const struct identity *id, const struct papers *p, char *ret_why)
{
	struct tls_creds *creds = NULL;

	if (strcmp(p->leaf.name, id->node) != 0) {
		snprintf(ret_why, TEXT_LEN, "the controller sent a certificate of another node");
		return ERR_CERT;
	}
	int err = tls_creds_make(&(struct tls_pem){ p->ca, p->cert, p->key }, "what the controller sent",
				 &creds, ret_why);
	tls_creds_unref(creds);
	return err;
}

static void got_answer(struct identity *id, const struct msg_cert_answer *a)
{
	struct papers next = { .ca = NULL };
	char why[TEXT_LEN];

	if (!id->pending_key)
		return;
	if (!a->cert) {
		failed(id, a->error[0] ? a->error : "the controller refused and did not say why");
		return;
	}
	next.ca = xstrdup(bundle(id));
	next.cert = xstrdup(a->cert);
	next.key = id->pending_key;
	id->pending_key = NULL;
	int err = pki_leaf_read(next.cert, &next.leaf, why);
	if (!err)
		err = check(id, &next, why);
	if (!err && (err = save(id, &next)) < 0)
		snprintf(why, sizeof(why), "%.200s/identity.json: %.40s", id->state_dir, strerror(-err));
	if (!err)
		err = use(id, &next, "what the controller sent", why);
	papers_done(&next);
	if (err) {
		failed(id, why);
		return;
	}
	id->backoff_ms = 0;
	id->next_at = (mono_t){ 0 };
	log_info("certificate renewed: %s", id->now.leaf.serial);
	id->trouble[0] = 0;
	tell(id);
}

/* A bundle that our certificate hangs from is taken at once; one that it does not makes it due. */
static void got_trust(struct identity *id, const struct msg_trust *t)
{
	char ids[PKI_BUNDLE_MAX][PKI_ID_LEN], why[TEXT_LEN];
	struct papers next;
	size_t n;

	if (!t->ca || pki_bundle_ids(t->ca, ids, &n, why) < 0) {
		log_warn("the controller sent CAs that are none: left as they are");
		return;
	}
	free(id->told_ca);
	id->told_ca = xstrdup(t->ca);
	look_at_ca(id);
	if (!id->creds || strcmp(t->ca, id->now.ca) == 0 || pki_chain_root(id->now.cert, t->ca) < 0)
		return;
	next = (struct papers){ xstrdup(t->ca), xstrdup(id->now.cert), xstrdup(id->now.key), id->now.leaf };
	int err = save(id, &next);
	if (err < 0)
		log_warn("%s/identity.json: %s", id->state_dir, strerror(-err));
	if (use(id, &next, "what the controller trusts", why) < 0)
		log_warn("%s", why);
	else
		log_info("%zu CA%s trusted", n, n == 1 ? " is" : "s are");
	papers_done(&next);
	tell(id);
}

void identity_msg(struct identity *id, const struct msg *m)
{
	if (m->kind == MSG_CERT_ANSWER)
		got_answer(id, &m->cert_answer);
	else if (m->kind == MSG_TRUST)
		got_trust(id, &m->trust);
}

json_t *identity_view(const struct identity *id)
{
	const struct pki_leaf *l = &id->now.leaf;

	return json_pack("{s:s, s:I, s:I, s:I, s:o}", "serial", l->serial, "issued",
			 (json_int_t)pki_issued_s(l), "expires", (json_int_t)l->to_s, "renew",
			 (json_int_t)identity_renew_s(l), "trouble",
			 id->trouble[0] ? json_string(id->trouble) : json_null());
}
