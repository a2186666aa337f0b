/* SPDX-License-Identifier: Apache-2.0
 * agent/frr/diff and command. A table walks every (seen, wanted, held) pair; random worlds are typed into a
 * small model of bgpd that prints its configuration as FRR does, so diff, command and parse meet. The model
 * also watches what must never happen on the way: an edited map in use, a withdrawal between two states. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/frr/command.h"
#include "proto/base/mono.h"

#define ASN	 64500
#define PREFIXES 8

static struct prefix pfx(const char *s)
{
	struct prefix p;

	assert_int_equal(prefix_parse(s, &p, NULL), 0);
	return p;
}

static const char *const prefixes[PREFIXES] = {
	/* sorted, as diff_make wants them */
	"198.18.0.0/24",   "198.18.0.0/25",   "198.18.1.0/24",	 "203.0.113.7/32",
	"2001:db8::1/128", "2001:db8:1::/48", "2001:db8:1::/64", "2001:db8:2::/48",
};

/* -- a model of bgpd's configuration -- */

struct world {
	struct {
		char name[MAP_NAME_LEN];
		char sets[512]; /* as printed */
	} maps[64];
	size_t n_maps;
	struct {
		bool on;
		char map[MAP_NAME_LEN];
		char more[32];
	} nets[PREFIXES];
	int map, afi; /* where the session is; -1: nowhere */
	bool conf;
	unsigned withdrawn, changed;
};

static int world_map(const struct world *w, const char *name)
{
	for (size_t i = 0; i < w->n_maps; i++)
		if (!strcmp(w->maps[i].name, name))
			return (int)i;
	return -1;
}

static bool world_uses(const struct world *w, const char *name)
{
	for (size_t i = 0; i < PREFIXES; i++)
		if (w->nets[i].on && !strcmp(w->nets[i].map, name))
			return true;
	return false;
}

static int world_net(const char *prefix)
{
	for (int i = 0; i < PREFIXES; i++)
		if (!strcmp(prefixes[i], prefix))
			return i;
	fail_msg("a line for an unknown prefix %s", prefix);
	return -1;
}

static void world_add_map(struct world *w, const char *name, const char *sets)
{
	assert_true(w->n_maps < ARRAY_LEN(w->maps));
	snprintf(w->maps[w->n_maps].name, MAP_NAME_LEN, "%s", name);
	snprintf(w->maps[w->n_maps++].sets, 512, "%s", sets);
}

static void type_map(struct world *w, const char *name)
{
	assert_int_equal(world_map(w, name), -1); /* made new, never entered again */
	assert_false(world_uses(w, name));	  /* and nobody points at it yet */
	world_add_map(w, name, "");
	w->map = (int)w->n_maps - 1;
	w->afi = -1;
}

static void type_drop(struct world *w, const char *name)
{
	int i = world_map(w, name);

	assert_true(i >= 0);
	assert_false(world_uses(w, name));
	assert_true(!strncmp(name, MAP_PREFIX, strlen(MAP_PREFIX)));
	w->maps[i] = w->maps[--w->n_maps];
}

static void type_network(struct world *w, const char *prefix, const char *map)
{
	int i = world_net(prefix);

	assert_int_equal(w->afi, strchr(prefix, ':') ? AFI_V6 : AFI_V4);
	assert_true(world_map(w, map) >= 0); /* a missing map would withdraw it */
	w->changed++;
	w->nets[i].on = true;
	w->nets[i].more[0] = 0;
	snprintf(w->nets[i].map, MAP_NAME_LEN, "%s", map);
}

static void type_set(struct world *w, const char *line)
{
	char *sets = w->maps[w->map].sets;
	size_t n = strlen(sets);

	snprintf(sets + n, 512 - n, " %s\n", line);
}

static void world_type(struct world *w, const char *line)
{
	char a[MAP_NAME_LEN], b[MAP_NAME_LEN];

	if (!strcmp(line, "configure terminal"))
		w->conf = true;
	else if (!w->conf)
		fail_msg("\"%s\" outside configure", line);
	else if (!strcmp(line, "end"))
		w->conf = false;
	else if (!strcmp(line, "router bgp"))
		w->afi = w->map = -1;
	else if (!strcmp(line, "address-family ipv4 unicast"))
		w->afi = AFI_V4;
	else if (!strcmp(line, "address-family ipv6 unicast"))
		w->afi = AFI_V6;
	else if (sscanf(line, "route-map %127s permit 10", a) == 1)
		type_map(w, a);
	else if (!strncmp(line, "set ", 4) && w->map >= 0)
		type_set(w, line);
	else if (sscanf(line, "no route-map %127s", a) == 1)
		type_drop(w, a);
	else if (sscanf(line, "network %127s route-map %127s", a, b) == 2)
		type_network(w, a, b);
	else if (sscanf(line, "no network %127s", a) == 1) {
		w->withdrawn++;
		w->nets[world_net(a)].on = false;
	} else
		fail_msg("unexpected line \"%s\"", line);
}

static char *world_print(const struct world *w)
{
	struct buf b = { 0 };

	buf_addf(&b, "frr version 8.4.4\nrouter bgp %d\n", ASN);
	for (int afi = 0; afi < AFI_COUNT; afi++) {
		buf_addf(&b, " address-family %s unicast\n", afi == AFI_V4 ? "ipv4" : "ipv6");
		for (size_t i = 0; i < PREFIXES; i++) {
			if (!w->nets[i].on || (strchr(prefixes[i], ':') != NULL) != (afi == AFI_V6))
				continue;
			buf_addf(&b, "  network %s%s", prefixes[i], w->nets[i].more);
			if (w->nets[i].map[0])
				buf_addf(&b, " route-map %s", w->nets[i].map);
			buf_adds(&b, "\n");
		}
		buf_adds(&b, " exit-address-family\n");
	}
	buf_adds(&b, "exit\n!\n");
	for (size_t i = 0; i < w->n_maps; i++)
		buf_addf(&b, "route-map %s permit 10\n%sexit\n!\n", w->maps[i].name, w->maps[i].sets);
	return b.data;
}

static void world_see(const struct world *w, struct frr_config *ret)
{
	auto_free char *text = world_print(w);

	assert_int_equal(parse_config(text, ret), 0);
}

static void world_apply(struct world *w, const struct diff *d)
{
	struct command_list l;

	command_build(d, ASN, 1, &l);
	w->map = w->afi = -1;
	for (size_t i = 0; i < l.n; i++)
		world_type(w, l.commands[i].line);
	assert_false(w->conf);
	command_list_done(&l);
}

/* -- every pair -- */

static struct route_attrs attrs_one(void)
{
	return (struct route_attrs){ .prepends = 1, .communities = { "64500:80" }, .n_communities = 1 };
}

#define SETS_ONE " set as-path prepend 64500\n set community 64500:80\n"

enum seen { ABSENT, PLAIN, RIGHT, OTHER_MAP, EDITED, MISSING, FOREIGN, ODD, SEEN_COUNT };
enum wanted { NOBODY, WITHDRAWN, ANNOUNCED, WANTED_COUNT };

static void world_seen(struct world *w, enum seen seen)
{
	*w = (struct world){ .afi = -1, .map = -1 };
	world_add_map(w, "FOREIGN", " set metric 7\n");
	w->nets[1].on = true; /* somebody else's, all along */
	strcpy(w->nets[1].map, "FOREIGN");
	w->nets[0].on = seen != ABSENT;
	static const char *const map[SEEN_COUNT] = { "",	   "",		 "SLUICE-r-A", "SLUICE-o-A",
						     "SLUICE-e-A", "SLUICE-m-A", "FOREIGN",    "SLUICE-r-A" };
	strcpy(w->nets[0].map, map[seen]);
	if (seen == RIGHT || seen == ODD)
		world_add_map(w, map[seen], SETS_ONE);
	if (seen == OTHER_MAP)
		world_add_map(w, map[seen], " set community 64500:90\n");
	if (seen == EDITED)
		world_add_map(w, map[seen], SETS_ONE " set metric 1\n");
	if (seen == ODD)
		strcpy(w->nets[0].more, " label-index 5");
}

static void every_pair(void **state)
{
	/* steps as letters: U unset, M map, S set, D drop */
	static const char *const expected[SEEN_COUNT][WANTED_COUNT] = {
		[ABSENT] = { "", "", "MS" },	[PLAIN] = { "", "U", "MS" },
		[RIGHT] = { "", "UD", "" },	[OTHER_MAP] = { "", "UD", "MSD" },
		[EDITED] = { "", "UD", "MSD" }, [MISSING] = { "", "U", "MS" },
		[FOREIGN] = { "", "U", "MS" },	[ODD] = { "", "UD", "MSD" },
	};

	(void)state;
	for (int s = 0; s < SEEN_COUNT; s++)
		for (int want = 0; want < WANTED_COUNT; want++)
			for (int held = 0; held < 2; held++) {
				struct world w;
				struct frr_config c;
				struct diff d;
				char got[16] = "";
				const bool hold[1] = { held };
				struct route_want r = { .prefix = pfx(prefixes[0]), .attrs = attrs_one() };
				world_seen(&w, (enum seen)s);
				world_see(&w, &c);
				r.announced = want == ANNOUNCED;
				diff_make(&c, &r, want != NOBODY, hold, &d);
				for (size_t i = 0; i < d.n; i++)
					got[i] = "UMSD"[d.steps[i].kind];
				const char *must = held ? "" : expected[s][want];
				if (strcmp(got, must))
					fail_msg("seen %d wanted %d held %d: \"%s\", not \"%s\"", s, want,
						 held, got, must);
				world_apply(&w, &d);
				diff_done(&d);
				frr_config_done(&c);
				assert_true(w.nets[1].on && !strcmp(w.nets[1].map, "FOREIGN"));
				assert_true(world_map(&w, "FOREIGN") >= 0);
			}
}

/* A right map under any right name is used as it is; with a name that is not of its attributes it is not. */
static void adopts_map(void **state)
{
	struct world w = { .afi = -1, .map = -1 };
	struct route_want r[2] = { { .prefix = pfx(prefixes[0]), .announced = true, .attrs = attrs_one() },
				   { .prefix = pfx(prefixes[2]), .announced = true, .attrs = attrs_one() } };
	struct frr_config c;
	struct diff d;

	(void)state;
	world_see(&w, &c);
	diff_make(&c, r, 1, NULL, &d);
	assert_int_equal(d.n, 2);
	world_apply(&w, &d);
	diff_done(&d);
	frr_config_done(&c);
	world_see(&w, &c);
	diff_make(&c, r, 2, NULL, &d);
	assert_int_equal(d.n, 1); /* the second shares the map */
	assert_int_equal(d.steps[0].kind, STEP_SET);
	assert_true(d.steps[0].fresh);
	world_apply(&w, &d);
	assert_string_equal(w.nets[0].map, w.nets[2].map);
	diff_done(&d);
	frr_config_done(&c);
}

/* -- random worlds -- */

static uint64_t rng;
static unsigned roll(unsigned n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (unsigned)(rng % n);
}

static struct route_attrs random_attrs(void)
{
	static const char *const comm[] = { "64500:80", "65535:0", "65535:666", "1:1" };
	static const char *const large[] = { "64500:1:2", "1:2:3" };
	struct route_attrs a = { .prepends = roll(3), .bandwidth_mbps = roll(2) * 30 };

	for (unsigned n = roll(3); n; n--)
		strcpy(a.communities[a.n_communities++], comm[roll(ARRAY_LEN(comm))]);
	if (roll(3) == 0)
		strcpy(a.large[a.n_large++], large[roll(ARRAY_LEN(large))]);
	assert_int_equal(route_attrs_normalise(&a, NULL), 0);
	return a;
}

/* What a person at vtysh may do. */
static void vandalise(struct world *w)
{
	static const char *const sets[] = { " set metric 5\n", " set community 1:1\n", " match tag 3\n", "" };
	size_t i = roll(PREFIXES);

	switch (roll(6)) {
	case 0:
		w->nets[i].on = false;
		break;
	case 1:
		if (w->n_maps)
			strcpy(w->maps[roll((unsigned)w->n_maps)].sets, sets[roll(ARRAY_LEN(sets))]);
		break;
	case 2:
		if (w->n_maps)
			w->maps[roll((unsigned)w->n_maps)] = w->maps[w->n_maps - 1], w->n_maps--;
		break;
	case 3:
		w->nets[i].on = true;
		w->nets[i].map[0] = 0;
		break;
	case 4:
		if (world_map(w, "FOREIGN") < 0)
			world_add_map(w, "FOREIGN", " set metric 9\n");
		w->nets[i].on = true;
		strcpy(w->nets[i].map, "FOREIGN");
		break;
	case 5:
		if (world_map(w, "SLUICE-hand-A") < 0)
			world_add_map(w, "SLUICE-hand-A", sets[roll(ARRAY_LEN(sets))]);
		break;
	}
}

static size_t random_wants(struct route_want *r)
{
	size_t n = 0;

	for (size_t i = 0; i < PREFIXES; i++) {
		if (roll(4) == 0)
			continue;
		r[n] = (struct route_want){ .prefix = pfx(prefixes[i]), .announced = roll(4) != 0 };
		if (r[n].announced)
			r[n].attrs = random_attrs();
		n++;
	}
	return n;
}

static int index_of(const struct prefix *p)
{
	char text[PREFIX_STRLEN];

	return world_net(prefix_str(p, text));
}

static void check_round(const struct world *before, const struct world *after, const struct route_want *r,
			size_t n, const bool *held)
{
	bool named[PREFIXES] = { 0 };
	unsigned leaving = 0;
	struct frr_config c;
	struct diff again;

	world_see(after, &c);
	for (size_t i = 0; i < n; i++) {
		int k = index_of(&r[i].prefix);
		named[k] = !held[i];
		if (!held[i])
			assert_true(diff_matches(&c, &r[i]));
		leaving += !held[i] && !r[i].announced && before->nets[k].on;
	}
	assert_int_equal(after->withdrawn - before->withdrawn,
			 leaving); /* no withdrawal but the wanted ones */
	for (size_t i = 0; i < PREFIXES; i++)
		if (!named[i])
			assert_memory_equal(&before->nets[i], &after->nets[i], sizeof(before->nets[i]));
	diff_make(&c, r, n, held, &again);
	for (size_t i = 0; i < again.n; i++)
		print_message("left over: step kind %d of %s\n", again.steps[i].kind, again.steps[i].map);
	assert_int_equal(again.n, 0);
	diff_done(&again);
	for (size_t i = 0; n && i < c.n_maps; i++)
		assert_true(c.maps[i].held || world_uses(after, c.maps[i].name));
	int was = world_map(before, "FOREIGN"), is = world_map(after, "FOREIGN");
	assert_int_equal(was < 0, is < 0);
	if (was >= 0)
		assert_string_equal(before->maps[was].sets, after->maps[is].sets);
	frr_config_done(&c);
}

static void random_worlds(void **state)
{
	struct world w = { .afi = -1, .map = -1 };
	const char *seed = getenv("SEED");

	(void)state;
	rng = seed ? strtoull(seed, NULL, 10) : (uint64_t)mono_now().us | 1;
	print_message("SEED=%llu\n", (unsigned long long)rng);
	for (int round = 0; round < 5000; round++) {
		struct route_want r[PREFIXES];
		bool held[PREFIXES];
		struct frr_config c;
		struct diff d;
		size_t n = random_wants(r);

		for (unsigned k = roll(4); k; k--)
			vandalise(&w);
		for (size_t i = 0; i < PREFIXES; i++)
			held[i] = roll(5) == 0;
		struct world before = w;
		world_see(&w, &c);
		diff_make(&c, r, n, held, &d);
		world_apply(&w, &d);
		check_round(&before, &w, r, n, held);
		diff_done(&d);
		frr_config_done(&c);
	}
}

/* -- lines -- */

static void exact_lines(void **state)
{
	struct route_attrs a = { .prepends = 2,
				 .bandwidth_mbps = 30,
				 .communities = { "64500:80", "65535:0" },
				 .n_communities = 2,
				 .large = { "64500:1:2" },
				 .n_large = 1 };
	struct step s[] = { { .kind = STEP_UNSET, .prefix = pfx("198.18.2.0/24") },
			    { .kind = STEP_MAP, .map = "SLUICE-x-A", .attrs = &a },
			    { .kind = STEP_SET, .prefix = pfx("198.18.1.0/24"), .map = "SLUICE-x-A" },
			    { .kind = STEP_SET, .prefix = pfx("2001:db8:1::/48"), .map = "SLUICE-x-A" },
			    { .kind = STEP_DROP, .map = "SLUICE-y-A" } };
	static const struct {
		const char *line;
		size_t step;
	} must[] = {
		{ "configure terminal", COMMAND_SESSION },
		{ "router bgp", COMMAND_SESSION },
		{ "address-family ipv4 unicast", COMMAND_SESSION },
		{ "no network 198.18.2.0/24", 0 },
		{ "route-map SLUICE-x-A permit 10", 1 },
		{ "set as-path prepend 64500 64500", 1 },
		{ "set community 64500:80 65535:0", 1 },
		{ "set large-community 64500:1:2", 1 },
		{ "set extcommunity bandwidth 30", 1 },
		{ "router bgp", COMMAND_SESSION },
		{ "address-family ipv4 unicast", COMMAND_SESSION },
		{ "network 198.18.1.0/24 route-map SLUICE-x-A", 2 },
		{ "address-family ipv6 unicast", COMMAND_SESSION },
		{ "network 2001:db8:1::/48 route-map SLUICE-x-A", 3 },
		{ "no route-map SLUICE-y-A", 4 },
		{ "end", COMMAND_SESSION },
	};
	struct diff d = { .steps = s, .n = ARRAY_LEN(s) };
	struct command_list l;

	(void)state;
	command_build(&d, ASN, 1, &l);
	assert_int_equal(l.n, ARRAY_LEN(must));
	for (size_t i = 0; i < l.n; i++) {
		assert_string_equal(l.commands[i].line, must[i].line);
		assert_int_equal(l.commands[i].step, must[i].step);
	}
	command_list_done(&l);
	command_build(&d, ASN, 2, &l); /* a vrf beside it: the AS must be named */
	assert_string_equal(l.commands[1].line, "router bgp 64500");
	command_list_done(&l);
	d.n = 0;
	command_build(&d, ASN, 1, &l);
	assert_int_equal(l.n, 0);
	command_list_done(&l);
}

static void verdicts(void **state)
{
	struct step unset = { .kind = STEP_UNSET }, set = { .kind = STEP_SET };

	(void)state;
	assert_int_equal(command_verdict(&set, 0, ""), VERDICT_OK);
	assert_int_equal(command_verdict(&set, 13, "% Malformed communities attribute 'foo'\n"),
			 VERDICT_REFUSED);
	/* 8.4.4 says this with status 0 */
	assert_int_equal(command_verdict(&set, 0, "% [BGP] Argument form is unsupported or malformed.\n"),
			 VERDICT_REFUSED);
	assert_int_equal(command_verdict(&unset, 13, "% Can't find static route specified\n"), VERDICT_OK);
	assert_int_equal(command_verdict(&set, 13, "% Can't find static route specified\n"), VERDICT_REFUSED);
	assert_int_equal(command_verdict(NULL, 2, "% Unknown command"), VERDICT_REFUSED);
}

static void questions(void **state)
{
	char line[COMMAND_LEN];
	struct prefix p = pfx("2001:db8:1::/48");

	(void)state;
	command_show_path(&p, line);
	assert_string_equal(line, "show bgp ipv6 unicast 2001:db8:1::/48 json");
	assert_true(command_show_advertised(AFI_V4, "10.0.0.2", line));
	assert_string_equal(line, "show bgp ipv4 unicast neighbors 10.0.0.2 advertised-routes json");
	assert_true(command_show_advertised(AFI_V6, "eth0.100", line));
	assert_false(command_show_advertised(AFI_V6, "", line));
	assert_false(command_show_advertised(AFI_V6, "a b", line));
	assert_false(command_show_advertised(AFI_V6, "a\nend", line));
	assert_false(command_show_advertised(AFI_V6, "a?", line));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair),  cmocka_unit_test(adopts_map), cmocka_unit_test(random_worlds),
		cmocka_unit_test(exact_lines), cmocka_unit_test(verdicts),   cmocka_unit_test(questions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
