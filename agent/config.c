/* SPDX-License-Identifier: Apache-2.0
 * Schema rows first, then defaults, then what a schema cannot say. */
#include "agent/config.h"

#include <errno.h>
#include <string.h>

#include "proto/base/conf_walk.h"
#include "proto/base/err.h"
#include "proto/wire/pki.h"

#define STR(key, flags, type, member)                                                                        \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | (flags), type, member, 0, 4095)
#define OPT CYAML_FLAG_OPTIONAL

static const cyaml_schema_value_t string_value = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 255) };

/* of texts, optional */
#define LIST(key, type, member, max)                                                                         \
	CYAML_FIELD_SEQUENCE(key, CYAML_FLAG_POINTER | OPT, type, member, &string_value, 0, max)

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
	CONF_UINT_NOT_0("interval_ms", struct agent_config, sample.interval_ms),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t check_fields[] = {
	STR("name", OPT, struct check_cfg, name),
	STR("kind", 0, struct check_cfg, kind),
	STR("target", OPT, struct check_cfg, target),
	STR("path", OPT, struct check_cfg, path),
	STR("host", OPT, struct check_cfg, host),
	CYAML_FIELD_UINT("expect_status", OPT, struct check_cfg, expect_status),
	CONF_UINT_NOT_0("interval_ms", struct check_cfg, interval_ms),
	CONF_UINT_NOT_0("fast_interval_ms", struct check_cfg, fast_interval_ms),
	CONF_UINT_NOT_0("timeout_ms", struct check_cfg, timeout_ms),
	CONF_UINT_NOT_0("rise", struct check_cfg, rise),
	CONF_UINT_NOT_0("fall", struct check_cfg, fall),
	CONF_UINT_NOT_0("jitter_pct", struct check_cfg, jitter_pct),
	STR("expect_body", OPT, struct check_cfg, expect_body),
	STR("tls_name", OPT, struct check_cfg, tls_name),
	STR("ca", OPT, struct check_cfg, ca),
	CYAML_FIELD_BOOL("tls_insecure", OPT, struct check_cfg, tls_insecure),
	CYAML_FIELD_UINT("expiry_days", OPT, struct check_cfg, expiry_days),
	STR("protocol", OPT, struct check_cfg, protocol),
	CYAML_FIELD_UINT("grace_ms", OPT, struct check_cfg, grace_ms),
	STR("pidfile", OPT, struct check_cfg, pidfile),
	STR("query", OPT, struct check_cfg, query),
	STR("type", OPT, struct check_cfg, type),
	STR("rcode", OPT, struct check_cfg, rcode),
	STR("answer", OPT, struct check_cfg, answer),
	STR("send", OPT, struct check_cfg, send),
	STR("expect", OPT, struct check_cfg, expect),
	STR("address", OPT, struct check_cfg, address),
	STR("interface", OPT, struct check_cfg, interface),
	STR("command", OPT, struct check_cfg, command),
	CYAML_FIELD_BOOL("exit_weight", OPT, struct check_cfg, exit_weight),
	STR("unit", OPT, struct check_cfg, unit),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t check_value = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct check_cfg,
								      check_fields) };

static const cyaml_schema_field_t attrs_fields[] = {
	CYAML_FIELD_UINT("med", OPT, struct announce_attrs, med),
	CYAML_FIELD_UINT("local_pref", OPT, struct announce_attrs, local_pref),
	CYAML_FIELD_UINT("prepends", OPT, struct announce_attrs, prepends),
	LIST("communities", struct announce_attrs, communities, MAX_COMMUNITIES),
	LIST("extcommunities", struct announce_attrs, extcommunities, MAX_COMMUNITIES),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t vip_fields[] = {
	STR("interface", OPT, struct vip_cfg, interface),
	CYAML_FIELD_BOOL("create", OPT, struct vip_cfg, create),
	CYAML_FIELD_BOOL("dynamic", OPT, struct vip_cfg, dynamic),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t hooks_fields[] = {
	STR("up", OPT, struct hooks_cfg, up),
	STR("down", OPT, struct hooks_cfg, down),
	STR("disabled", OPT, struct hooks_cfg, disabled),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t neighbour_fields[] = {
	STR("name", 0, struct neighbour_cfg, name),
	STR("community", 0, struct neighbour_cfg, community),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t neighbour_value = { CYAML_VALUE_MAPPING(
	CYAML_FLAG_DEFAULT, struct neighbour_cfg, neighbour_fields) };

static const cyaml_schema_field_t command_fields[] = {
	STR("name", 0, struct command_cfg, name),
	CYAML_FIELD_SEQUENCE("argv", CYAML_FLAG_POINTER, struct command_cfg, argv, &string_value, 1, 32),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t command_value = { CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT,
									struct command_cfg, command_fields) };

static const cyaml_schema_field_t service_fields[] = {
	STR("name", 0, struct service_cfg, name),
	CYAML_FIELD_SEQUENCE("prefixes", CYAML_FLAG_POINTER, struct service_cfg, prefixes, &string_value, 1,
			     MAX_PREFIXES),
	CYAML_FIELD_SEQUENCE("checks", CYAML_FLAG_POINTER, struct service_cfg, checks, &check_value, 1, 32),
	CONF_UINT_NOT_0("hold_down_ms", struct service_cfg, hold_down_ms),
	LIST("addresses", struct service_cfg, addresses, 64),
	CYAML_FIELD_MAPPING_PTR("vip", CYAML_FLAG_POINTER | OPT, struct service_cfg, vip, vip_fields),
	STR("disable_file", OPT, struct service_cfg, disable_file),
	CYAML_FIELD_MAPPING_PTR("hooks", CYAML_FLAG_POINTER | OPT, struct service_cfg, hooks, hooks_fields),
	STR("on_stop", OPT, struct service_cfg, on_stop),
	STR("on_agent_loss", OPT, struct service_cfg, on_agent_loss),
	STR("on_down", OPT, struct service_cfg, announce.on_down),
	STR("on_disabled", OPT, struct service_cfg, announce.on_disabled),
	CYAML_FIELD_MAPPING_PTR("up", CYAML_FLAG_POINTER | OPT, struct service_cfg, announce.up,
				attrs_fields),
	CYAML_FIELD_MAPPING_PTR("down", CYAML_FLAG_POINTER | OPT, struct service_cfg, announce.down,
				attrs_fields),
	CYAML_FIELD_MAPPING_PTR("disabled", CYAML_FLAG_POINTER | OPT, struct service_cfg, announce.disabled,
				attrs_fields),
	CYAML_FIELD_UINT("med_increase", OPT, struct service_cfg, announce.med_increase),
	LIST("neighbours", struct service_cfg, announce.neighbours, 16),
	STR("join", OPT, struct service_cfg, join),
	CYAML_FIELD_UINT("quorum", OPT, struct service_cfg, quorum),
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
	STR("socket", OPT, struct agent_config, socket),
	STR("drills", OPT, struct agent_config, drills),
	STR("metrics_file", OPT, struct agent_config, metrics_file),
	CYAML_FIELD_MAPPING_PTR("controller", CYAML_FLAG_POINTER | OPT, struct agent_config, controller,
				controller_fields),
	PART("frr", CYAML_FLAG_OPTIONAL, frr_fields),
	PART("allow", CYAML_FLAG_DEFAULT, allow_fields),
	PART("sample", CYAML_FLAG_OPTIONAL, sample_fields),
	CYAML_FIELD_SEQUENCE("commands", CYAML_FLAG_POINTER | OPT, struct agent_config, commands,
			     &command_value, 0, 64),
	CYAML_FIELD_SEQUENCE("neighbours", CYAML_FLAG_POINTER | OPT, struct agent_config, neighbours,
			     &neighbour_value, 0, 64),
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
	default_str(&c->socket, "/run/sluice-agent/agent.sock");
	default_str(&c->drills, "on");
	default_str(&c->frr.vty, "/run/frr/bgpd.vty");
	default_uint(&c->sample.interval_ms, 1000);
	for (unsigned i = 0; i < c->services_count; i++) {
		struct service_cfg *s = &c->services[i];
		default_uint(&s->hold_down_ms, 10000);
		if (s->vip)
			default_str(&s->vip->interface, "lo");
		for (unsigned k = 0; k < s->checks_count; k++) {
			struct check_cfg *ck = &s->checks[k];
			bool kernel = strcmp(ck->kind, "listen") == 0 || strcmp(ck->kind, "process") == 0;
			if (kernel)
				default_uint(&ck->grace_ms, 2);
			if (ck->command)
				ck->run = agent_config_command(c, ck->command);
			default_str(&ck->name, ck->kind);
			default_uint(&ck->interval_ms, 1000);
			default_uint(&ck->fast_interval_ms, ck->interval_ms < 200 ? ck->interval_ms : 200);
			default_uint(&ck->timeout_ms, 800);
			default_uint(&ck->rise, 2);
			default_uint(&ck->fall, 2);
			default_uint(&ck->jitter_pct, 10);
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

/* They are compared as texts with what a controller asks for. */
static int verify_communities(const struct agent_config *c, char *ret_why)
{
	char canon[NAME_LEN];

	for (unsigned i = 0; i < c->allow.communities_count; i++) {
		const char *text = c->allow.communities[i];
		if (!route_community_canon(text, canon) && !route_large_canon(text, canon))
			return WHY("allow.communities[%u]: \"%s\" is not a community", i, text);
		if (strcmp(text, canon) != 0)
			return WHY("allow.communities[%u]: write \"%s\" as %s", i, text, canon);
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

static int verify_choice(const char *what, const char *text, char *ret_why)
{
	if (text && strcmp(text, "keep") && strcmp(text, "withdraw"))
		return WHY("%s: \"%s\" is neither keep nor withdraw", what, text);
	return 0;
}

static int verify_join(const struct service_cfg *s, char *ret_why)
{
	bool quorum = s->join && strcmp(s->join, "quorum") == 0;

	if (s->join && !quorum && strcmp(s->join, "all") && strcmp(s->join, "any"))
		return WHY("join: \"%s\" is none of all, any, quorum", s->join);
	if (quorum != (s->quorum != 0))
		return WHY("quorum: how many checks must pass; goes with join: quorum");
	if (s->quorum > s->checks_count)
		return WHY("quorum: %u of %u checks cannot pass", s->quorum, s->checks_count);
	if (s->join && !s->checks_count)
		return WHY("join: there are no checks");
	return 0;
}

static int verify_hooks(const struct agent_config *c, const struct hooks_cfg *h, char *ret_why)
{
	const char *const names[] = { h->up, h->down, h->disabled };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i] && !agent_config_command(c, names[i]))
			return WHY("hooks: \"%s\" is not in commands", names[i]);
	return 0;
}

static int verify_vip(const struct service_cfg *s, char *ret_why)
{
	struct prefix p, net;
	const char *why;

	if (s->vip && strlen(s->vip->interface) > 15)
		return WHY("vip.interface: \"%s\" is too long", s->vip->interface);
	if (!s->vip != !s->addresses_count)
		return WHY("addresses: these and vip go together");
	for (unsigned i = 0; i < s->addresses_count; i++) {
		bool inside = false;
		if (prefix_parse(s->addresses[i], &p, &why) < 0)
			return WHY("addresses[%u]: \"%s\": %s", i, s->addresses[i], why);
		for (unsigned k = 0; k < s->prefixes_count; k++)
			inside |= prefix_parse(s->prefixes[k], &net, NULL) == 0 && prefix_contains(&net, &p);
		if (!prefix_is_host(&p) || !inside)
			return WHY("addresses[%u]: \"%s\" is no single address of the service's prefixes", i,
				   s->addresses[i]);
	}
	return 0;
}

/* What a service has beyond prefixes and checks. */
static int verify_extras(const struct agent_config *c, const struct service_cfg *s, char *ret_why)
{
	char why[TEXT_LEN];
	int err = verify_join(s, ret_why);

	if (!err)
		err = verify_choice("on_stop", s->on_stop, ret_why);
	if (!err)
		err = verify_choice("on_agent_loss", s->on_agent_loss, ret_why);
	if (!err && s->hooks)
		err = verify_hooks(c, s->hooks, ret_why);
	if (!err)
		err = verify_vip(s, ret_why);
	if (!err && announce_verify(&s->announce, c->neighbours, c->neighbours_count, why) < 0)
		err = WHY("%s", why);
	return err;
}

static int verify_commands(const struct agent_config *c, char *ret_why)
{
	for (unsigned i = 0; i < c->commands_count; i++) {
		const struct command_cfg *cmd = &c->commands[i];
		if (cmd->argv[0][0] != '/')
			return WHY("commands[%u].argv: \"%s\" is not an absolute path", i, cmd->argv[0]);
		if (agent_config_command(c, cmd->name) != cmd)
			return WHY("commands[%u].name: \"%s\" is there twice", i, cmd->name);
	}
	return 0;
}

static int verify_neighbours(const struct agent_config *c, char *ret_why)
{
	char text[NAME_LEN];

	for (unsigned i = 0; i < c->neighbours_count; i++)
		if (!route_community_canon(c->neighbours[i].community, text) &&
		    !route_large_canon(c->neighbours[i].community, text))
			return WHY("neighbours[%u].community: \"%s\" is not a community", i,
				   c->neighbours[i].community);
	return 0;
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
	char extra_why[CONF_WHY_LEN];
	if (verify_extras(c, s, extra_why) < 0)
		return WHY("services[%u].%.900s", i, extra_why);
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
	if (strcmp(c->drills, "on") && strcmp(c->drills, "off"))
		return WHY("drills: \"%s\" is neither on nor off", c->drills);
	if (c->sample.interval_ms < 100 || c->sample.interval_ms > 60000)
		return WHY("sample.interval_ms: %u is outside 100..60000", c->sample.interval_ms);
	for (unsigned i = 0; c->controller && i < c->controller->endpoints_count; i++)
		if (endpoint_parse(c->controller->endpoints[i], &ss, &why) < 0)
			return WHY("controller.endpoints[%u]: \"%s\": %s", i, c->controller->endpoints[i],
				   why);
	if (strlen(c->socket) > 100)
		return WHY("socket: at most 100 characters");
	int err = verify_allow(c, ret_why);
	if (!err)
		err = verify_communities(c, ret_why);
	if (!err)
		err = verify_commands(c, ret_why);
	if (!err)
		err = verify_neighbours(c, ret_why);
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
	c->no_drills = strcmp(c->drills, "off") == 0;
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

struct command_cfg *agent_config_command(const struct agent_config *c, const char *name)
{
	for (unsigned i = 0; i < c->commands_count; i++)
		if (strcmp(c->commands[i].name, name) == 0)
			return &c->commands[i];
	return NULL;
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
