/* SPDX-License-Identifier: Apache-2.0
 * libcyaml reports an error as a message and a backtrace ("in mapping field 'x' (line: 3, column: 5)").
 * The first message and the innermost position become one line. For an unknown key and for a syntax error
 * that position is the one before, so the file is walked once more with libyaml to find the true one. */
#include "proto/base/conf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "proto/base/err.h"

struct trouble {
	char message[300], where[300];
	unsigned line, column;
};

static void note(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	struct trouble *t = ctx;
	char text[400];

	(void)level;
	vsnprintf(text, sizeof(text), fmt, args);
	text[strcspn(text, "\n")] = 0;
	const char *clean = strncmp(text, "Load: ", 6) == 0 ? text + 6 : text;
	const char *at = strstr(clean, "(line: ");
	/* libyaml's own syntax errors say "at line: N, column: M" inside the message */
	if (!at)
		at = strstr(clean, "line: ");
	if (at && !t->line) {
		const char *digits = strpbrk(at, "0123456789");
		if (digits && sscanf(digits, "%u, column: %u", &t->line, &t->column) < 1)
			t->line = 0;
		const char *in = strstr(clean, "in mapping field '");
		if (in)
			snprintf(t->where, sizeof(t->where), " in %.*s", (int)(at > in + 3 ? at - in - 4 : 0),
				 in + 3);
	}
	if (!t->message[0] && strncmp(clean, "Backtrace", 9) != 0)
		snprintf(t->message, sizeof(t->message), "%.299s", clean);
}

static bool is_key(const yaml_event_t *e, const char *key)
{
	return e->type == YAML_SCALAR_EVENT && strcmp((const char *)e->data.scalar.value, key) == 0;
}

static void set_place(struct trouble *t, const yaml_mark_t *at)
{
	t->line = (unsigned)at->line + 1;
	t->column = (unsigned)at->column + 1;
	t->where[0] = 0;
}

/* key: the scalar to find at or after the reported line; NULL: only a syntax error is looked for. */
static void locate(const char *path, const char *key, struct trouble *t)
{
	auto_fclose FILE *f = fopen(path, "re");
	yaml_parser_t parser;
	yaml_event_t event;
	bool more = f != NULL;

	if (!f || !yaml_parser_initialize(&parser))
		return;
	yaml_parser_set_input_file(&parser, f);
	while (more) {
		if (!yaml_parser_parse(&parser, &event)) {
			set_place(t, &parser.problem_mark);
			break;
		}
		more = event.type != YAML_STREAM_END_EVENT;
		if (key && is_key(&event, key) && event.start_mark.line + 1 >= t->line) {
			set_place(t, &event.start_mark);
			more = false;
		}
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
}

static const cyaml_config_t *config(cyaml_config_t *c, struct trouble *t)
{
	*c = (cyaml_config_t){
		.log_fn = t ? note : NULL,
		.log_ctx = t,
		.mem_fn = cyaml_mem,
		.log_level = CYAML_LOG_WARNING,
		.flags = CYAML_CFG_NO_ALIAS | CYAML_CFG_STYLE_BLOCK,
	};
	return c;
}

int conf_load(const char *path, const cyaml_schema_value_t *schema, void **ret_data, char *ret_why)
{
	struct trouble t = { 0 };
	cyaml_config_t c;
	cyaml_data_t *data = NULL;

	if (access(path, R_OK) < 0) {
		int err = errno;
		snprintf(ret_why, CONF_WHY_LEN, "%s: %s", path, strerror(err));
		return -err;
	}
	cyaml_err_t err = cyaml_load_file(path, config(&c, &t), schema, &data, NULL);
	if (err == CYAML_OK && data) {
		*ret_data = data;
		return 0;
	}
	static const char unknown[] = "Unexpected key: ";
	if (strncmp(t.message, unknown, strlen(unknown)) == 0)
		locate(path, t.message + strlen(unknown), &t);
	else if (err == CYAML_ERR_LIBYAML_PARSER)
		locate(path, NULL, &t);
	if (err == CYAML_OK)
		snprintf(ret_why, CONF_WHY_LEN, "%s: the file is empty", path);
	else if (t.line)
		snprintf(ret_why, CONF_WHY_LEN, "%s: line %u, column %u%s: %s", path, t.line, t.column,
			 t.where, t.message[0] ? t.message : cyaml_strerror(err));
	else
		snprintf(ret_why, CONF_WHY_LEN, "%s: %s", path,
			 t.message[0] ? t.message : cyaml_strerror(err));
	return ERR_CONFIG;
}

void conf_free(const cyaml_schema_value_t *schema, void *data)
{
	cyaml_config_t c;

	if (data)
		cyaml_free(config(&c, NULL), schema, data, 0);
}

int conf_print(const cyaml_schema_value_t *schema, const void *data, struct buf *out)
{
	cyaml_config_t c;
	char *text = NULL;
	size_t len = 0;

	if (cyaml_save_data(&text, &len, config(&c, NULL), schema, data, 0) != CYAML_OK)
		return ERR_CONFIG;
	int err = buf_add(out, text, len);
	cyaml_mem(NULL, text, 0);
	return err;
}
