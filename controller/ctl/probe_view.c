/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/ctl/probe_view.h"

#include <inttypes.h>
#include <string.h>

static const char *named(const char *node)
{
	return *node ? node : "somebody";
}

static double ms(int64_t us)
{
	return (double)us / 1000;
}

static double ratio(uint64_t part, uint64_t all)
{
	return all ? (double)part / (double)all : 0;
}

void probe_event_text(const struct probe_event *e, char *buf, size_t size)
{
	switch (e->kind) {
	case PROBE_OUTAGE_START:
		snprintf(buf, size, "no answer: %s", e->error);
		break;
	case PROBE_OUTAGE_END:
		if (e->gap_us)
			snprintf(buf, size, "%s answers after %.0f ms, %" PRIu64 " lost", named(e->to),
				 ms(e->gap_us), e->lost);
		else
			snprintf(buf, size, "%s answers; %" PRIu64 " lost before", named(e->to), e->lost);
		break;
	case PROBE_SWITCH:
		snprintf(buf, size, "%s -> %s: switched in %.0f ms, %" PRIu64 " lost", named(e->from),
			 named(e->to), ms(e->gap_us), e->lost);
	}
}

json_t *probe_event_json(const struct probe_event *e)
{
	static const char *const kinds[] = { "outage.start", "outage.end", "switch" };
	json_t *j = json_pack("{s:s, s:s, s:s}", "event", kinds[e->kind], "from", e->from, "to", e->to);

	if (e->kind == PROBE_OUTAGE_START)
		json_object_set_new(j, "error", json_string(e->error));
	else
		json_object_update_new(
			j, json_pack("{s:f, s:I}", "gap_ms", ms(e->gap_us), "lost", (json_int_t)e->lost));
	return j;
}

json_t *probe_json(const char *target, const struct probe_stats *s)
{
	json_t *by = json_array();

	for (size_t i = 0; i < s->n_nodes; i++) {
		const struct probe_node *n = &s->nodes[i];
		json_array_append_new(by, json_pack("{s:s, s:I, s:f, s:f, s:f}", "node", n->name, "answers",
						    (json_int_t)n->answers, "share",
						    ratio(n->answers, s->sent - s->lost), "p50_ms",
						    ms(probe_percentile_us(n, 0.5)), "p99_ms",
						    ms(probe_percentile_us(n, 0.99))));
	}
	return json_pack("{s:s, s:I, s:I, s:f, s:o, s:I, s:f, s:I, s:f, s:s}", "target", target, "sent",
			 (json_int_t)s->sent, "lost", (json_int_t)s->lost, "loss", ratio(s->lost, s->sent),
			 "answered_by", by, "outages", (json_int_t)s->outages, "longest_outage_ms",
			 ms(s->longest_us), "switches", (json_int_t)s->switches, "longest_switch_ms",
			 ms(s->longest_switch_us), "error", s->error);
}

static const struct probe_node *current(const struct probe_stats *s)
{
	for (size_t i = 0; i < s->n_nodes; i++)
		if (strcmp(s->nodes[i].name, probe_current(s)) == 0)
			return &s->nodes[i];
	return NULL;
}

void probe_line(const struct out *o, const char *target, const struct probe_stats *s)
{
	const struct probe_node *n = current(s);

	out_text(o, TINT_NONE, "%s  ", target);
	if (!s->sent)
		out_text(o, TINT_DIM, "asking");
	else if (!n || s->run)
		out_text(o, TINT_BAD, "no answer: %.60s", s->error);
	else
		out_text(o, TINT_GOOD, "%s", named(n->name));
	out_text(o, s->lost ? TINT_WARN : TINT_NONE, "  %" PRIu64 " sent  %" PRIu64 " lost (%.1f%%)", s->sent,
		 s->lost, 100 * ratio(s->lost, s->sent));
	if (n)
		out_text(o, TINT_DIM, "  p50 %.1f ms", ms(probe_percentile_us(n, 0.5)));
}

static void who_table(const struct out *o, const struct probe_stats *s)
{
	static const char *const titles[] = {
		"ANSWERED BY", ">ANSWERS", ">SHARE", ">P50 MS", ">P99 MS", NULL
	};
	auto_table *t = table_new(titles);

	for (size_t i = 0; i < s->n_nodes; i++) {
		const struct probe_node *n = &s->nodes[i];
		table_add(t, TINT_BOLD, "%s", named(n->name));
		table_add(t, TINT_NONE, "%" PRIu64, n->answers);
		table_add(t, TINT_NONE, "%.1f%%", 100 * ratio(n->answers, s->sent - s->lost));
		table_add(t, TINT_NONE, "%.1f", ms(probe_percentile_us(n, 0.5)));
		table_add(t, TINT_NONE, "%.1f", ms(probe_percentile_us(n, 0.99)));
	}
	if (table_rows(t))
		table_print(t, o, 2);
}

void probe_summary(const struct out *o, const char *target, const struct probe_stats *s)
{
	out_text(o, TINT_BOLD, "%s", target);
	out_text(o, s->lost ? TINT_BAD : TINT_GOOD, "  %" PRIu64 " sent, %" PRIu64 " lost (%.2f%%)", s->sent,
		 s->lost, 100 * ratio(s->lost, s->sent));
	if (s->outages || s->run)
		out_text(o, TINT_NONE, "; outages: %" PRIu64 "%s, the longest %.0f ms", s->outages,
			 s->run ? " and one still on" : "", ms(s->longest_us));
	if (s->switches)
		out_text(o, TINT_NONE, "; switched %" PRIu64 " time%s, in at most %.0f ms", s->switches,
			 s->switches == 1 ? "" : "s", ms(s->longest_switch_us));
	fputc('\n', o->f);
	who_table(o, s);
}

/* -- metrics ------------------------------------------------------------------------------------------ */

static double sent(const struct probe_stats *s)
{
	return (double)s->sent;
}

static double lost(const struct probe_stats *s)
{
	return (double)s->lost;
}

static double outages(const struct probe_stats *s)
{
	return (double)s->outages;
}

static double switches(const struct probe_stats *s)
{
	return (double)s->switches;
}

static double up(const struct probe_stats *s)
{
	return s->sent && !s->run;
}

static double longest(const struct probe_stats *s)
{
	return (double)s->longest_us / 1e6;
}

static const struct {
	const char *name, *type, *help;
	double (*value)(const struct probe_stats *s);
} rows[] = {
	{ "sluice_probe_sent_total", "counter", "Attempts.", sent },
	{ "sluice_probe_lost_total", "counter", "Attempts without an answer.", lost },
	{ "sluice_probe_outages_total", "counter", "Runs of lost attempts that ended.", outages },
	{ "sluice_probe_switches_total", "counter", "Times another node took over.", switches },
	{ "sluice_probe_up", "gauge", "The newest attempt was answered.", up },
	{ "sluice_probe_longest_outage_seconds", "gauge", "Since the probe started.", longest },
};

void probe_metrics(const char *const *targets, const struct probe_stats *s, size_t n, struct buf *out)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[i].name, rows[i].help, rows[i].name,
			 rows[i].type);
		for (size_t t = 0; t < n; t++)
			buf_addf(out, "%s{target=\"%s\"} %.15g\n", rows[i].name, targets[t],
				 rows[i].value(&s[t]));
	}
	buf_adds(out, "# HELP sluice_probe_answers_total Answers by who gave them.\n"
		      "# TYPE sluice_probe_answers_total counter\n");
	for (size_t t = 0; t < n; t++)
		for (size_t k = 0; k < s[t].n_nodes; k++)
			buf_addf(out, "sluice_probe_answers_total{target=\"%s\",node=\"%s\"} %" PRIu64 "\n",
				 targets[t], s[t].nodes[k].name, s[t].nodes[k].answers);
}
