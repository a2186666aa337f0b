/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lab-load: one process that plays all clients of the lab.
 *
 * Open loop: each flow (client network, VIP) draws Poisson arrivals at its own rate, whatever became of the
 * earlier ones. An arrival is one new TCP connection: GET the object, whole body with status 200 before the
 * deadline, or it is a failure. A socket keeps the network namespace it was made in, so setns() and one epoll
 * loop serve them all.
 *
 * A connection: CONNECTING -> (writable) READING -> (end of file) done. Any state -> failed, on error or
 * deadline. Latency counts from the moment the arrival was due, so a late generator cannot flatter the
 * servers.
 *
 * lab-load [options] --client NAME=NETNS_PATH,ADDR4,ADDR6 ...
 * stdin: `rate CLIENT VIP PER_SECOND`, `quit`; end of file is quit. stdout: a JSON line a second, then a
 * summary.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum {
	CLIENTS_MAX = 64,
	FLOWS_MAX = 512,
	NODES_MAX = 32,
	NAME_MAX_LEN = 32,
	HEAD_MAX = 1024,
	EVENTS_MAX = 256,
	SUB_BITS = 4,		  /* 16 buckets per power of two: latency within 6 % */
	BUCKETS = 24 << SUB_BITS, /* up to 2^24 us */
	RATE_MAX = 10000,
};

static const uint64_t SEC_NS = 1000000000, MS_NS = 1000000;

enum fail { REFUSED, UNREACHABLE, RESET, TIMEOUT, SHORT, STATUS, OVERFLOW, OTHER, FAILS };
static const char *const fail_name[FAILS] = { "refused", "unreachable", "reset",    "timeout",
					      "short",	 "status",	"overflow", "other" };

struct client {
	char name[NAME_MAX_LEN];
	int ns_fd;
	struct sockaddr_in addr4;
	struct sockaddr_in6 addr6;
};

struct stats {
	uint64_t offered, ok, failed[FAILS], by_node[NODES_MAX], max_us;
	uint32_t latency[BUCKETS];
};

struct flow {
	struct client *client;
	char vip[INET6_ADDRSTRLEN];
	struct sockaddr_storage to;
	socklen_t to_len;
	double rate;	 /* arrivals per second */
	uint64_t due_ns; /* of the next arrival */
	struct stats second, total;
};

struct conn {
	TAILQ_ENTRY(conn) link; /* in order of start: with one deadline for all, also in order of expiry */
	struct flow *flow;
	int fd;
	bool sent;
	uint64_t due_ns, expires_ns;
	uint64_t got; /* bytes, headers included */
	uint16_t head_len;
	char head[HEAD_MAX + 1];
};
TAILQ_HEAD(conn_list, conn);

struct load {
	struct client clients[CLIENTS_MAX];
	struct flow *flows[FLOWS_MAX];
	char nodes[NODES_MAX][NAME_MAX_LEN];
	unsigned int nclients, nflows, nnodes, inflight, inflight_max;
	struct conn_list active, spare;
	struct client *inside; /* the namespace this thread is in */
	int epoll_fd;
	uint16_t port;
	uint64_t deadline_ns, end_ns, tick_ns, began_ns;
	uint64_t rng[2];
	char request[256];
	char line[256]; /* stdin, up to the next newline */
	size_t line_len;
	bool stopping;
};

static volatile sig_atomic_t signalled;

static void on_signal(int sig)
{
	signalled = sig;
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * SEC_NS + (uint64_t)ts.tv_nsec;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "lab-load: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* xorshift128+: seeded, so a run can be repeated */
static uint64_t rng_next(uint64_t s[2])
{
	uint64_t a = s[0], b = s[1];

	s[0] = b;
	a ^= a << 23;
	s[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
	return s[1] + b;
}

static uint64_t gap_ns(struct load *l, double rate)
{
	double u = ((double)(rng_next(l->rng) >> 11) + 1) / 9007199254740993.0; /* in (0, 1] */

	return (uint64_t)(-log(u) / rate * (double)SEC_NS);
}

/* -- latency buckets: exact below 16 us, then 16 per power of two -------------------------------------------
 */

static unsigned int bucket_of(uint64_t us)
{
	unsigned int exp, b;

	if (us < (1u << SUB_BITS))
		return (unsigned int)us;
	exp = 63u - (unsigned int)__builtin_clzll(us) - SUB_BITS;
	b = ((exp + 1) << SUB_BITS) + (unsigned int)((us >> exp) - (1u << SUB_BITS));
	return b < BUCKETS ? b : BUCKETS - 1;
}

static uint64_t bucket_top_us(unsigned int b)
{
	unsigned int exp = b >> SUB_BITS;

	if (exp == 0)
		return b;
	return ((uint64_t)((b & ((1u << SUB_BITS) - 1)) + (1u << SUB_BITS) + 1) << (exp - 1)) - 1;
}

static double percentile_ms(const struct stats *s, double share)
{
	uint64_t want = (uint64_t)ceil(share * (double)s->ok), seen = 0, top;

	for (unsigned int b = 0; b < BUCKETS && s->ok; b++) {
		seen += s->latency[b];
		if (seen < want)
			continue;
		top = bucket_top_us(b);
		return (double)(top < s->max_us ? top : s->max_us) / 1000;
	}
	return 0;
}

/* -- a connection's end
 * --------------------------------------------------------------------------------------- */

static void conn_free(struct load *l, struct conn *c)
{
	close(c->fd); /* also leaves the epoll set */
	TAILQ_REMOVE(&l->active, c, link);
	TAILQ_INSERT_HEAD(&l->spare, c, link);
	l->inflight--;
}

static void count_failed(struct flow *f, enum fail why)
{
	f->second.failed[why]++;
	f->total.failed[why]++;
}

static void conn_fail(struct load *l, struct conn *c, enum fail why)
{
	struct linger gone = { .l_onoff = 1 };

	/* a client that gives up: the server should stop sending */
	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &gone, sizeof(gone));
	count_failed(c->flow, why);
	conn_free(l, c);
}

static enum fail fail_of(int err)
{
	switch (err) {
	case ECONNREFUSED:
		return REFUSED;
	case EHOSTUNREACH:
	case ENETUNREACH:
	case EACCES:
		return UNREACHABLE;
	case ECONNRESET:
	case EPIPE:
		return RESET;
	case ETIMEDOUT:
		return TIMEOUT;
	default:
		return OTHER;
	}
}

static unsigned int node_index(struct load *l, const char *name)
{
	unsigned int i;

	for (i = 0; i < l->nnodes; i++)
		if (!strcmp(l->nodes[i], name))
			return i;
	if (l->nnodes == NODES_MAX)
		return NODES_MAX - 1;
	snprintf(l->nodes[i], sizeof(l->nodes[i]), "%s", name);
	return l->nnodes++;
}

static void stats_ok(struct stats *s, uint64_t us, unsigned int node)
{
	s->ok++;
	s->latency[bucket_of(us)]++;
	s->by_node[node]++;
	if (us > s->max_us)
		s->max_us = us;
}

/* Value of a header as a C string in buf, or "" */
static const char *header(const char *head, const char *name, char buf[NAME_MAX_LEN])
{
	const char *at = strcasestr(head, name);

	buf[0] = 0;
	if (at)
		sscanf(at + strlen(name), " %31[^\r\n]", buf);
	return buf;
}

static void conn_finish(struct load *l, struct conn *c)
{
	char buf[NAME_MAX_LEN];
	char *body = strstr(c->head, "\r\n\r\n");
	uint64_t us, head_bytes;

	if (!body)
		return conn_fail(l, c, SHORT);
	head_bytes = (uint64_t)(body - c->head) + 4;
	*body = 0;
	if (strncmp(c->head, "HTTP/1.1 200", 12))
		return conn_fail(l, c, STATUS);
	if (c->got - head_bytes != strtoull(header(c->head, "\r\nContent-Length:", buf), NULL, 10))
		return conn_fail(l, c, SHORT);
	us = (now_ns(CLOCK_MONOTONIC) - c->due_ns) / 1000;
	unsigned int node = node_index(l, header(c->head, "\r\nX-Node:", buf));
	stats_ok(&c->flow->second, us, node);
	stats_ok(&c->flow->total, us, node);
	conn_free(l, c);
}

/* -- a connection's life
 * ---------------------------------------------------------------------------------------- */

static int client_socket(struct load *l, struct client *client, bool six)
{
	const struct sockaddr *from =
		six ? (struct sockaddr *)&client->addr6 : (struct sockaddr *)&client->addr4;
	int fd, one = 1, low = 128 * 1024;

	if (l->inside != client && setns(client->ns_fd, CLONE_NEWNET) < 0)
		die("setns");
	l->inside = client;
	fd = socket(from->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	/* wake up for the end of the object, not for every packet of it */
	setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof(low));
	if (bind(fd, from, six ? sizeof(client->addr6) : sizeof(client->addr4)) < 0)
		die("bind");
	return fd;
}

static struct conn *conn_take(struct load *l)
{
	struct conn *c = TAILQ_FIRST(&l->spare);

	if (c)
		TAILQ_REMOVE(&l->spare, c, link);
	else
		c = malloc(sizeof(*c));
	if (!c)
		die("memory");
	return c;
}

static void conn_start(struct load *l, struct flow *f, uint64_t due_ns)
{
	struct epoll_event ev = { .events = EPOLLOUT };
	struct conn *c;
	int fd;

	f->second.offered++;
	f->total.offered++;
	fd = l->inflight < l->inflight_max ? client_socket(l, f->client, f->to.ss_family == AF_INET6)
					   : -EMFILE;
	if (fd < 0)
		return count_failed(f, OVERFLOW);
	c = conn_take(l);
	*c = (struct conn){ .flow = f, .fd = fd, .due_ns = due_ns };
	c->expires_ns = now_ns(CLOCK_MONOTONIC) + l->deadline_ns;
	TAILQ_INSERT_TAIL(&l->active, c, link);
	l->inflight++;
	if (connect(fd, (struct sockaddr *)&f->to, f->to_len) < 0 && errno != EINPROGRESS)
		return conn_fail(l, c, errno == EADDRNOTAVAIL ? OVERFLOW : fail_of(errno));
	ev.data.ptr = c;
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl");
}

static void conn_send(struct load *l, struct conn *c)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

	if (send(c->fd, l->request, strlen(l->request), MSG_NOSIGNAL) < 0)
		return conn_fail(l, c, fail_of(errno));
	c->sent = true;
	epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
}

static void conn_read(struct load *l, struct conn *c)
{
	static char buf[128 * 1024];
	size_t room, keep;
	ssize_t n;

	while ((n = recv(c->fd, buf, sizeof(buf), 0)) > 0) {
		room = HEAD_MAX - c->head_len;
		keep = (size_t)n < room ? (size_t)n : room;
		memcpy(c->head + c->head_len, buf, keep);
		c->head_len = (uint16_t)(c->head_len + keep);
		c->got += (uint64_t)n;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		return conn_fail(l, c, fail_of(errno));
	c->head[c->head_len] = 0;
	conn_finish(l, c);
}

static void conn_event(struct load *l, struct conn *c, uint32_t events)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (events & EPOLLERR) {
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len);
		return conn_fail(l, c, fail_of(err));
	}
	if (!c->sent)
		conn_send(l, c);
	else
		conn_read(l, c);
}

/* -- commands
 * --------------------------------------------------------------------------------------------------- */

static int parse_addr(const char *text, uint16_t port, struct sockaddr_storage *ret_addr, socklen_t *ret_len)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	memset(ret_addr, 0, sizeof(*ret_addr));
	if (inet_pton(AF_INET, text, &in4.sin_addr) == 1) {
		memcpy(ret_addr, &in4, sizeof(in4));
		*ret_len = sizeof(in4);
		return 0;
	}
	if (inet_pton(AF_INET6, text, &in6.sin6_addr) != 1)
		return -EINVAL;
	memcpy(ret_addr, &in6, sizeof(in6));
	*ret_len = sizeof(in6);
	return 0;
}

static struct client *client_find(struct load *l, const char *name)
{
	for (unsigned int i = 0; i < l->nclients; i++)
		if (!strcmp(l->clients[i].name, name))
			return &l->clients[i];
	return NULL;
}

static struct flow *flow_get(struct load *l, struct client *client, const char *vip)
{
	struct flow *f;

	for (unsigned int i = 0; i < l->nflows; i++)
		if (l->flows[i]->client == client && !strcmp(l->flows[i]->vip, vip))
			return l->flows[i];
	if (l->nflows == FLOWS_MAX || !(f = calloc(1, sizeof(*f))))
		return NULL;
	f->client = client;
	snprintf(f->vip, sizeof(f->vip), "%s", vip);
	if (parse_addr(vip, l->port, &f->to, &f->to_len) < 0) {
		free(f);
		return NULL;
	}
	return l->flows[l->nflows++] = f;
}

static int set_rate(struct load *l, const char *line)
{
	char name[NAME_MAX_LEN], vip[INET6_ADDRSTRLEN];
	struct client *client;
	struct flow *f;
	double rate;

	if (sscanf(line, "rate %31s %45s %lf", name, vip, &rate) != 3 || !(rate >= 0 && rate <= RATE_MAX))
		return -EINVAL;
	client = client_find(l, name);
	f = client ? flow_get(l, client, vip) : NULL;
	if (!f)
		return -EINVAL;
	f->rate = rate;
	if (rate > 0) /* without memory: drawing anew from now on is still Poisson */
		f->due_ns = now_ns(CLOCK_MONOTONIC) + gap_ns(l, rate);
	return 0;
}

static void command(struct load *l, const char *line)
{
	if (!strcmp(line, "quit"))
		l->stopping = true;
	else if (set_rate(l, line) < 0)
		fprintf(stderr, "lab-load: cannot do: %s\n", line);
}

static void read_commands(struct load *l)
{
	ssize_t n = read(STDIN_FILENO, l->line + l->line_len, sizeof(l->line) - 1 - l->line_len);
	char *end;

	if (n <= 0) {
		l->stopping = true;
		epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
		return;
	}
	l->line_len += (size_t)n;
	while ((end = memchr(l->line, '\n', l->line_len))) {
		*end = 0;
		command(l, l->line);
		l->line_len -= (size_t)(end + 1 - l->line);
		memmove(l->line, end + 1, l->line_len);
	}
	if (l->line_len == sizeof(l->line) - 1)
		l->line_len = 0; /* longer than any command */
}

/* -- output
 * ----------------------------------------------------------------------------------------------------- */

static json_t *latency_json(const struct stats *s)
{
	json_t *all = json_array();

	for (unsigned int b = 0; b < BUCKETS; b++)
		if (s->latency[b])
			json_array_append_new(
				all, json_pack("[f,i]", (double)bucket_top_us(b) / 1000, (int)s->latency[b]));
	return all;
}

static json_t *stats_json(const struct load *l, const struct flow *f, const struct stats *s)
{
	json_t *failed = json_object(), *nodes = json_object();

	for (unsigned int i = 0; i < FAILS; i++)
		if (s->failed[i])
			json_object_set_new(failed, fail_name[i], json_integer((json_int_t)s->failed[i]));
	for (unsigned int i = 0; i < l->nnodes; i++)
		if (s->by_node[i])
			json_object_set_new(nodes, l->nodes[i], json_integer((json_int_t)s->by_node[i]));
	return json_pack("{s:s, s:s, s:f, s:I, s:I, s:o, s:f, s:f, s:f, s:f, s:o, s:o}", "client",
			 f->client->name, "vip", f->vip, "rate", f->rate, "offered", (json_int_t)s->offered,
			 "ok", (json_int_t)s->ok, "failed", failed, "p50_ms", percentile_ms(s, 0.50),
			 "p95_ms", percentile_ms(s, 0.95), "p99_ms", percentile_ms(s, 0.99), "max_ms",
			 (double)s->max_us / 1000, "nodes", nodes, "latency_ms", latency_json(s));
}

static bool stats_idle(const struct flow *f, const struct stats *s)
{
	uint64_t all = s->offered + s->ok;

	for (unsigned int i = 0; i < FAILS; i++)
		all += s->failed[i];
	return all == 0 && f->rate <= 0;
}

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void report(struct load *l, bool final)
{
	json_t *flows = json_array(), *line;

	for (unsigned int i = 0; i < l->nflows; i++) {
		struct flow *f = l->flows[i];
		struct stats *s = final ? &f->total : &f->second;
		if (!stats_idle(f, s))
			json_array_append_new(flows, stats_json(l, f, s));
		memset(&f->second, 0, sizeof(f->second));
	}
	line = json_pack("{s:b, s:f, s:f, s:f, s:i, s:f, s:o}", "final", final, "wall_s",
			 (double)now_ns(CLOCK_REALTIME) / 1e9, "mono_s",
			 (double)now_ns(CLOCK_MONOTONIC) / 1e9, "run_s",
			 (double)(now_ns(CLOCK_MONOTONIC) - l->began_ns) / 1e9, "inflight", (int)l->inflight,
			 "cpu_s", cpu_s(), "flows", flows);
	json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6 + 9));
	putchar('\n');
	fflush(stdout);
	json_decref(line);
}

/* -- the loop
 * --------------------------------------------------------------------------------------------------- */

static void start_due(struct load *l, uint64_t now)
{
	for (unsigned int i = 0; i < l->nflows; i++) {
		struct flow *f = l->flows[i];
		while (f->rate > 0 && f->due_ns <= now) {
			conn_start(l, f, f->due_ns);
			f->due_ns += gap_ns(l, f->rate);
		}
	}
}

static void expire(struct load *l, uint64_t now)
{
	struct conn *c;

	while ((c = TAILQ_FIRST(&l->active)) && c->expires_ns <= now)
		conn_fail(l, c, TIMEOUT);
}

/* Milliseconds to sleep: rounding up lets arrivals of the same millisecond share a wake-up */
static int next_ms(const struct load *l, uint64_t now)
{
	const struct conn *oldest = TAILQ_FIRST(&l->active);
	uint64_t at = l->tick_ns;

	if (oldest && oldest->expires_ns < at)
		at = oldest->expires_ns;
	for (unsigned int i = 0; i < l->nflows && !l->stopping; i++)
		if (l->flows[i]->rate > 0 && l->flows[i]->due_ns < at)
			at = l->flows[i]->due_ns;
	return at <= now ? 0 : (int)((at - now + MS_NS - 1) / MS_NS);
}

static void turn(struct load *l)
{
	struct epoll_event events[EVENTS_MAX];
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	int n = epoll_wait(l->epoll_fd, events, EVENTS_MAX, next_ms(l, now));

	for (int i = 0; i < n; i++) {
		if (events[i].data.ptr)
			conn_event(l, events[i].data.ptr, events[i].events);
		else
			read_commands(l);
	}
	now = now_ns(CLOCK_MONOTONIC);
	if (!l->stopping)
		start_due(l, now);
	expire(l, now);
	if (now >= l->tick_ns) {
		report(l, false);
		l->tick_ns += SEC_NS;
	}
	if (signalled || now >= l->end_ns)
		l->stopping = true;
}

static void run(struct load *l)
{
	struct epoll_event ev = { .events = EPOLLIN };

	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0 || epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &ev) < 0)
		die("epoll");
	while (!l->stopping || l->inflight > 0)
		turn(l);
	report(l, true);
}

/* -- options
 * ---------------------------------------------------------------------------------------------------- */

static void add_client(struct load *l, const char *text)
{
	char name[NAME_MAX_LEN], path[128], four[INET6_ADDRSTRLEN], six[INET6_ADDRSTRLEN];
	struct client *c = &l->clients[l->nclients];

	if (l->nclients == CLIENTS_MAX ||
	    sscanf(text, "%31[^=]=%127[^,],%45[^,],%45s", name, path, four, six) != 4) {
		fprintf(stderr, "lab-load: not a client: %s\n", text);
		exit(2);
	}
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->addr4.sin_family = AF_INET;
	c->addr6.sin6_family = AF_INET6;
	c->ns_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (c->ns_fd < 0)
		die(path);
	if (inet_pton(AF_INET, four, &c->addr4.sin_addr) != 1 ||
	    inet_pton(AF_INET6, six, &c->addr6.sin6_addr) != 1) {
		errno = EINVAL;
		die(text);
	}
	l->nclients++;
}

static void usage(void)
{
	fputs("lab-load [--port 80] [--path /obj] [--deadline-ms 2000] [--seconds 3600] [--seed 1]\n"
	      "         [--inflight-max 8192] --client NAME=NETNS_PATH,ADDR4,ADDR6 ...\n",
	      stderr);
	exit(2);
}

static void options(struct load *l, int argc, char **argv)
{
	static const struct option longs[] = { { "port", required_argument, NULL, 'p' },
					       { "path", required_argument, NULL, 'u' },
					       { "deadline-ms", required_argument, NULL, 'd' },
					       { "seconds", required_argument, NULL, 's' },
					       { "seed", required_argument, NULL, 'r' },
					       { "inflight-max", required_argument, NULL, 'i' },
					       { "client", required_argument, NULL, 'c' },
					       { 0 } };
	const char *path = "/obj";
	uint64_t seconds = 3600, seed = 1;
	int opt;

	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (opt) {
		case 'p':
			l->port = (uint16_t)atoi(optarg);
			break;
		case 'u':
			path = optarg;
			break;
		case 'd':
			l->deadline_ns = strtoull(optarg, NULL, 10) * MS_NS;
			break;
		case 's':
			seconds = strtoull(optarg, NULL, 10);
			break;
		case 'r':
			seed = strtoull(optarg, NULL, 10);
			break;
		case 'i':
			l->inflight_max = (unsigned int)atoi(optarg);
			break;
		case 'c':
			add_client(l, optarg);
			break;
		default:
			usage();
		}
	}
	if (!l->nclients)
		usage();
	snprintf(l->request, sizeof(l->request), "GET %s HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n",
		 path);
	l->began_ns = now_ns(CLOCK_MONOTONIC);
	l->end_ns = l->began_ns + seconds * SEC_NS;
	l->tick_ns = l->began_ns + SEC_NS;
	l->rng[0] = seed * 0x9e3779b97f4a7c15u + 1;
	l->rng[1] = seed ^ 0xd1b54a32d192ed03u;
	for (int i = 0; i < 16; i++)
		rng_next(l->rng);
}

static void prepare(void)
{
	struct rlimit files = { 65536, 65536 };
	struct sigaction act = { .sa_handler = on_signal };

	setrlimit(RLIMIT_NOFILE, &files);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGINT, &act, NULL);
	signal(SIGPIPE, SIG_DFL); /* nobody reads us any more */
}

int main(int argc, char **argv)
{
	static struct load l = { .port = 80, .deadline_ns = 2000000000, .inflight_max = 8192 };

	TAILQ_INIT(&l.active);
	TAILQ_INIT(&l.spare);
	options(&l, argc, argv);
	prepare();
	run(&l);
	return 0;
}
