/* SPDX-License-Identifier: Apache-2.0
 * The file is read once, walked (conf_walk.h: what libcyaml would take in silence, or report at the place
 * before), then loaded. libcyaml reports an error as a message and a backtrace ("in mapping field 'x'
 * (line: 3, column: 5)"): the first message and the innermost position become one line. */
#include "proto/base/conf.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "proto/base/conf_walk.h"
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

static int read_file(const char *path, struct buf *out)
{
	auto_fclose FILE *f = fopen(path, "re");
	char block[16384];
	size_t n;
	int err = f ? 0 : -errno;

	while (!err && (n = fread(block, 1, sizeof(block), f)) > 0)
		err = buf_add(out, block, n);
	return err ? err : ferror(f) ? -errno : 0;
}

static int load(const char *path, const struct buf *text, const cyaml_schema_value_t *schema, void **ret_data,
		char *ret_why)
{
	struct trouble t = { 0 };
	cyaml_config_t c;
	cyaml_data_t *data = NULL;
	cyaml_err_t err =
		cyaml_load_data((const uint8_t *)text->data, text->len, config(&c, &t), schema, &data, NULL);

	if (err == CYAML_OK && data) {
		*ret_data = data;
		return 0;
	}
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

int conf_load(const char *path, const cyaml_schema_value_t *schema, void **ret_data, char *ret_why)
{
	char why[CONF_WHY_LEN];
	auto_buf text = { .max = CONF_BYTES_MAX };
	int err = read_file(path, &text);

	if (err) {
		snprintf(ret_why, CONF_WHY_LEN, "%s: %s", path,
			 err == ERR_LIMIT ? "larger than " CONF_BYTES_TEXT : strerror(-err));
		return err;
	}
	if (!text.len) {
		snprintf(ret_why, CONF_WHY_LEN, "%s: the file is empty", path);
		return ERR_CONFIG;
	}
	err = conf_walk(text.data, text.len, schema, why, sizeof(why));
	if (err) {
		snprintf(ret_why, CONF_WHY_LEN, "%s: %.900s", path, why);
		return err;
	}
	return load(path, &text, schema, ret_data, ret_why);
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
