/* SPDX-License-Identifier: Apache-2.0
 * Pure: no clock, no I/O, no log, no globals. */
#include "agent/sample/proc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/err.h"

/* the next word of a line; NULL at its end */
static const char *next_word(const char *at, size_t *ret_len)
{
	at += strspn(at, " \t");
	*ret_len = strcspn(at, " \t\n");
	return *ret_len ? at : NULL;
}

static bool is_word(const char *at, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(at, word, len) == 0;
}

/* some values of snmp are negative ("MaxConn -1"): not a number here */
static int word_number(const char *at, size_t len, int base, uint64_t *ret_value)
{
	char digits[24], *end;

	if (!len || len >= sizeof(digits) || *at == '-' || *at == '+')
		return ERR_MALFORMED;
	memcpy(digits, at, len);
	digits[len] = 0;
	uint64_t value = strtoull(digits, &end, base);
	if (*end)
		return ERR_MALFORMED;
	*ret_value = value;
	return 0;
}

static const char *next_line(const char *at)
{
	at += strcspn(at, "\n");
	return *at ? at + 1 : at;
}

/* the rest of the first line at or after `at` whose first word is this; NULL when none is */
static const char *find_line(const char *at, const char *word)
{
	for (; *at; at = next_line(at)) {
		size_t len;
		const char *first = next_word(at, &len);
		if (first && is_word(first, len, word))
			return first + len;
	}
	return NULL;
}

int proc_pair(const char *text, const char *group, const char *field, uint64_t *ret_value)
{
	const char *names = find_line(text, group);
	const char *values = names ? find_line(next_line(names), group) : NULL;
	size_t name_len, value_len;

	while (values) {
		names = next_word(names, &name_len);
		values = next_word(values, &value_len);
		if (!names || !values)
			break;
		if (is_word(names, name_len, field))
			return word_number(values, value_len, 10, ret_value);
		names += name_len;
		values += value_len;
	}
	return ERR_MALFORMED;
}

int proc_line(const char *text, const char *name, uint64_t *ret_value)
{
	const char *at = find_line(text, name);
	size_t len;

	at = at ? next_word(at, &len) : NULL;
	return at ? word_number(at, len, 10, ret_value) : ERR_MALFORMED;
}

int proc_softnet(const char *text, uint64_t *ret_drops)
{
	uint64_t sum = 0, drops;
	size_t len;

	if (!*text)
		return ERR_MALFORMED;
	for (; *text; text = next_line(text)) {
		const char *at = next_word(text, &len); /* processed */
		at = at ? next_word(at + len, &len) : NULL;
		if (!at || word_number(at, len, 16, &drops) < 0)
			return ERR_MALFORMED;
		sum += drops;
	}
	*ret_drops = sum;
	return 0;
}

int proc_cpu(const char *text, uint64_t *ret_busy, uint64_t *ret_total)
{
	enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, FIELDS }; /* guest is within user */
	uint64_t v[FIELDS];
	const char *at = find_line(text, "cpu");
	size_t len;

	for (int i = 0; i < FIELDS; i++) {
		at = at ? next_word(at, &len) : NULL;
		if (!at || word_number(at, len, 10, &v[i]) < 0)
			return ERR_MALFORMED;
		at += len;
	}
	*ret_busy = v[USER] + v[NICE] + v[SYSTEM] + v[IRQ] + v[SOFTIRQ] + v[STEAL];
	*ret_total = *ret_busy + v[IDLE] + v[IOWAIT];
	return 0;
}
