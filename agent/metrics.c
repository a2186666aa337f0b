/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/metrics.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <string.h>
#include <unistd.h>

/* One table row a metric: where its samples are in the status, and what a sample's value is. */

enum value { IS_UP, IS_DISABLED, SECONDS, NUMBER, IS_TRUE };

static const struct metric {
	const char *name, *help, *list, *field, *label;
	enum value value;
} metrics[] = {
	{ "sluice_agent_service_up", "1: the service is up", "services", "status", "name", IS_UP },
	{ "sluice_agent_service_disabled", "1: taken out by hand", "services", "disabled", "name",
	  IS_DISABLED },
	{ "sluice_agent_service_state_age_seconds", "since it changed", "services", "age_ms", "name",
	  SECONDS },
	{ "sluice_agent_service_weight", "1 to 100, by its checks", "services", "weight", "name", NUMBER },
	{ "sluice_agent_check_up", "1: the check passes", "checks", "status", "name", IS_UP },
	{ "sluice_agent_check_age_seconds", "since its last result", "checks", "age_ms", "name", SECONDS },
	{ "sluice_agent_route_announced", "1: announced", "routes", "announced", "prefix", IS_TRUE },
	{ "sluice_agent_route_neighbours", "neighbours that have it", "routes", "neighbours", "prefix",
	  NUMBER },
};

static double number(const json_t *item, const struct metric *m)
{
	const json_t *v = json_object_get(item, m->field);

	switch (m->value) {
	case IS_UP:
		return json_is_string(v) && strcmp(json_string_value(v), "up") == 0;
	case IS_DISABLED:
		return json_is_string(v);
	case SECONDS:
		return (double)json_integer_value(v) / 1000;
	case IS_TRUE:
		return json_is_true(v);
	case NUMBER:
		return (double)json_integer_value(v);
	}
	return 0;
}

static void label(struct buf *out, const char *name, const char *value)
{
	buf_addf(out, "%s=\"", name);
	for (const char *s = value ? value : ""; *s; s++)
		buf_addf(out, *s == '"' || *s == '\\' ? "\\%c" : *s == '\n' ? "\\n" : "%c", *s);
	buf_adds(out, "\"");
}

static void sample(struct buf *out, const struct metric *m, const char *service, const json_t *item)
{
	const json_t *v = json_object_get(item, m->field);

	if (json_is_null(v) && m->value == SECONDS)
		return; /* no result yet: no age */
	buf_addf(out, "%s{", m->name);
	if (service) {
		label(out, "service", service);
		buf_adds(out, ",");
	}
	const char *key = service ? "check" : strcmp(m->label, "name") ? m->label : "service";
	label(out, key, json_string_value(json_object_get(item, m->label)));
	buf_addf(out, "} %.15g\n", number(item, m));
}

static void samples(struct buf *out, const struct metric *m, const json_t *status)
{
	bool checks = strcmp(m->list, "checks") == 0;
	json_t *item, *inner;
	size_t i, k;

	json_array_foreach(json_object_get(status, checks ? "services" : m->list), i, item) {
		if (!checks) {
			sample(out, m, NULL, item);
			continue;
		}
		const char *service = json_string_value(json_object_get(item, "name"));
		json_array_foreach(json_object_get(item, "checks"), k, inner)
			sample(out, m, service ? service : "", inner);
	}
}

static void plain(struct buf *out, const char *name, const char *help, double value)
{
	buf_addf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %.15g\n", name, help, name, name, value);
}

void metrics_text(const json_t *status, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(metrics); i++) {
		const struct metric *m = &metrics[i];
		buf_addf(out, "# HELP %s %s\n# TYPE %s gauge\n", m->name, m->help, m->name);
		samples(out, m, status);
	}
	plain(out, "sluice_agent_bgp_ok", "1: bgpd answers and a session is up",
	      json_is_true(json_object_get(json_object_get(status, "bgp"), "ok")));
	plain(out, "sluice_agent_up_seconds", "since start or reload",
	      (double)json_integer_value(json_object_get(status, "up_ms")) / 1000);
}

int metrics_write(const char *path, const json_t *status)
{
	auto_free char *next = xasprintf("%s.new", path);
	auto_buf text = { 0 };
	FILE *f = fopen(next, "we");

	if (!f)
		return -errno;
	metrics_text(status, &text);
	bool bad = fwrite(text.data, 1, text.len, f) != text.len;
	if (fclose(f) || bad || chmod(next, 0644) || rename(next, path)) {
		int err = errno ? -errno : -EIO;
		unlink(next);
		return err;
	}
	return 0;
}
