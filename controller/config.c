/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/config.h"

#include <stdarg.h>
#include <string.h>

#include "proto/base/conf_walk.h"
#include "proto/base/err.h"

#define STR(key, flags, member)                                                                              \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (flags), struct ctrl_config, member, 0, 4095)
#define OPT CYAML_FLAG_OPTIONAL

#define ENDPOINTS_MAX 9
#define LEASE_S	      3
#define LEASE_MIN_S   2 /* etcd gives none shorter */
#define LEASE_MAX_S   60
/* sections are parts of struct ctrl_config itself: their fields carry its offsets */
#define PART(part_key, part_flags, part_fields)                                                              \
	{                                                                                                    \
		.key = part_key, .data_offset = 0, .value = {                                                \
			.type = CYAML_MAPPING,                                                               \
			.flags = part_flags,                                                                 \
			.data_size = sizeof(struct ctrl_config),                                             \
			.mapping = { .fields = part_fields }                                                 \
		}                                                                                            \
	}

static const cyaml_schema_field_t agents_fields[] = { STR("listen", OPT, agents.listen), CYAML_FIELD_END };
static const cyaml_schema_field_t api_fields[] = {
	STR("listen", OPT, api.listen),
	STR("tokens", OPT, api.tokens),
	CONF_UINT_NOT_0("reads_per_s", struct ctrl_config, api.reads_per_s),
	CONF_UINT_NOT_0("writes_per_s", struct ctrl_config, api.writes_per_s),
	CYAML_FIELD_END,
};
static const cyaml_schema_field_t tls_fields[] = {
	STR("ca", 0, tls.ca),
	STR("cert", 0, tls.cert),
	STR("key", 0, tls.key),
	CYAML_FIELD_END,
};
static const cyaml_schema_field_t enrol_fields[] = {
	STR("cert", 0, enrol.cert),
	STR("key", 0, enrol.key),
	CONF_UINT_NOT_0("life_s", struct ctrl_config, enrol.life_s),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t endpoint = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, 255) };
static const cyaml_schema_field_t store_fields[] = {
	STR("kind", OPT, store.kind),
	CYAML_FIELD_SEQUENCE("endpoints", CYAML_FLAG_POINTER | OPT, struct ctrl_config, store.endpoints,
			     &endpoint, 0, ENDPOINTS_MAX),
	STR("prefix", OPT, store.prefix),
	STR("ca", OPT, store.ca),
	STR("cert", OPT, store.cert),
	STR("key", OPT, store.key),
	STR("user", OPT, store.user),
	STR("password_file", OPT, store.password_file),
	CONF_UINT_NOT_0("lease_s", struct ctrl_config, store.lease_s),
	CYAML_FIELD_BOOL("leave_compaction", OPT, struct ctrl_config, store.leave_compaction),
	CYAML_FIELD_END,
};
static const cyaml_schema_field_t advertise_fields[] = {
	STR("agents", OPT, advertise.agents),
	STR("api", OPT, advertise.api),
	CYAML_FIELD_END,
};
static const cyaml_schema_field_t top_fields[] = {
	STR("state_dir", OPT, state_dir),
	STR("log", OPT, log),
	PART("agents", OPT, agents_fields),
	PART("api", OPT, api_fields),
	PART("tls", CYAML_FLAG_DEFAULT, tls_fields),
	PART("enrol", OPT, enrol_fields),
	PART("store", OPT, store_fields),
	PART("advertise", OPT, advertise_fields),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t top = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct ctrl_config,
							      top_fields) };

static void default_str(char **s, const char *value)
{
	if (!*s)
		*s = xstrdup(value);
}

static int wrong(const char *path, char *ret_why, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int wrong(const char *path, char *ret_why, const char *fmt, ...)
{
	int n = snprintf(ret_why, CONF_WHY_LEN, "%s: ", path);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ret_why + n, (size_t)(CONF_WHY_LEN - n), fmt, ap);
	va_end(ap);
	return ERR_CONFIG;
}

static int verify_advertise(const struct ctrl_config *c, const char *path, char *ret_why)
{
	struct sockaddr_storage ss;
	const char *why;

	if (!c->advertise.agents || !c->advertise.api)
		return wrong(path, ret_why,
			     "advertise.agents and advertise.api are needed with etcd: where do agents "
			     "and operators reach this controller?");
	if (endpoint_parse(c->advertise.agents, &ss, &why) < 0)
		return wrong(path, ret_why, "advertise.agents: \"%s\": %s", c->advertise.agents, why);
	if (strncmp(c->advertise.api, "https://", 8) != 0 || strlen(c->advertise.api) > 200)
		return wrong(path, ret_why,
			     "advertise.api: \"%s\" is not a URL such as https://10.0.0.1:7443",
			     c->advertise.api);
	return 0;
}

static int verify_store(const struct ctrl_config *c, const char *path, char *ret_why)
{
	if (strcmp(c->store.kind, "sqlite") == 0)
		return 0;
	if (strcmp(c->store.kind, "etcd") != 0)
		return wrong(path, ret_why, "store.kind: \"%s\" is none of sqlite, etcd", c->store.kind);
	if (!c->store.endpoints_count)
		return wrong(path, ret_why,
			     "store.endpoints: name at least one member, such as https://10.0.0.1:2379");
	for (unsigned i = 0; i < c->store.endpoints_count; i++)
		if (strncmp(c->store.endpoints[i], "http://", 7) != 0 &&
		    strncmp(c->store.endpoints[i], "https://", 8) != 0)
			return wrong(path, ret_why,
				     "store.endpoints[%u]: \"%s\" is not an http:// or https:// URL", i,
				     c->store.endpoints[i]);
	if (c->store.lease_s < LEASE_MIN_S || c->store.lease_s > LEASE_MAX_S)
		return wrong(path, ret_why, "store.lease_s: %u is not from %d to %d", c->store.lease_s,
			     LEASE_MIN_S, LEASE_MAX_S);
	if (c->store.prefix[0] != '/' || c->store.prefix[strlen(c->store.prefix) - 1] == '/')
		return wrong(path, ret_why,
			     "store.prefix: \"%s\" must start with a slash and not end with one",
			     c->store.prefix);
	if (!c->store.cert != !c->store.key)
		return wrong(path, ret_why, "store.cert and store.key go together");
	if (!c->store.user != !c->store.password_file)
		return wrong(path, ret_why, "store.user and store.password_file go together");
	return verify_advertise(c, path, ret_why);
}

static int verify(struct ctrl_config *c, const char *path, char *ret_why)
{
	static const char *const levels[] = { "debug", "info", "warn", "error" };
	const char *why;
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		known |= strcmp(levels[i], c->log) == 0;
	if (!known) {
		snprintf(ret_why, CONF_WHY_LEN, "%s: log: \"%s\" is none of debug, info, warn, error", path,
			 c->log);
		return ERR_CONFIG;
	}
	if (endpoint_parse(c->agents.listen, &c->agents_listen, &why) < 0) {
		snprintf(ret_why, CONF_WHY_LEN, "%s: agents.listen: \"%s\": %s", path, c->agents.listen, why);
		return ERR_CONFIG;
	}
	if (endpoint_parse(c->api.listen, &c->api_listen, &why) < 0) {
		snprintf(ret_why, CONF_WHY_LEN, "%s: api.listen: \"%s\": %s", path, c->api.listen, why);
		return ERR_CONFIG;
	}
	if (c->enrol.life_s < 10 || c->enrol.life_s > 10u * 366 * 86400) {
		snprintf(ret_why, CONF_WHY_LEN,
			 "%s: enrol.life_s: %u is outside 10 (for trying it out) to ten years", path,
			 c->enrol.life_s);
		return ERR_CONFIG;
	}
	return verify_store(c, path, ret_why);
}

int ctrl_config_load(const char *path, struct ctrl_config **ret_config, char *ret_why)
{
	void *data = NULL;
	int err = conf_load(path, &top, &data, ret_why);

	if (err < 0)
		return err;
	struct ctrl_config *c = data;
	default_str(&c->state_dir, "/var/lib/sluice");
	default_str(&c->log, "info");
	default_str(&c->agents.listen, "0.0.0.0:7400");
	default_str(&c->api.listen, "127.0.0.1:7443");
	default_str(&c->api.tokens, "/etc/sluice/tokens");
	c->api.reads_per_s = c->api.reads_per_s ? c->api.reads_per_s : 4000;
	c->api.writes_per_s = c->api.writes_per_s ? c->api.writes_per_s : 200;
	if (!c->enrol.life_s)
		c->enrol.life_s = 90 * 86400;
	default_str(&c->store.kind, "sqlite");
	default_str(&c->store.prefix, "/sluice");
	c->store.lease_s = c->store.lease_s ? c->store.lease_s : LEASE_S;
	err = verify(c, path, ret_why);
	if (err < 0) {
		ctrl_config_free(c);
		return err;
	}
	*ret_config = c;
	return 0;
}

static bool same_str(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_store(const struct ctrl_config *a, const struct ctrl_config *b)
{
	bool same = same_str(a->store.kind, b->store.kind) && same_str(a->store.prefix, b->store.prefix) &&
		    same_str(a->store.ca, b->store.ca) && same_str(a->store.cert, b->store.cert) &&
		    same_str(a->store.key, b->store.key) && same_str(a->store.user, b->store.user) &&
		    same_str(a->store.password_file, b->store.password_file) &&
		    a->store.lease_s == b->store.lease_s &&
		    a->store.leave_compaction == b->store.leave_compaction &&
		    a->store.endpoints_count == b->store.endpoints_count;

	for (unsigned i = 0; same && i < a->store.endpoints_count; i++)
		same = same_str(a->store.endpoints[i], b->store.endpoints[i]);
	return same;
}

void ctrl_config_fixed(const struct ctrl_config *running, const struct ctrl_config *next,
		       struct buf *ret_keys)
{
	const struct {
		const char *key;
		bool same;
	} rows[] = {
		{ "state_dir", same_str(running->state_dir, next->state_dir) },
		{ "agents.listen", same_str(running->agents.listen, next->agents.listen) },
		{ "api.listen", same_str(running->api.listen, next->api.listen) },
		{ "store", same_store(running, next) },
		{ "advertise", same_str(running->advertise.agents, next->advertise.agents) &&
				       same_str(running->advertise.api, next->advertise.api) },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!rows[i].same)
			buf_addf(ret_keys, "%s%s", ret_keys->len ? ", " : "", rows[i].key);
}

void ctrl_config_free(struct ctrl_config *c)
{
	conf_free(&top, c);
}

int ctrl_config_print(const struct ctrl_config *c, struct buf *out)
{
	return conf_print(&top, c, out);
}
