/* SPDX-License-Identifier: Apache-2.0
 * sluice-sim: options, the grid of runs (seeds over worker processes), the output. A worker writes its
 * results into shared memory; what is printed does not depend on how many there are. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "controller/sim/output.h"
#include "proto/base/mem.h"

#define SEEDS_MAX 10000
#define JOBS_MAX  64

static const char usage[] =
	"usage: sluice-sim [options]\n"
	"Simulates anycast under load and attack, and compares policies.\n\n"
	"  --scenario NAME[,NAME]|all   what happens (default attack-0.6); --list shows them\n"
	"  --policy NAME[,NAME]|all     absorb,threshold,local,greedy,sluice,oracle (default "
	"absorb,sluice,oracle)\n"
	"  --seeds N                    runs per scenario and policy (default 10)\n"
	"  --first-seed N               (default 1)\n"
	"  --shards K                   anycast prefixes (default 8)\n"
	"  --sites N                    of the synthetic graph, 3..500 (default 6)\n"
	"  --ases N                     of the synthetic graph, 200..200000 (default 1000)\n"
	"  --catchments SHIFT.csv       home,grade,lands,fraction: instead of the synthetic graph\n"
	"  --shares SHARE.csv           home,share: with --catchments\n"
	"  --attack X                   size of the attack, in multiples of all legitimate load\n"
	"  --perturb X                  how far the truth is from the file or the rules (default 1; 0: not)\n"
	"  --json FILE                  write the results\n"
	"  --plot FILE.svg              draw the first seed of the policy sluice (or the only one)\n"
	"  --no-timing                  decide_ms_p99 is 0: output depends on the seed only\n"
	"  --jobs N                     worker processes (default: CPUs)\n"
	"  --explain                    what the engine says, on stderr; one job\n"
	"  --fit                        compare the synthetic graph to published figures and exit\n"
	"  --list, --help, --version\n";

struct options {
	const char *scenario, *policy, *shift, *share, *json, *plot;
	size_t seeds, shards, sites, ases, jobs;
	uint64_t first;
	double attack, perturb;
	bool no_timing, explain, fit;
};

struct grid {
	struct options o;
	struct csv csv;
	struct scenario *scenarios; /* copies: --attack changes them */
	const struct scenario **scenario_ptr;
	const struct player **players;
	size_t n_scenarios, n_players;
	struct result *r; /* shared */
	unsigned *done;	  /* shared: runs finished */
};

__attribute__((format(printf, 1, 2), noreturn)) static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("sluice-sim: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(2);
}

static double number(const char *option, const char *s, double min, double max)
{
	char *end;
	double v = strtod(s, &end);

	if (end == s || *end || !(v >= min && v <= max))
		die("--%s: \"%s\" is not a number from %g to %g", option, s, min, max);
	return v;
}

static size_t whole(const char *option, const char *s, size_t min, size_t max)
{
	double v = number(option, s, (double)min, (double)max);

	if (v != floor(v))
		die("--%s: \"%s\" is not a whole number", option, s);
	return (size_t)v;
}

static void list(void)
{
	for (size_t i = 0; i < scenario_count; i++)
		printf("%s\n", scenario_table[i].name);
	exit(0);
}

enum {
	O_SCENARIO = 256,
	O_POLICY,
	O_SEEDS,
	O_FIRST,
	O_SHARDS,
	O_SITES,
	O_ASES,
	O_SHIFT,
	O_SHARE,
	O_ATTACK,
	O_PERTURB,
	O_JSON,
	O_PLOT,
	O_NO_TIMING,
	O_JOBS,
	O_EXPLAIN,
	O_FIT,
	O_LIST,
	O_HELP,
	O_VERSION
};

static const struct option longs[] = { { "scenario", required_argument, NULL, O_SCENARIO },
				       { "policy", required_argument, NULL, O_POLICY },
				       { "seeds", required_argument, NULL, O_SEEDS },
				       { "first-seed", required_argument, NULL, O_FIRST },
				       { "shards", required_argument, NULL, O_SHARDS },
				       { "sites", required_argument, NULL, O_SITES },
				       { "ases", required_argument, NULL, O_ASES },
				       { "catchments", required_argument, NULL, O_SHIFT },
				       { "shares", required_argument, NULL, O_SHARE },
				       { "attack", required_argument, NULL, O_ATTACK },
				       { "perturb", required_argument, NULL, O_PERTURB },
				       { "json", required_argument, NULL, O_JSON },
				       { "plot", required_argument, NULL, O_PLOT },
				       { "no-timing", no_argument, NULL, O_NO_TIMING },
				       { "jobs", required_argument, NULL, O_JOBS },
				       { "explain", no_argument, NULL, O_EXPLAIN },
				       { "fit", no_argument, NULL, O_FIT },
				       { "list", no_argument, NULL, O_LIST },
				       { "help", no_argument, NULL, O_HELP },
				       { "version", no_argument, NULL, O_VERSION },
				       { 0 } };

/* Those with a number. */
static bool number_option(struct options *o, int c)
{
	switch (c) {
	case O_SEEDS:
		o->seeds = whole("seeds", optarg, 1, SEEDS_MAX);
		return true;
	case O_FIRST:
		o->first = whole("first-seed", optarg, 0, 1u << 30);
		return true;
	case O_SHARDS:
		o->shards = whole("shards", optarg, 1, 256);
		return true;
	case O_SITES:
		o->sites = whole("sites", optarg, 3, CSV_SITES_MAX);
		return true;
	case O_ASES:
		o->ases = whole("ases", optarg, 200, 200000);
		return true;
	case O_ATTACK:
		o->attack = number("attack", optarg, 0, 100);
		return true;
	case O_PERTURB:
		o->perturb = number("perturb", optarg, 0, 10);
		return true;
	case O_JOBS:
		o->jobs = whole("jobs", optarg, 1, JOBS_MAX);
		return true;
	default:
		return false;
	}
}

static void one_option(struct options *o, int c)
{
	const char **text = c == O_SCENARIO ? &o->scenario
			    : c == O_POLICY ? &o->policy
			    : c == O_SHIFT  ? &o->shift
			    : c == O_SHARE  ? &o->share
			    : c == O_JSON   ? &o->json
			    : c == O_PLOT   ? &o->plot
					    : NULL;
	bool *flag = c == O_NO_TIMING ? &o->no_timing
		     : c == O_EXPLAIN ? &o->explain
		     : c == O_FIT     ? &o->fit
				      : NULL;

	if (text) {
		*text = optarg;
	} else if (flag) {
		*flag = true;
	} else if (c == O_LIST) {
		list();
	} else if (c == O_HELP) {
		fputs(usage, stdout);
		exit(0);
	} else if (c == O_VERSION) {
		puts("sluice-sim 0.1");
		exit(0);
	} else if (!number_option(o, c)) {
		fputs("try --help\n", stderr);
		exit(2);
	}
}

static struct options options(int argc, char **argv)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct options o = { .scenario = "attack-0.6",
			     .policy = "absorb,sluice,oracle",
			     .seeds = 10,
			     .first = 1,
			     .shards = 8,
			     .sites = 6,
			     .ases = 1000,
			     .attack = -1,
			     .perturb = 1,
			     .jobs = cpus > 0 && cpus < JOBS_MAX ? (size_t)cpus : 1 };
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
		one_option(&o, c);
	if (optind < argc)
		die("\"%s\": no such argument; try --help", argv[optind]);
	if (o.share && !o.shift)
		die("--shares needs --catchments");
	if (o.explain)
		o.jobs = 1;
	steered_talk = o.explain;
	return o;
}

/* Calls add for every name of a comma-separated list, or for all. */
static void each_name(const char *text, void (*add)(struct grid *g, const char *name), struct grid *g)
{
	auto_free char *copy = xstrdup(text);
	char *save = NULL;

	for (char *s = strtok_r(copy, ",", &save); s; s = strtok_r(NULL, ",", &save))
		add(g, s);
}

static void add_scenario(struct grid *g, const char *name)
{
	const struct scenario *s = scenario_find(name);

	if (!s)
		die("no scenario \"%s\"; --list shows them", name);
	g->scenarios = xrealloc(g->scenarios, g->n_scenarios + 1, sizeof(*g->scenarios));
	g->scenarios[g->n_scenarios] = *s;
	if (s->kind == SC_ATTACK && g->o.attack >= 0)
		g->scenarios[g->n_scenarios].size = g->o.attack;
	g->n_scenarios++;
}

static void add_player(struct grid *g, const char *name)
{
	const struct player *p = player_find(name);

	if (!p)
		die("no policy \"%s\"; there are absorb, threshold, local, greedy, sluice, oracle", name);
	g->players = xrealloc(g->players, g->n_players + 1, sizeof(*g->players));
	g->players[g->n_players++] = p;
}

static void prepare(struct grid *g)
{
	if (!strcmp(g->o.scenario, "all"))
		for (size_t i = 0; i < scenario_count; i++)
			add_scenario(g, scenario_table[i].name);
	else
		each_name(g->o.scenario, add_scenario, g);
	if (!strcmp(g->o.policy, "all"))
		for (size_t i = 0; i < player_count; i++)
			add_player(g, player_table[i].name);
	else
		each_name(g->o.policy, add_player, g);
	if (!g->n_scenarios || !g->n_players)
		die("no scenario or no policy given");
	g->scenario_ptr = xcalloc(g->n_scenarios, sizeof(*g->scenario_ptr));
	for (size_t i = 0; i < g->n_scenarios; i++)
		g->scenario_ptr[i] = &g->scenarios[i];
	size_t size = g->n_scenarios * g->n_players * g->o.seeds * sizeof(*g->r) + sizeof(*g->done);
	void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("no memory for the results: %s", strerror(errno));
	g->r = shared;
	g->done = (unsigned *)(g->r + g->n_scenarios * g->n_players * g->o.seeds);
}

static struct catch *catchments(const struct grid *g, uint64_t seed)
{
	return g->o.shift ? catch_table(&g->csv, seed, g->o.perturb)
			  : catch_graph(g->o.ases, g->o.sites, seed, g->o.perturb);
}

static struct result *slot(const struct grid *g, size_t s, size_t p, size_t i)
{
	return &g->r[(s * g->n_players + p) * g->o.seeds + i];
}

/* Regret needs the oracle; it is run for it when it is not asked for, unless it would cost too much. */
static void run_seed(struct grid *g, size_t i)
{
	struct catch *c = catchments(g, g->o.first + i);
	const struct player *oracle = player_find("oracle");

	for (size_t s = 0; s < g->n_scenarios; s++) {
		double best = NAN;

		for (size_t p = 0; p < g->n_players; p++) {
			struct result *r = slot(g, s, p, i);
			run(c, g->scenario_ptr[s], g->players[p], g->o.shards, g->o.first + i, g->o.perturb,
			    NULL, r);
			if (g->players[p] == oracle)
				best = r->m[M_GOODPUT];
			if (g->o.no_timing)
				r->m[M_DECIDE] = 0;
			__atomic_add_fetch(g->done, 1, __ATOMIC_RELAXED);
		}
		if (isnan(best)) {
			struct result r;
			run(c, g->scenario_ptr[s], oracle, g->o.shards, g->o.first + i, g->o.perturb, NULL,
			    &r);
			best = r.m[M_GOODPUT];
		}
		for (size_t p = 0; p < g->n_players; p++)
			slot(g, s, p, i)->m[M_REGRET] = best - slot(g, s, p, i)->m[M_GOODPUT];
	}
	catch_free(c);
}

static void progress(const struct grid *g, time_t since, bool last)
{
	unsigned done = __atomic_load_n(g->done, __ATOMIC_RELAXED);
	size_t total = g->n_scenarios * g->n_players * g->o.seeds;
	long s = (long)(time(NULL) - since);

	if (s < 2)
		return;
	fprintf(stderr, "%s%u of %zu runs, %ld s%s", isatty(2) ? "\r" : "", done, total, s,
		isatty(2) && !last ? "  " : "\n");
}

/* Waits for the workers; says how far they are every 2 s (every 15 s into a file). */
static void wait_all(const struct grid *g, size_t jobs)
{
	time_t since = time(NULL), said = since;
	bool failed = false;

	while (jobs) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid > 0) {
			jobs--;
			failed = failed || status;
			continue;
		}
		usleep(20000);
		if (time(NULL) - said >= (isatty(2) ? 2 : 15)) {
			said = time(NULL);
			progress(g, since, false);
		}
	}
	progress(g, since, true);
	if (failed)
		die("a worker died");
}

static void run_all(struct grid *g)
{
	size_t jobs = g->o.jobs < g->o.seeds ? g->o.jobs : g->o.seeds;

	fflush(NULL);
	for (size_t j = 0; j < jobs; j++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork: %s", strerror(errno));
		if (pid)
			continue;
		for (size_t i = j; i < g->o.seeds; i += jobs)
			run_seed(g, i);
		_exit(0);
	}
	wait_all(g, jobs);
}

static void plot_path(const struct grid *g, size_t s, char *ret, size_t size)
{
	const char *dot = strrchr(g->o.plot, '.');
	size_t stem = dot ? (size_t)(dot - g->o.plot) : strlen(g->o.plot);

	if (g->n_scenarios == 1)
		snprintf(ret, size, "%s", g->o.plot);
	else
		snprintf(ret, size, "%.*s-%s.svg", (int)stem, g->o.plot, g->scenarios[s].name);
}

static void plots(struct grid *g)
{
	struct catch *c = catchments(g, g->o.first);
	const struct player *who = g->players[0];

	for (size_t p = 0; p < g->n_players; p++)
		if (!strcmp(g->players[p]->name, "sluice"))
			who = g->players[p];
	for (size_t s = 0; s < g->n_scenarios; s++) {
		struct trace t;
		struct result r;
		char path[4096];

		run(c, g->scenario_ptr[s], who, g->o.shards, g->o.first, g->o.perturb, &t, &r);
		plot_path(g, s, path, sizeof(path));
		int err = output_svg(&t, g->scenario_ptr[s], who->name, g->o.first, c, path);
		if (err)
			die("%s: %s", path, strerror(-err));
		trace_done(&t);
	}
	catch_free(c);
}

int main(int argc, char **argv)
{
	struct grid g = { .o = options(argc, argv) };
	char why[CSV_WHY_LEN];

	if (g.o.fit) {
		output_fit(g.o.ases, g.o.sites, g.o.seeds, g.o.first, stdout);
		return 0;
	}
	if (g.o.shift && csv_load(g.o.shift, g.o.share, &g.csv, why) < 0)
		die("%s", why);
	if (g.o.shift && g.csv.n_sites < 3)
		die("%s: %zu sites, at least 3 needed", g.o.shift, g.csv.n_sites);
	prepare(&g);
	run_all(&g);
	struct results all = { g.scenario_ptr, g.n_scenarios, g.players, g.n_players, g.o.seeds, g.r };
	output_table(&all, stdout);
	int err = g.o.json ? output_json(&all, g.o.json) : 0;
	if (err)
		die("%s: %s", g.o.json, strerror(-err));
	if (g.o.plot)
		plots(&g);
	csv_done(&g.csv);
	free(g.scenarios);
	free(g.scenario_ptr);
	free(g.players);
	return 0;
}
