/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/config.h"

#include <string.h>

#include "proto/base/err.h"

#define STR(key, flags, member)                                                                              \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (flags), struct ctrl_config, member, 0, 4095)
#define OPT CYAML_FLAG_OPTIONAL
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
	CYAML_FIELD_UINT("life_s", OPT, struct ctrl_config, enrol.life_s),
	CYAML_FIELD_END,
};
static const cyaml_schema_field_t top_fields[] = {
	STR("state_dir", OPT, state_dir),
	STR("log", OPT, log),
	PART("agents", OPT, agents_fields),
	PART("api", OPT, api_fields),
	PART("tls", CYAML_FLAG_DEFAULT, tls_fields),
	PART("enrol", OPT, enrol_fields),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t top = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct ctrl_config,
							      top_fields) };

static void default_str(char **s, const char *value)
{
	if (!*s)
		*s = xstrdup(value);
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
	if (c->enrol.life_s < 60 || c->enrol.life_s > 10u * 366 * 86400) {
		snprintf(ret_why, CONF_WHY_LEN, "%s: enrol.life_s: %u is outside 60 (a minute) to ten years",
			 path, c->enrol.life_s);
		return ERR_CONFIG;
	}
	return 0;
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
	if (!c->enrol.life_s)
		c->enrol.life_s = 90 * 86400;
	err = verify(c, path, ret_why);
	if (err < 0) {
		ctrl_config_free(c);
		return err;
	}
	*ret_config = c;
	return 0;
}

void ctrl_config_free(struct ctrl_config *c)
{
	conf_free(&top, c);
}

int ctrl_config_print(const struct ctrl_config *c, struct buf *out)
{
	return conf_print(&top, c, out);
}
