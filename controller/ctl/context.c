/* SPDX-License-Identifier: Apache-2.0
 * Which controller to talk to: options win over the environment, that over the context file
 * (~/.config/sluice/ctl.yaml):
 *   current: prod
 *   contexts:
 *     prod: {url: "https://192.0.2.10:7443", ca: ca.pem, token_file: prod.token}
 * Relative paths in it start from its own directory. Tokens themselves are never in it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controller/ctl/ctl.h"
#include "controller/ctl/file.h"
#include "controller/ctl/yaml.h"
#include "proto/base/mem.h"

#define CONTEXT_FILE_MAX (64 * 1024)

/* Heap, or NULL without a home. */
static char *context_path(void)
{
	const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

	if (xdg && *xdg)
		return xasprintf("%s/sluice/ctl.yaml", xdg);
	return home && *home ? xasprintf("%s/.config/sluice/ctl.yaml", home) : NULL;
}

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

/* A path as the file's author meant it; heap. */
static char *resolve(const char *file, const char *path)
{
	const char *slash = strrchr(file, '/'), *home = getenv("HOME");

	if (path[0] == '/')
		return xstrdup(path);
	if (path[0] == '~' && path[1] == '/' && home)
		return xasprintf("%s%s", home, path + 1);
	return xasprintf("%.*s/%s", (int)(slash - file), file, path);
}

static int unknown_key(const char *path, json_t *map, const char *const *known)
{
	const char *key;
	json_t *v;

	json_object_foreach(map, key, v) {
		size_t i = 0;
		while (known[i] && strcmp(known[i], key))
			i++;
		if (!known[i])
			return ctl_fail("%s: unknown key '%s'", path, key);
	}
	return CTL_OK;
}

static int take(struct ctl *ctl, const char *path, json_t *entry)
{
	static const char *const known[] = { "url", "ca", "token_file", NULL };
	struct {
		const char **to;
		char **heap;
	} into[] = { { &ctl->api.url, NULL },
		     { &ctl->api.ca, &ctl->paths[0] },
		     { &ctl->api.token_file, &ctl->paths[1] } };
	const char *url = json_string_value(json_object_get(entry, "url"));
	int rc = unknown_key(path, entry, known);

	/* a context's token stays with its own controller, unless asked for by name */
	if (ctl->api.url && !ctl->context && url && strcmp(url, ctl->api.url))
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(into) && !rc; i++) {
		json_t *v = json_object_get(entry, known[i]);

		if (!v || *into[i].to)
			continue;
		if (!json_is_string(v))
			rc = ctl_fail("%s: %s must be text", path, known[i]);
		else if (into[i].heap)
			*into[i].to = *into[i].heap = resolve(path, json_string_value(v));
		else
			*into[i].to = json_string_value(v);
	}
	return rc;
}

static int choose(struct ctl *ctl, const char *path)
{
	static const char *const known[] = { "current", "contexts", NULL };
	const char *name = ctl->context;
	json_t *entry;
	int rc = unknown_key(path, ctl->ctx, known);

	if (rc)
		return rc;
	if (!name)
		name = json_string_value(json_object_get(ctl->ctx, "current"));
	if (!name)
		return CTL_OK;
	entry = json_object_get(json_object_get(ctl->ctx, "contexts"), name);
	if (!json_is_object(entry))
		return ctl_fail("%s: there is no context '%s'", path, name);
	return take(ctl, path, entry);
}

static int load(struct ctl *ctl)
{
	auto_free char *path = context_path();
	auto_buf text = { .max = CONTEXT_FILE_MAX };
	char why[YAML_WHY];
	int err = path ? file_read(path, &text) : -ENOENT;

	if (err == -ENOENT)
		return ctl->context ? ctl_fail("--context %s: there is no %s", ctl->context,
					       path ? path : "context file")
				    : CTL_OK;
	if (err)
		return ctl_fail("cannot read %s: %s", path, file_err(err));
	if (yaml_load(text.data ? text.data : "", text.len, &ctl->ctx, why))
		return ctl_fail("%s:%s", path, why);
	if (json_is_null(ctl->ctx))
		return CTL_OK;
	if (!json_is_object(ctl->ctx))
		return ctl_fail("%s: expected the keys current and contexts", path);
	return choose(ctl, path);
}

int context_load(struct ctl *ctl)
{
	/* a context asked for by name wins over the environment, else --context would do nothing under it */
	if (!ctl->context) {
		ctl->api.url = ctl->api.url ? ctl->api.url : env("SLUICE_URL");
		ctl->api.ca = ctl->api.ca ? ctl->api.ca : env("SLUICE_CA");
		ctl->api.token_file = ctl->api.token_file ? ctl->api.token_file : env("SLUICE_TOKEN_FILE");
		ctl->context = env("SLUICE_CONTEXT");
	}
	if (ctl->api.url && ctl->api.ca && ctl->api.token_file && !ctl->context)
		return CTL_OK;
	return load(ctl);
}
