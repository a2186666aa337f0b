/* SPDX-License-Identifier: Apache-2.0
 * Schema rows first, then defaults, then what a schema cannot say. */
#include "agent/config.h"

#include <errno.h>
#include <string.h>

#include "proto/base/err.h"
#include "proto/wire/pki.h"

#define STR(key, flags, type, member)                                                                        \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (flags), type, member, 0, 4095)
#define OPT CYAML_FLAG_OPTIONAL

static const cyaml_schema_value_t string_value = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 255) };

static const cyaml_schema_field_t controller_fields[] = {
	CYAML_FIELD_SEQUENCE("endpoints", CYAML_FLAG_POINTER, struct agent_controller, endpoints,
			     &string_value, 1, 8),
	STR("ca", 0, struct agent_controller, ca),
	STR("cert", 0, struct agent_controller, cert),
	STR("key", 0, struct agent_controller, key),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t frr_fields[] = {
	STR("vty", OPT, struct agent_config, frr.vty),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t allow_fields[] = {
	CYAML_FIELD_SEQUENCE("prefixes", CYAML_FLAG_POINTER, struct agent_config, allow.prefixes,
			     &string_value, 1, MAX_PREFIXES),
	CYAML_FIELD_SEQUENCE("communities", CYAML_FLAG_POINTER | OPT, struct agent_config, allow.communities,
			     &string_value, 0, 64),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t sample_fields[] = {
	CYAML_FIELD_SEQUENCE("interfaces", CYAML_FLAG_POINTER | OPT, struct agent_config, sample.interfaces,
			     &string_value, 0, MAX_LINKS),
	CYAML_FIELD_UINT("interval_ms", OPT, struct agent_config, sample.interval_ms),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t check_fields[] = {
	STR("name", OPT, struct check_cfg, name),
	STR("kind", 0, struct check_cfg, kind),
	STR("target", OPT, struct check_cfg, target),
	STR("path", OPT, struct check_cfg, path),
	STR("host", OPT, struct check_cfg, host),
	CYAML_FIELD_UINT("expect_status", OPT, struct check_cfg, expect_status),
	CYAML_FIELD_UINT("interval_ms", OPT, struct check_cfg, interval_ms),
	CYAML_FIELD_UINT("fast_interval_ms", OPT, struct check_cfg, fast_interval_ms),
	CYAML_FIELD_UINT("timeout_ms", OPT, struct check_cfg, timeout_ms),
	CYAML_FIELD_UINT("rise", OPT, struct check_cfg, rise),
	CYAML_FIELD_UINT("fall", OPT, struct check_cfg, fall),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t check_value = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct check_cfg,
								      check_fields) };

static const cyaml_schema_field_t service_fields[] = {
	STR("name", 0, struct service_cfg, name),
	CYAML_FIELD_SEQUENCE("prefixes", CYAML_FLAG_POINTER, struct service_cfg, prefixes, &string_value, 1,
			     MAX_PREFIXES),
	CYAML_FIELD_SEQUENCE("checks", CYAML_FLAG_POINTER, struct service_cfg, checks, &check_value, 1, 32),
	CYAML_FIELD_UINT("hold_down_ms", OPT, struct service_cfg, hold_down_ms),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t service_value = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT,
									struct service_cfg, service_fields) };

/* frr, allow and sample are parts of struct agent_config itself: their fields carry its offsets, so the
 * mapping starts at offset 0. */
#define PART(part_key, part_flags, part_fields)                                                              \
	{                                                                                                    \
		.key = part_key, .data_offset = 0, .value = {                                                \
			.type = CYAML_MAPPING,                                                               \
			.flags = part_flags,                                                                 \
			.data_size = sizeof(struct agent_config),                                            \
			.mapping = { .fields = part_fields }                                                 \
		}                                                                                            \
	}

static const cyaml_schema_field_t top_fields[] = {
	STR("node", 0, struct agent_config, node),
	STR("state_dir", OPT, struct agent_config, state_dir),
	STR("log", OPT, struct agent_config, log),
	CYAML_FIELD_MAPPING_PTR("controller", CYAML_FLAG_POINTER | OPT, struct agent_config, controller,
				controller_fields),
	PART("frr", CYAML_FLAG_OPTIONAL, frr_fields),
	PART("allow", CYAML_FLAG_DEFAULT, allow_fields),
	PART("sample", CYAML_FLAG_OPTIONAL, sample_fields),
	CYAML_FIELD_SEQUENCE("services", CYAML_FLAG_POINTER | OPT, struct agent_config, services,
			     &service_value, 0, MAX_SERVICES),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t top = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct agent_config,
							      top_fields) };

/* libcyaml frees with its allocator, which is free() */
static void default_str(char **s, const char *value)
{
	if (!*s)
		*s = xstrdup(value);
}

static void default_uint(uint32_t *n, uint32_t value)
{
	if (!*n)
		*n = value;
}

static void defaults(struct agent_config *c)
{
	default_str(&c->state_dir, "/var/lib/sluice-agent");
	default_str(&c->log, "info");
	default_str(&c->frr.vty, "/run/frr/bgpd.vty");
	default_uint(&c->sample.interval_ms, 1000);
	for (unsigned i = 0; i < c->services_count; i++) {
		struct service_cfg *s = &c->services[i];
		default_uint(&s->hold_down_ms, 10000);
		for (unsigned k = 0; k < s->checks_count; k++) {
			struct check_cfg *ck = &s->checks[k];
			default_str(&ck->name, ck->kind);
			default_uint(&ck->interval_ms, 1000);
			default_uint(&ck->fast_interval_ms, ck->interval_ms < 200 ? ck->interval_ms : 200);
			default_uint(&ck->timeout_ms, 1000);
			default_uint(&ck->rise, 2);
			default_uint(&ck->fall, 2);
		}
	}
}

#define WHY(...) (snprintf(ret_why, CONF_WHY_LEN, __VA_ARGS__), ERR_CONFIG)

static int verify_allow(struct agent_config *c, char *ret_why)
{
	const char *why;

	c->prefixes = xcalloc(c->allow.prefixes_count, sizeof(*c->prefixes));
	for (unsigned i = 0; i < c->allow.prefixes_count; i++) {
		const char *text = c->allow.prefixes[i];
		if (prefix_parse(text, &c->prefixes[i], &why) < 0)
			return WHY("allow.prefixes[%u]: \"%s\": %s", i, text, why);
		if (c->prefixes[i].len < 8)
			return WHY("allow.prefixes[%u]: \"%s\" is wider than /8: name the service's own "
				   "prefixes",
				   i, text);
	}
	return 0;
}

static bool allowed(const struct agent_config *c, const struct prefix *p)
{
	for (unsigned i = 0; i < c->allow.prefixes_count; i++)
		if (prefix_contains(&c->prefixes[i], p))
			return true;
	return false;
}

static int verify_service(const struct agent_config *c, unsigned i, char *ret_why)
{
	const struct service_cfg *s = &c->services[i];
	char check_why[TEXT_LEN];
	const char *why;
	struct prefix p;

	if (!pki_name_ok(s->name))
		return WHY("services[%u].name: \"%s\" is not a name (letters, digits, '-', '_', '.')", i,
			   s->name);
	for (unsigned k = 0; k < i; k++)
		if (strcmp(c->services[k].name, s->name) == 0)
			return WHY("services[%u].name: \"%s\" is there twice", i, s->name);
	for (unsigned k = 0; k < s->prefixes_count; k++) {
		if (prefix_parse(s->prefixes[k], &p, &why) < 0)
			return WHY("services[%u].prefixes[%u]: \"%s\": %s", i, k, s->prefixes[k], why);
		if (!allowed(c, &p))
			return WHY("services[%u].prefixes[%u]: %s is not inside allow.prefixes", i, k,
				   s->prefixes[k]);
		int owner = agent_config_service_of(c, &p);
		if (owner >= 0 && owner < (int)i)
			return WHY("services[%u].prefixes[%u]: %s already belongs to service \"%s\"", i, k,
				   s->prefixes[k], c->services[owner].name);
	}
	for (unsigned k = 0; k < s->checks_count; k++)
		if (check_cfg_verify(&s->checks[k], check_why) < 0)
			return WHY("services[%u].checks[%u]: %s", i, k, check_why);
	return 0;
}

static int verify(struct agent_config *c, char *ret_why)
{
	struct sockaddr_storage ss;
	const char *why;

	if (!pki_name_ok(c->node))
		return WHY("node: \"%s\" is not a name (letters, digits, '-', '_', '.')", c->node);
	if (strcmp(c->log, "debug") && strcmp(c->log, "info") && strcmp(c->log, "warn") &&
	    strcmp(c->log, "error"))
		return WHY("log: \"%s\" is none of debug, info, warn, error", c->log);
	if (c->sample.interval_ms < 100 || c->sample.interval_ms > 60000)
		return WHY("sample.interval_ms: %u is outside 100..60000", c->sample.interval_ms);
	for (unsigned i = 0; c->controller && i < c->controller->endpoints_count; i++)
		if (endpoint_parse(c->controller->endpoints[i], &ss, &why) < 0)
			return WHY("controller.endpoints[%u]: \"%s\": %s", i, c->controller->endpoints[i],
				   why);
	int err = verify_allow(c, ret_why);
	for (unsigned i = 0; !err && i < c->services_count; i++)
		err = verify_service(c, i, ret_why);
	return err;
}

int agent_config_load(const char *path, struct agent_config **ret_config, char *ret_why)
{
	char why[CONF_WHY_LEN];
	void *data = NULL;
	int err = conf_load(path, &top, &data, ret_why);

	if (err < 0)
		return err;
	struct agent_config *c = data;
	defaults(c);
	err = verify(c, why);
	if (err < 0) {
		agent_config_free(c);
		snprintf(ret_why, CONF_WHY_LEN, "%s: %.900s", path, why);
		return err;
	}
	*ret_config = c;
	return 0;
}

void agent_config_free(struct agent_config *c)
{
	if (!c)
		return;
	free(c->prefixes);
	c->prefixes = NULL;
	conf_free(&top, c);
}

int agent_config_print(const struct agent_config *c, struct buf *out)
{
	return conf_print(&top, c, out);
}

int agent_config_service_of(const struct agent_config *c, const struct prefix *p)
{
	struct prefix own;

	for (unsigned i = 0; i < c->services_count; i++)
		for (unsigned k = 0; k < c->services[i].prefixes_count; k++)
			if (prefix_parse(c->services[i].prefixes[k], &own, NULL) == 0 &&
			    prefix_cmp(&own, p) == 0)
				return (int)i;
	return -1;
}
