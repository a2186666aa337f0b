/* SPDX-License-Identifier: Apache-2.0
 * Samplers in a network namespace of the test's own, with real traffic over lo and a veth pair. Without root
 * only what needs none runs. log_write is ours: the test hears what is said. */
#include <setjmp.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/sample/sample.h"
#include "agent/sample/vip_rules.h"
#include "proto/base/log.h"
#include "proto/base/mono.h"

#define DEADLINE_MS 20000

static char said[64][TEXT_LEN];
static int n_said;
static bool have_root;

void log_write(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	(void)level;
	va_start(ap, fmt);
	vsnprintf(said[n_said % 64], TEXT_LEN, fmt, ap);
	va_end(ap);
	print_message("  said: %s\n", said[n_said % 64]);
	n_said++;
}

static int count_said(const char *part)
{
	int n = 0;

	for (int i = 0; i < n_said && i < 64; i++)
		n += strstr(said[i], part) != NULL;
	return n;
}

/* -- the namespace -- */
static void sh(const char *command)
{
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

/* Up, and seen so by the kernel's worker that gives it its queue: before that it drops what is sent. */
static void wait_up(const char *interface)
{
	auto_free char *command = xasprintf("ip link show %s | grep -q 'state UP'", interface);
	mono_t end = mono_add_ms(mono_now(), DEADLINE_MS);

	while (system(command) != 0) {
		if (mono_diff_ms(mono_now(), end) < 0)
			fail_msg("%s is not up within %d ms", interface, DEADLINE_MS);
		usleep(2000);
	}
}

static int make_namespace(void **state)
{
	(void)state;
	have_root = geteuid() == 0 && unshare(CLONE_NEWNET) == 0;
	if (!have_root)
		return 0;
	sh("ip link set lo up");
	sh("ip addr add 198.18.1.1/32 dev lo && ip addr add 198.18.2.1/32 dev lo && ip addr add "
	   "198.18.3.1/32 dev lo");
	sh("ip -6 addr add 2001:db8:1::1/128 dev lo nodad");
	sh("ip link add up0 type veth peer name up1 && ip link set up0 up && ip link set up1 up");
	wait_up("up0");
	return 0;
}

static int fresh(void **state)
{
	(void)state;
	n_said = 0;
	if (have_root)
		sh("nft flush ruleset");
	return 0;
}

/* a socket that only has to be there, until the end of the test */
#define open_socket auto_close __attribute__((unused)) int

#define need_root()                                                                                          \
	do {                                                                                                 \
		if (!have_root)                                                                              \
			skip();                                                                              \
	} while (0)

static struct sockaddr_storage endpoint(const char *text)
{
	struct sockaddr_storage ss;

	assert_int_equal(endpoint_parse(text, &ss, NULL), 0);
	return ss;
}

static int tcp_listen(const char *text, int backlog)
{
	struct sockaddr_storage ss = endpoint(text);
	int one = 1, fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, sizeof(ss)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	return fd;
}

static int tcp_connect(const char *text, bool wait)
{
	struct sockaddr_storage ss = endpoint(text);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK), 0);
	int err = connect(fd, (struct sockaddr *)&ss, sizeof(ss));

	assert_true(err == 0 || (!wait && errno == EINPROGRESS));
	return fd;
}

static void udp_send(const char *text, size_t bytes, int times)
{
	struct sockaddr_storage ss = endpoint(text);
	auto_close int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char data[1400] = { 0 };

	/* with nobody there, the second send would report the refusal of the first */
	for (int i = 0; i < times; i++)
		sendto(fd, data, bytes, 0, (struct sockaddr *)&ss, sizeof(ss));
}

static void frames_send(const char *interface, size_t bytes, int times)
{
	auto_close int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_ifindex = (int)if_nametoindex(interface),
				  .sll_halen = ETH_ALEN };
	char frame[1514] = { 0 };

	memset(frame, 0xff, ETH_ALEN);
	frame[12] = (char)0x88;
	frame[13] = (char)0xb5; /* for local experiments */
	for (int i = 0; i < times; i++)
		sendto(fd, frame, bytes, 0, (struct sockaddr *)&to, sizeof(to));
}

static size_t parse_all(const char *const *texts, size_t n, struct prefix *ret)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(prefix_parse(texts[i], &ret[i], NULL), 0);
	return n;
}

static struct sampler *sampler(const char *const *interfaces, size_t n_interfaces, const char *const *vips,
			       size_t n_vips)
{
	struct prefix p[32];

	assert_true(n_vips <= 32);
	return sampler_new(interfaces, n_interfaces, p, parse_all(vips, n_vips, p));
}

static struct msg take(struct sampler *s)
{
	struct msg m = { .kind = MSG_REPORT };

	sampler_take(s, &m.report);
	return m;
}

static const struct vip_sample *find_vip(const struct msg *m, const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p, NULL), 0);
	for (size_t i = 0; i < m->report.n_vips; i++)
		if (prefix_cmp(&m->report.vips[i].prefix, &p) == 0)
			return &m->report.vips[i];
	fail_msg("no sample of %s", text);
	return NULL;
}

static const struct link_sample *find_link(const struct msg *m, const char *name)
{
	for (size_t i = 0; i < m->report.n_links; i++)
		if (strcmp(m->report.links[i].name, name) == 0)
			return &m->report.links[i];
	return NULL;
}

/* The output of a command; the caller frees. */
static char *output(const char *command)
{
	char *text = xcalloc(1, 65536);
	FILE *f = popen(command, "re");

	assert_non_null(f);
	assert_true(fread(text, 1, 65535, f) < 65535);
	pclose(f);
	return text;
}

static int occurrences(const char *command, const char *part)
{
	auto_free char *text = output(command);
	int n = 0;

	for (const char *at = text; (at = strstr(at, part)); at++)
		n++;
	return n;
}

/* Takes reports until one shows it. */
#define take_until(s, m, condition)                                                                          \
	do {                                                                                                 \
		mono_t deadline = mono_add_ms(mono_now(), DEADLINE_MS);                                      \
		m = take(s);                                                                                 \
		while (!(condition) && mono_diff_ms(mono_now(), deadline) > 0) {                             \
			msg_done(&m);                                                                        \
			m = take(s);                                                                         \
		}                                                                                            \
		assert_true(condition);                                                                      \
	} while (0)

/* -- VIP counters -- */
static const char *const vips[] = { "198.18.1.0/24", "198.18.2.0/24", "2001:db8:1::/48" };

static void test_vip_counts(void **state)
{
	need_root();
	struct sampler *s = sampler(NULL, 0, vips, 3);
	struct msg a = take(s);
	assert_int_equal(a.report.n_vips, 3);
	assert_int_equal(find_vip(&a, vips[0])->in_packets, 0);
	udp_send("198.18.1.1:9", 100, 10);
	udp_send("[2001:db8:1::1]:9", 1000, 5);
	struct msg b = take(s);
	assert_int_equal(find_vip(&b, vips[0])->in_packets, 10 + 10); /* and the ICMP errors, on lo */
	assert_true(find_vip(&b, vips[0])->in_bytes >= 10 * 128);
	assert_true(find_vip(&b, vips[0])->out_packets >= 10);
	assert_int_equal(find_vip(&b, vips[0])->syns, 0);
	assert_int_equal(find_vip(&b, vips[1])->in_packets, 0);
	assert_true(find_vip(&b, vips[2])->in_bytes >= 5 * 1048);
	assert_int_equal(n_said, 0);
	msg_done(&a);
	msg_done(&b);
	sampler_free(s, false);
	(void)state;
}

/* a SYN counts, its answer and what follows do not; the neighbouring prefix is left alone */
static void test_vip_syns(void **state)
{
	need_root();
	struct sampler *s = sampler(NULL, 0, vips, 3);
	struct msg m = take(s);
	msg_done(&m);
	open_socket l4 = tcp_listen("198.18.2.1:80", 16), l6 = tcp_listen("[2001:db8:1::1]:80", 16);
	open_socket a = tcp_connect("198.18.2.1:80", true), b = tcp_connect("198.18.2.1:80", true);
	open_socket c = tcp_connect("[2001:db8:1::1]:80", true);
	auto_close int refused = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage ss = endpoint("198.18.2.1:81");
	assert_int_equal(connect(refused, (struct sockaddr *)&ss, sizeof(ss)), -1);
	m = take(s);
	assert_int_equal(find_vip(&m, vips[1])->syns, 3);
	assert_int_equal(find_vip(&m, vips[2])->syns, 1);
	assert_int_equal(find_vip(&m, vips[0])->in_packets, 0);
	assert_true(m.report.host.tcp_established >= 6); /* both ends live here */
	msg_done(&m);
	sampler_free(s, false);
	(void)state;
}

/* a packet to an inner prefix counts for the outer one too, and once */
static void test_vip_nested(void **state)
{
	static const char *const nested[] = { "198.18.1.1", "198.18.0.0/16", "198.18.1.0/24",
					      "198.18.1.1/32" };

	need_root();
	struct sampler *s = sampler(NULL, 0, nested, 4);
	struct msg m = take(s);
	assert_int_equal(m.report.n_vips, 3); /* the double is dropped */
	msg_done(&m);
	open_socket sink1 = tcp_listen("198.18.1.1:80", 16), sink2 = tcp_listen("198.18.2.1:80", 16);
	close(tcp_connect("198.18.1.1:80", true));
	close(tcp_connect("198.18.2.1:80", true));
	close(tcp_connect("198.18.2.1:80", true));
	m = take(s);
	assert_int_equal(find_vip(&m, "198.18.1.1/32")->syns, 1);
	assert_int_equal(find_vip(&m, "198.18.1.0/24")->syns, 1);
	assert_int_equal(find_vip(&m, "198.18.0.0/16")->syns, 3);
	msg_done(&m);
	sampler_free(s, false);
	(void)state;
}

/* a restarted agent finds its counters; nothing is there twice; the others' tables are not touched */
static void test_vip_restart(void **state)
{
	need_root();
	sh("nft 'table inet other { counter mine { packets 7 bytes 700 }; chain c { type filter hook input "
	   "priority 0; "
	   "counter name mine; }; }'");
	struct sampler *s = sampler(NULL, 0, vips, 3);
	struct msg before = take(s);
	msg_done(&before);
	udp_send("198.18.1.1:9", 100, 10);
	auto_free char *other = output("nft list table inet other");
	before = take(s);
	sampler_free(s, true);
	auto_free char *once = output("nft -s list table inet sluice");
	for (int i = 0; i < 3; i++) {
		s = sampler(NULL, 0, vips, 3);
		struct msg after = take(s);
		assert_memory_equal(before.report.vips, after.report.vips, 3 * sizeof(struct vip_sample));
		msg_done(&after);
		sampler_free(s, true);
	}
	auto_free char *again = output("nft -s list table inet sluice");
	auto_free char *other_again = output("nft list table inet other");
	assert_string_equal(once, again);
	assert_string_equal(other, other_again);
	assert_int_equal(occurrences("nft list tables", "table inet sluice"), 1);
	assert_int_equal(occurrences("nft list table inet sluice", "counter name ip"), 6);
	/* the rules still count */
	s = sampler(NULL, 0, vips, 3);
	struct msg m = take(s);
	msg_done(&m);
	udp_send("198.18.1.1:9", 100, 10);
	m = take(s);
	assert_true(find_vip(&m, vips[0])->in_packets >= find_vip(&before, vips[0])->in_packets + 10);
	sampler_free(s, false);
	assert_int_equal(occurrences("nft list tables", "sluice"), 0);
	assert_int_equal(occurrences("nft list tables", "table inet other"), 1);
	assert_int_equal(n_said, 0);
	msg_done(&before);
	msg_done(&m);
	(void)state;
}

/* another set of prefixes: those that stay keep their counts, the others go */
static void test_vip_reconfigured(void **state)
{
	static const char *const changed[] = { "198.18.1.0/24", "198.18.3.0/24" };

	need_root();
	struct sampler *s = sampler(NULL, 0, vips, 3);
	struct msg m = take(s);
	msg_done(&m);
	udp_send("198.18.1.1:9", 100, 10);
	sampler_free(s, true);
	s = sampler(NULL, 0, changed, 2);
	m = take(s);
	assert_int_equal(m.report.n_vips, 2);
	assert_int_equal(find_vip(&m, changed[0])->in_packets, 20);
	assert_int_equal(find_vip(&m, changed[1])->in_packets, 0);
	assert_int_equal(occurrences("nft list counters table inet sluice", "counter "), 6);
	msg_done(&m);
	sampler_free(s, false);
	(void)state;
}

/* `nft flush ruleset` is what a reload of a firewall does */
static void test_vip_flushed(void **state)
{
	need_root();
	struct sampler *s = sampler(NULL, 0, vips, 3);
	struct msg m = take(s);
	msg_done(&m);
	udp_send("198.18.1.1:9", 100, 10);
	m = take(s);
	uint64_t seen = find_vip(&m, vips[0])->in_packets;
	msg_done(&m);
	sh("nft flush ruleset");
	m = take(s);
	assert_int_equal(find_vip(&m, vips[0])->in_packets, seen); /* the last value */
	msg_done(&m);
	take_until(s, m, find_vip(&m, vips[0])->in_packets == 0);
	msg_done(&m);
	udp_send("198.18.1.1:9", 100, 10);
	m = take(s);
	assert_int_equal(find_vip(&m, vips[0])->in_packets, 20);
	msg_done(&m);
	assert_int_equal(n_said, 1);
	assert_int_equal(count_said("somebody changed"), 1);
	sampler_free(s, false);
	(void)state;
}

/* rules without counters are noticed too; the counts go on */
static void test_vip_rules_flushed(void **state)
{
	need_root();
	struct sampler *s = sampler(NULL, 0, vips, 3);
	struct msg m = take(s);
	msg_done(&m);
	udp_send("198.18.1.1:9", 100, 10);
	sh("nft flush table inet sluice");
	take_until(s, m, (udp_send("198.18.1.1:9", 100, 1), find_vip(&m, vips[0])->in_packets > 20));
	msg_done(&m);
	assert_int_equal(n_said, 1);
	assert_int_equal(occurrences("nft list table inet sluice", "counter name ip"), VIP_RULES);
	sampler_free(s, false);
	(void)state;
}

/* a table of that name in another shape gives way, in one transaction */
static void test_vip_foreign_table(void **state)
{
	need_root();
	sh("nft 'table inet sluice { set in4 { type ipv4_addr; }; chain arrive { type filter hook input "
	   "priority 5; "
	   "ip daddr @in4 drop; }; }'");
	struct sampler *s = sampler(NULL, 0, vips, 3);
	struct msg m = take(s);
	assert_int_equal(m.report.n_vips, 3);
	msg_done(&m);
	udp_send("198.18.1.1:9", 100, 10);
	m = take(s);
	assert_int_equal(find_vip(&m, vips[0])->in_packets, 20);
	msg_done(&m);
	sampler_free(s, false);
	assert_int_equal(n_said, 0);
	(void)state;
}

/* runs in a child that has given up root; its exit status is the verdict */
static int unprivileged(void)
{
	static const char *const interfaces[] = { "lo" };
	struct sampler *s = sampler(interfaces, 1, vips, 3);

	for (int i = 0; i < 3; i++) {
		struct msg m = take(s);
		if (m.report.n_vips || m.report.n_links != 1 || !m.report.host.cpu_total_us)
			return 1;
		msg_done(&m);
	}
	sampler_free(s, false);
	return n_said == 1 && count_said("sample vip: counting VIPs needs CAP_NET_ADMIN") == 1 ? 0 : 2;
}

static void test_no_privilege(void **state)
{
	int status = -1;
	pid_t pid = fork();
	if (pid == 0)
		_exit(have_root && (setgid(65534) || setuid(65534)) ? 3 : unprivileged());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	if (have_root)
		assert_int_equal(occurrences("nft list tables", "sluice"), 0);
	(void)state;
}

/* -- links -- */
static void test_link_counts(void **state)
{
	static const char *const interfaces[] = { "up0", "up1", "lo" };

	need_root();
	struct sampler *s = sampler(interfaces, 3, NULL, 0);
	struct msg a = take(s);
	assert_int_equal(a.report.n_links, 3);
	assert_int_equal(a.report.n_vips, 0);
	frames_send("up0", 1000, 20);
	struct msg b = take(s);
	const struct link_sample *a0 = find_link(&a, "up0"), *b0 = find_link(&b, "up0");
	const struct link_sample *a1 = find_link(&a, "up1"), *b1 = find_link(&b, "up1");
	assert_true(b0->tx_packets - a0->tx_packets >= 20);
	assert_true(b0->tx_bytes - a0->tx_bytes >= 20000);
	assert_true(b1->rx_packets - a1->rx_packets >= 20);
	assert_true(b1->rx_bytes - a1->rx_bytes >= 20000);
	assert_int_equal(b0->speed_bps, 10000000000); /* what veth claims */
	assert_int_equal(find_link(&b, "lo")->speed_bps, 0);
	assert_int_equal(occurrences("nft list tables", "sluice"), 0); /* no VIPs, no table */
	msg_done(&a);
	msg_done(&b);
	sampler_free(s, false);
	(void)state;
}

static void test_qdisc_drops(void **state)
{
	static const char *const interfaces[] = { "up0" };

	need_root();
	sh("tc qdisc add dev up0 root tbf rate 8kbit burst 1600 limit 3200");
	struct sampler *s = sampler(interfaces, 1, NULL, 0);
	struct msg m = take(s);
	assert_int_equal(find_link(&m, "up0")->qdisc_drops, 0);
	msg_done(&m);
	frames_send("up0", 1500, 20);
	m = take(s);
	assert_true(find_link(&m, "up0")->qdisc_drops >= 15);
	msg_done(&m);
	sampler_free(s, false);
	sh("tc qdisc del dev up0 root");
	(void)state;
}

static void test_link_missing(void **state)
{
	static const char *const interfaces[] = { "lo", "gone0", "an-interface-name-that-cannot-be" };

	need_root();
	struct sampler *s = sampler(interfaces, 3, NULL, 0);
	struct msg m;
	for (int i = 0; i < 3; i++) {
		m = take(s);
		assert_int_equal(m.report.n_links, 1);
		msg_done(&m);
	}
	assert_int_equal(n_said, 1);
	assert_int_equal(count_said("sample link: not there: gone0 an-interface-name-that-cannot-be"), 1);
	sampler_free(s, false);
	n_said = 0;
	s = sampler(interfaces, 2, NULL, 0);
	m = take(s);
	msg_done(&m);
	sh("ip link add gone0 type veth peer name gone1 && ip link set gone0 up && ip link set gone1 up");
	wait_up("gone0");
	frames_send("gone0", 1000, 10);
	m = take(s);
	assert_int_equal(count_said("sample link: works again"), 1);
	uint64_t bytes = find_link(&m, "gone0")->tx_bytes;
	assert_true(bytes >= 10000);
	msg_done(&m);
	sh("ip link del gone0");
	m = take(s);
	assert_true(find_link(&m, "gone0")->tx_bytes >= bytes); /* stays at its last value */
	assert_int_equal(count_said("sample link: not there: gone0"), 2);
	assert_int_equal(n_said, 3);
	msg_done(&m);
	sampler_free(s, false);
	(void)state;
}

/* -- transport -- */
static void test_listen_queue(void **state)
{
	int fds[5];

	need_root();
	struct sampler *s = sampler(NULL, 0, vips, 3), *any = sampler(NULL, 0, NULL, 0);
	open_socket vip = tcp_listen("198.18.1.1:80", 16), elsewhere = tcp_listen("198.18.3.1:80", 16);
	for (int i = 0; i < 5; i++)
		fds[i] = tcp_connect(i < 2 ? "198.18.1.1:80" : "198.18.3.1:80", true);
	struct msg m;
	take_until(s, m, m.report.host.listen_queue == 2);
	msg_done(&m);
	take_until(any, m, m.report.host.listen_queue == 3);
	msg_done(&m);
	open_socket wildcard = tcp_listen("[::]:81", 16);
	int six[4];
	for (int i = 0; i < 4; i++)
		six[i] = tcp_connect("[2001:db8:1::1]:81", true);
	take_until(s, m, m.report.host.listen_queue == 4);
	msg_done(&m);
	for (int i = 0; i < 5; i++)
		close(fds[i]);
	for (int i = 0; i < 4; i++)
		close(six[i]);
	sampler_free(s, false);
	sampler_free(any, false);
	(void)state;
}

static void test_listen_drops(void **state)
{
	int fds[8];

	need_root();
	struct sampler *s = sampler(NULL, 0, NULL, 0);
	struct msg a = take(s), b;
	open_socket listener = tcp_listen("198.18.1.1:80", 0);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = tcp_connect("198.18.1.1:80", false);
	take_until(s, b, b.report.host.listen_drops > a.report.host.listen_drops);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	msg_done(&a);
	msg_done(&b);
	sampler_free(s, false);
	(void)state;
}

static int udp_bind(const char *text)
{
	struct sockaddr_storage ss = endpoint(text);
	int small = 1, fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_int_equal(bind(fd, (struct sockaddr *)&ss, sizeof(ss)), 0);
	return fd;
}

static void test_udp_drops(void **state)
{
	need_root();
	struct sampler *s = sampler(NULL, 0, NULL, 0);
	open_socket v4 = udp_bind("198.18.1.1:53"), v6 = udp_bind("[2001:db8:1::1]:53");
	struct msg a = take(s), b, c;
	udp_send("198.18.1.1:53", 1000, 50);
	take_until(s, b, b.report.host.udp_drops >= a.report.host.udp_drops + 40);
	udp_send("[2001:db8:1::1]:53", 1000, 50);
	take_until(s, c, c.report.host.udp_drops >= b.report.host.udp_drops + 40);
	msg_done(&a);
	msg_done(&b);
	msg_done(&c);
	sampler_free(s, false);
	(void)state;
}

static void test_host(void **state)
{
	struct sampler *s = sampler(NULL, 0, NULL, 0);
	struct msg a = take(s), b;

	assert_int_equal(strlen(a.report.boot_id), 36);
	assert_true(a.report.mono_us > 0);
	assert_true(a.report.host.cpu_busy_us > 0 && a.report.host.cpu_busy_us < a.report.host.cpu_total_us);
	take_until(s, b, b.report.host.cpu_busy_us > a.report.host.cpu_busy_us);
	assert_true(b.report.host.cpu_total_us > a.report.host.cpu_total_us);
	assert_true(b.report.mono_us > a.report.mono_us);
	msg_done(&a);
	msg_done(&b);
	sampler_free(s, false);
	sampler_free(NULL, false);
	(void)state;
}

int main(void)
{
#define live(test) cmocka_unit_test_setup(test, fresh)
	const struct CMUnitTest tests[] = {
		live(test_vip_counts),	      live(test_vip_syns),
		live(test_vip_nested),	      live(test_vip_restart),
		live(test_vip_reconfigured),  live(test_vip_flushed),
		live(test_vip_rules_flushed), live(test_vip_foreign_table),
		live(test_no_privilege),      live(test_link_counts),
		live(test_qdisc_drops),	      live(test_link_missing),
		live(test_listen_queue),      live(test_listen_drops),
		live(test_udp_drops),	      live(test_host),
	};

	return cmocka_run_group_tests(tests, make_namespace, NULL);
}
