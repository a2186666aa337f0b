/* SPDX-License-Identifier: Apache-2.0
 * A tabletop's pure parts: what of a cluster a request says is lost, and what the runs came to in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "controller/drill/tabletop.h"
#include "controller/observe.h"
#include "controller/sim/live.h"

enum { FRA1, FRA2, AMS1, NODES };
enum { WEB_A, WEB_B, DNS_A, SHARDS };

static struct model m;
static struct live_loss loss;
static bool grants[2 * SHARDS];

static json_t *parse(const char *quoted)
{
	auto_free char *text = xstrdup(quoted);

	for (char *c = text; *c; c++)
		*c = *c == '\'' ? '"' : *c;
	json_t *j = json_loads(text, 0, NULL);
	assert_non_null(j);
	return j;
}

/* clang-format off */
static const char document[] =
	"{'name':'t','sites':["
	"{'name':'fra','nodes':[{'name':'fra1','capacity':{'bps':100000000}},{'name':'fra2','capacity':{'bps':300000000}}]},"
	"{'name':'ams','nodes':[{'name':'ams1','capacity':{'bps':100000000}}]}],"
	"'services':[{'name':'web','shards':["
	"{'name':'web-a','prefixes':['198.18.1.0/24']},{'name':'web-b','prefixes':['198.18.2.0/24']}]},"
	"{'name':'dns','shards':[{'name':'dns-a','prefixes':['198.18.9.0/24']}]}]}";
/* clang-format on */

/* Every node serves web, fra2 and ams1 serve dns. */
static int setup(void **state)
{
	json_auto_t *doc = parse(document), *errors = json_array();
	struct cluster *cl;

	(void)state;
	assert_int_equal(cluster_parse(doc, &cl, errors), 0);
	model_init(&m, cl);
	for (size_t i = 0; i < NODES; i++) {
		struct node_live *n = &m.nodes[i];
		n->report_at = mono_now();
		n->bgp_ok = n->service_up = true;
		for (size_t k = 0; k < SHARDS; k++) {
			struct node_shard *s = &n->shards[k];
			s->announced = s->service_up = k != DNS_A || i != FRA1;
			s->lo[RES_BPS] = s->hi[RES_BPS] = s->announced ? 1e6 * (double)(i + 1) : 0;
		}
	}
	observe_sum(&m, mono_now());
	memset(grants, true, sizeof(grants));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	live_loss_done(&loss);
	model_done(&m);
	return 0;
}

static void find(const char *site, const char *node, const char *service, const char *shard)
{
	struct drill_spec s = { 0 };

	snprintf(s.site, NAME_LEN, "%s", site);
	snprintf(s.node, NAME_LEN, "%s", node);
	snprintf(s.service, NAME_LEN, "%s", service);
	snprintf(s.shard, NAME_LEN, "%s", shard);
	live_loss_done(&loss);
	loss_find(&m, &s, grants, &loss);
}

static void assert_fates(enum live_fate web_a, enum live_fate web_b, enum live_fate dns_a)
{
	assert_int_equal(loss.fate[WEB_A], web_a);
	assert_int_equal(loss.fate[WEB_B], web_b);
	assert_int_equal(loss.fate[DNS_A], dns_a);
}

static void test_a_site(void **state)
{
	(void)state;
	find("ams", "", "", "");
	assert_true(loss.dark && loss.site == 1);
	assert_fates(FATE_KEPT, FATE_KEPT, FATE_KEPT);
	/* a node that is alone takes the site with it; so does one whose neighbour serves nothing */
	find("", "ams1", "", "");
	assert_true(loss.dark && loss.site == 1);
	m.nodes[FRA1].service_up = false;
	find("", "fra2", "", "");
	assert_true(loss.dark && loss.site == 0);
}

static void test_a_node_among_others(void **state)
{
	(void)state;
	find("", "fra2", "", "");
	assert_false(loss.dark);
	assert_true(loss.silent);
	assert_float_equal(loss.gone[RES_BPS], 300e6, 1);
	assert_float_equal(loss.blind[RES_BPS], 0, 1);
	assert_float_equal(loss.frozen[WEB_A], 2e6, 1);
	assert_fates(FATE_KEPT, FATE_KEPT, FATE_KEPT);
}

static void test_a_service_at_a_site(void **state)
{
	(void)state;
	find("fra", "", "web", "");
	assert_false(loss.dark || loss.silent);
	assert_fates(FATE_GONE, FATE_GONE, FATE_KEPT);
	/* both nodes run it: to the controller nobody there is in service */
	assert_true(loss.blind_all);
	assert_float_equal(loss.blind[RES_BPS], 400e6, 1);
	assert_float_equal(loss.gone[RES_BPS], 0, 1);
	/* dns is on one of them only */
	find("fra", "", "dns", "");
	assert_fates(FATE_KEPT, FATE_KEPT, FATE_GONE);
	assert_false(loss.blind_all);
	assert_float_equal(loss.blind[RES_BPS], 300e6, 1);
}

static void test_a_shard_without_a_permit(void **state)
{
	(void)state;
	grants[0 * SHARDS + WEB_B] = false;
	find("fra", "", "", "web-b");
	assert_fates(FATE_KEPT, FATE_STAYS, FATE_KEPT);
	find("fra", "", "web", "");
	assert_fates(FATE_GONE, FATE_STAYS, FATE_KEPT);
}

static void test_a_service_at_a_node(void **state)
{
	(void)state;
	find("", "fra1", "web", "");
	assert_fates(FATE_THIN, FATE_THIN, FATE_KEPT);
	assert_float_equal(loss.thin[RES_BPS], 100e6, 1);
	assert_float_equal(loss.blind[RES_BPS], 100e6, 1);
	/* alone with it */
	find("", "fra2", "dns", "");
	assert_fates(FATE_KEPT, FATE_KEPT, FATE_GONE);
}

/* -- the verdict ------------------------------------------------------------------------------------------
 */

/* As a good run leaves it. */
static json_t *good(const char *mode, const char *judged)
{
	json_t *j = json_pack("{s:s, s:s, s:i, s:i, s:i, s:[]}", "mode", mode, "judged", judged, "runs", 7,
			      "simulated_s", 900, "took_ms", 1234, "moves");
	static const char *const who[] = { "steered", "unsteered" }, *const which[] = { "median", "worst" };

	for (size_t i = 0; i < ARRAY_LEN(who); i++) {
		json_t *o = json_object();
		for (size_t k = 0; k < ARRAY_LEN(which); k++)
			json_object_set_new(
				o, which[k],
				parse("{'served_before':1.0,'served':0.997,'late':0.003,'dropped':0.0,"
				      "'dead':0.0,'hottest':'fra','peak_util':0.71,'hottest_end':"
				      "'fra','end_util':0.66,'end_util_before':0.5,'overloaded_s':"
				      "null,'relief_s':null,'answered_s':12,'changes':2,'held_s':0,"
				      "'held_why':'','held_end':false}"));
		json_object_set_new(j, who[i], o);
	}
	return j;
}

static void assert_judged(const json_t *t, const char *word, const char *reason)
{
	json_auto_t *reasons = json_array();
	const char *got = tabletop_verdict(t, reasons);
	auto_free char *text = json_dumps(reasons, 0);

	if (strcmp(got, word) != 0 || !strstr(text, reason))
		fail_msg("%s, %s: not %s, %s", got, text, word, reason);
}

static void test_the_verdict(void **state)
{
	static const struct {
		const char *mode, *judged, *change, *who, *which, *word, *reason;
	} rows[] = {
		{ "steer", "steered", "{}", "steered", "median", "passed",
		  "answered after 12 s with 2 changes" },
		{ "steer", "steered", "{'answered_s':null,'changes':0}", "steered", "median", "passed",
		  "nothing to order" },
		{ "steer", "steered", "{'dropped':0.02}", "steered", "median", "failed", "2.00 % dropped" },
		{ "steer", "steered", "{'dropped':0.005}", "steered", "worst", "passed", "(0.50 %)" },
		{ "steer", "steered", "{'dropped':0.05}", "steered", "worst", "failed", "(5.00 %)" },
		/* dropped before it already */
		{ "steer", "steered", "{'dropped':0.02,'served_before':0.98}", "steered", "median", "passed",
		  "2.00 % dropped" },
		{ "steer", "steered", "{'dead':0.01}", "steered", "median", "failed", "want of a permit" },
		{ "steer", "steered", "{'end_util':0.9}", "steered", "median", "failed",
		  "fra would stay at 90 %" },
		{ "steer", "steered", "{'end_util':0.9,'end_util_before':0.9}", "steered", "median", "passed",
		  "" },
		{ "steer", "steered", "{'held_s':30,'held_why':'I6: no'}", "steered", "median", "passed",
		  "held back for 30 s: I6: no" },
		{ "steer", "steered", "{'held_s':30,'held_end':true}", "steered", "median", "failed",
		  "to the end" },
		{ "steer", "steered", "{'overloaded_s':5,'relief_s':40}", "steered", "median", "passed",
		  "no site was full after 40 s" },
		{ "steer", "steered", "{'dropped':0.3}", "unsteered", "median", "passed", "" },
		{ "observe", "unsteered", "{'dropped':0.3}", "unsteered", "median", "failed",
		  "mode is observe: nobody would answer" },
		{ "freeze", "unsteered", "{'dropped':0.3}", "steered", "median", "passed",
		  "mode is freeze: nobody would answer" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_auto_t *t = good(rows[i].mode, rows[i].judged), *change = parse(rows[i].change);
		json_object_update(json_object_get(json_object_get(t, rows[i].who), rows[i].which), change);
		assert_judged(t, rows[i].word, rows[i].reason);
	}
	assert_judged(NULL, "failed", "did not come to its end");
	json_auto_t *none = json_null();
	assert_judged(none, "failed", "did not come to its end");
}

static void test_its_part_of_the_report(void **state)
{
	json_auto_t *t = good("steer", "steered");
	auto_buf html = { 0 }, md = { 0 };

	(void)state;
	json_array_append_new(json_object_get(t, "moves"),
			      json_pack("{s:i, s:s, s:s, s:s, s:s, s:s}", "t_s", 12, "site", "<b>fra",
					"shard", "web-a", "from", "normal", "to", "prepend1", "why",
					"a & b"));
	tabletop_html(t, &html);
	tabletop_markdown(t, &md);
	assert_non_null(strstr(html.data,
			       "<tr><td>12 s<td>web-a<td>&lt;b&gt;fra<td>normal<td>prepend1<td>a &amp; b"));
	assert_non_null(strstr(md.data, "| first change after | 12 s | 12 s | 12 s | 12 s |"));
	assert_non_null(strstr(md.data, "* after 12 s: web-a at "));
	assert_null(strstr(md.data, " <b>"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_a_site),
		T(test_a_node_among_others),
		T(test_a_service_at_a_site),
		T(test_a_shard_without_a_permit),
		T(test_a_service_at_a_node),
		T(test_the_verdict),
		T(test_its_part_of_the_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
