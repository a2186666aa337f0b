/* SPDX-License-Identifier: Apache-2.0
 * Tokens: roles, broken lines, and a file that changes, goes and comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include "controller/api/auth.h"
#include "proto/base/log.h"
#include "proto/base/mem.h"

static char path[] = "/tmp/sluice-tokens.XXXXXX";

static void line(FILE *f, const char *name, const char *role, const char *token)
{
	uint8_t h[32];

	gnutls_hash_fast(GNUTLS_DIG_SHA256, token, strlen(token), h);
	fprintf(f, "%s %s ", name, role);
	for (int i = 0; i < 32; i++)
		fprintf(f, "%02x", h[i]);
	fputc('\n', f);
}

static void expect(struct auth *a, const char *header, enum role role, const char *actor)
{
	uint8_t hash[AUTH_HASH_LEN];
	char got[NAME_LEN] = "";

	assert_int_equal(auth_check(a, header, got, hash), role);
	assert_string_equal(got, actor);
}

static void write_file(const char *name, const char *role, const char *token)
{
	auto_fclose FILE *f = fopen(path, "w");

	assert_non_null(f);
	line(f, name, role, token);
}

static void test_roles(void **state)
{
	auto_fclose FILE *f = fopen(path, "w");

	(void)state;
	fputs("# tokens\n\n", f);
	line(f, "vera", "viewer", "t1");
	line(f, "olaf", "operator", "t2");
	line(f, "ada", "admin", "t3");
	fflush(f);
	struct auth *a = auth_new(path, NULL);
	expect(a, "Bearer t1", ROLE_VIEWER, "vera");
	expect(a, "Bearer t2", ROLE_OPERATOR, "olaf");
	expect(a, "bearer  t3", ROLE_ADMIN, "ada");
	expect(a, NULL, ROLE_NONE, "");
	expect(a, "", ROLE_NONE, "");
	expect(a, "Bearer", ROLE_NONE, "");
	expect(a, "Bearer ", ROLE_NONE, "");
	expect(a, "Basic t1", ROLE_NONE, "");
	expect(a, "Bearer t4", ROLE_NONE, "");
	expect(a, "Bearer t1 ", ROLE_NONE, "");
	auto_free char *longer = xcalloc(1, 2000);
	memset(longer, 'x', 1999);
	memcpy(longer, "Bearer ", 7);
	expect(a, longer, ROLE_NONE, "");
	auth_free(a);
}

static void test_broken_lines(void **state)
{
	auto_fclose FILE *f = fopen(path, "w");

	(void)state;
	fputs("alone\nname viewer\nname viewer nothex\nname king ", f);
	line(f, "", "", "t0");
	fputs("name viewer zz\nname viewer 00 00\n", f);
	line(f, "vera", "viewer", "t1");
	line(f, "vera", "admin", "t2");	 /* the name is taken */
	line(f, "v\xff", "admin", "t3"); /* the audit could not say who it was */
	line(f, "v\x1b[2J", "admin", "t4");
	fflush(f);
	struct auth *a = auth_new(path, NULL);
	expect(a, "Bearer t3", ROLE_NONE, "");
	expect(a, "Bearer t4", ROLE_NONE, "");
	expect(a, "Bearer t0", ROLE_NONE, "");
	expect(a, "Bearer t1", ROLE_VIEWER, "vera");
	expect(a, "Bearer t2", ROLE_NONE, "");
	auth_free(a);
}

static void test_changes(void **state)
{
	(void)state;
	write_file("vera", "viewer", "t1");
	struct auth *a = auth_new(path, NULL);
	expect(a, "Bearer t1", ROLE_VIEWER, "vera");
	/* the same size, the same second: revoked at once all the same */
	write_file("vera", "viewer", "t2");
	expect(a, "Bearer t1", ROLE_NONE, "");
	expect(a, "Bearer t2", ROLE_VIEWER, "vera");
	unlink(path);
	expect(a, "Bearer t2", ROLE_NONE, "");
	write_file("vera", "admin", "t3");
	expect(a, "Bearer t3", ROLE_ADMIN, "vera");
	/* an old file is not read again and again, and a new one put in its place is */
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	expect(a, "Bearer t3", ROLE_ADMIN, "vera");
	write_file("vera", "admin", "t4");
	expect(a, "Bearer t3", ROLE_NONE, "");
	expect(a, "Bearer t4", ROLE_ADMIN, "vera");
	auth_free(a);
}

static void test_too_many(void **state)
{
	auto_fclose FILE *f = fopen(path, "w");
	char name[32], token[32];

	(void)state;
	for (int i = 0; i < AUTH_TOKENS_MAX + 5; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		snprintf(token, sizeof(token), "t%d", i);
		line(f, name, "viewer", token);
	}
	fflush(f);
	struct auth *a = auth_new(path, NULL);
	expect(a, "Bearer t999", ROLE_VIEWER, "n999");
	expect(a, "Bearer t1000", ROLE_NONE, "");
	auth_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_broken_lines),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_too_many),
	};
	int fd = mkstemp(path);

	if (fd < 0)
		return 1;
	close(fd);
	log_init("auth_test", LOG_LEVEL_ERROR, false);
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return r;
}
