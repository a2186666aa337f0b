/* SPDX-License-Identifier: Apache-2.0
 * Reads the present document, shows what would change, and puts the new one with If-Match, so that a
 * change somebody made in between is never overwritten unseen. */
#include <string.h>

#include "controller/ctl/ctl.h"
#include "controller/diff.h"
#include "controller/ctl/file.h"
#include "controller/ctl/yaml.h"
#include "proto/base/mem.h"

struct apply {
	const char *file, *name; /* name: for messages */
	bool dry_run, diff;
	struct buf text;
	json_t *doc, *changes;
};

static int read_document(struct apply *a)
{
	char why[YAML_WHY];
	int err = file_read(a->file, &a->text);

	if (err)
		return ctl_fail("cannot read %s: %s", a->name, file_err(err));
	if (yaml_load(a->text.data ? a->text.data : "", a->text.len, &a->doc, why))
		return ctl_fail("%s:%s", a->name, why);
	if (!json_is_object(a->doc))
		return ctl_fail("%s: this is no cluster document: expected name, sites and services",
				a->file);
	return CTL_OK;
}

/* Each validation error where it stands in the file. */
static int refused(const struct ctl *ctl, const struct apply *a, const struct reply *r)
{
	json_t *errors = json_object_get(r->json, "errors"), *e;
	size_t i, line, col;

	if (r->status == 412)
		return ctl_fail("the document was changed by somebody else just now: look (sluicectl get "
				"cluster -o json) "
				"and apply again");
	if (!json_array_size(errors))
		return ctl_problem(ctl, r);
	json_array_foreach(errors, i, e) {
		const char *pointer = json_string_value(json_object_get(e, "pointer"));
		const char *reason = json_string_value(json_object_get(e, "reason"));

		if (pointer && a->text.data && !yaml_locate(a->text.data, a->text.len, pointer, &line, &col))
			ctl_fail("%s:%zu:%zu: %s: %s", a->name, line, col, *pointer ? pointer : "(document)",
				 reason ? reason : "?");
		else
			ctl_fail("%s: %s: %s", a->name, pointer ? pointer : "?", reason ? reason : "?");
	}
	return ctl_fail("refused with %zu error%s: nothing was changed", i, i == 1 ? "" : "s");
}

static void print_changes(const struct ctl *ctl, json_t *changes)
{
	json_t *c;
	size_t i;

	json_array_foreach(changes, i, c) {
		const char *op = json_string_value(json_object_get(c, "op"));
		json_t *from = json_object_get(c, "from"), *to = json_object_get(c, "to");
		auto_free char *a = from ? json_dumps(from, JSON_ENCODE_ANY | OUT_REALS) : NULL;
		auto_free char *b = to ? json_dumps(to, JSON_ENCODE_ANY | OUT_REALS) : NULL;

		out_text(&ctl->out, from ? (to ? TINT_WARN : TINT_BAD) : TINT_GOOD, "%s %s",
			 !strcmp(op, "add")	 ? "+"
			 : !strcmp(op, "remove") ? "-"
						 : "~",
			 json_string_value(json_object_get(c, "path")));
		out_text(&ctl->out, TINT_NONE, "  %s%s%s", a ? a : "", a && b ? " -> " : "", b ? b : "");
		fputc('\n', ctl->out.f);
	}
}

static int report(const struct ctl *ctl, const struct apply *a)
{
	size_t n = json_array_size(a->changes);
	const char *result = !n ? "unchanged" : a->dry_run ? "valid" : "applied";

	if (ctl->out.format == OUT_JSON) {
		json_auto_t *v = json_pack("{s:s, s:O}", "result", result, "changes", a->changes);
		out_json(&ctl->out, v);
		return CTL_OK;
	}
	if (a->dry_run || a->diff)
		print_changes(ctl, a->changes);
	if (!n)
		fprintf(ctl->out.f, "unchanged\n");
	else if (a->dry_run)
		fprintf(ctl->out.f, "valid: %zu change%s, not applied (--dry-run)\n", n, n == 1 ? "" : "s");
	else
		fprintf(ctl->out.f, "applied: %zu change%s\n", n, n == 1 ? "" : "s");
	return CTL_OK;
}

/* Also when nothing changes and --dry-run: the server's validation is the answer then. */
static int put(struct ctl *ctl, const struct apply *a, const char *etag)
{
	auto_reply r = { 0 };

	int rc = ctl_send(ctl, "PUT", a->dry_run ? "/v1/cluster?dry_run=true" : "/v1/cluster", a->doc, etag,
			  &r);
	if (rc)
		return rc;
	return r.status >= 200 && r.status < 300 ? CTL_OK : refused(ctl, a, &r);
}

static int apply(struct ctl *ctl, struct apply *a)
{
	auto_reply now = { 0 };
	int rc = read_document(a);

	if (!rc)
		rc = ctl_call(ctl, "GET", "/v1/cluster", NULL, &now);
	if (rc)
		return rc;
	a->changes = diff_documents(now.json, a->doc);
	if (a->dry_run || json_array_size(a->changes))
		rc = put(ctl, a, now.etag);
	return rc ? rc : report(ctl, a);
}

static int apply_run(struct ctl *ctl, int argc, char **argv)
{
	struct apply a = { .text = { .max = YAML_BYTES_MAX } };
	const struct opt opts[] = {
		{ 'f', "file", "FILE", "the document, YAML or JSON; - is standard input (required)", OPT_STR,
		  &a.file },
		{ 0, "dry-run", NULL, "validate and show the changes, apply nothing", OPT_FLAG, &a.dry_run },
		{ 0, "diff", NULL, "show the changes", OPT_FLAG, &a.diff },
	};
	int i = ctl_opts_(ctl, opts, argc, argv, 0, 0);

	if (i < 0)
		return ctl->rc;
	if (!a.file)
		return ctl_usage(ctl, "-f FILE is missing");
	a.name = strcmp(a.file, "-") ? a.file : "standard input";
	int rc = apply(ctl, &a);
	buf_done(&a.text);
	json_decref(a.doc);
	json_decref(a.changes);
	return rc;
}

const struct cmd cmd_apply = {
	.name = "apply",
	.args = "-f FILE|- [--dry-run] [--diff]",
	.brief = "Make the cluster document what FILE says",
	.help = "Applying the same file again changes nothing and says 'unchanged'. A document with errors "
		"is refused as\n"
		"a whole; every error is shown with its place in the file and its JSON pointer.",
	.run = apply_run,
};
