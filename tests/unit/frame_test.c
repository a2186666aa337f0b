/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "proto/base/err.h"
#include "proto/base/mono.h"
#include "tests/fuzz/fuzz.h"

static void test_one_frame(void **state)
{
	struct frame_in f = { 0 };
	auto_buf out = { 0 };
	const uint8_t *body = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(frame_put(&out, "hello", 5), 0);
	assert_int_equal(out.len, 9);
	assert_memory_equal(out.data, "\0\0\0\5hello", 9);
	for (size_t i = 0; i < out.len; i++) {
		assert_int_equal(frame_peek(&f, &body, &len), 0);
		assert_int_equal(frame_feed(&f, out.data + i, 1), 0);
	}
	assert_int_equal(frame_peek(&f, &body, &len), 1);
	assert_int_equal(len, 5);
	assert_memory_equal(body, "hello", 5);
	assert_int_equal(frame_peek(&f, &body, &len), 1); /* peeking changes nothing */
	frame_take(&f);
	assert_int_equal(frame_peek(&f, &body, &len), 0);
	frame_take(&f); /* nothing to take: harmless */
	assert_int_equal(f.b.len, 0);
	frame_done(&f);
}

static void test_put_limits(void **state)
{
	auto_buf out = { 0 };
	auto_buf small = { .max = 8 };
	auto_free char *big = xcalloc(1, FRAME_MAX + 1);

	(void)state;
	assert_int_equal(frame_put(&out, big, 0), ERR_FRAME_TOO_BIG);
	assert_int_equal(frame_put(&out, big, FRAME_MAX + 1), ERR_FRAME_TOO_BIG);
	assert_int_equal(out.len, 0);
	assert_int_equal(frame_put(&out, big, FRAME_MAX), 0);
	assert_int_equal(frame_put(&small, "12345", 5), ERR_LIMIT);
	assert_int_equal(small.len, 0);
	assert_int_equal(frame_put(&small, "1234", 4), 0);
	struct frame_in f = { 0 };
	const uint8_t *body;
	size_t len;
	assert_int_equal(frame_feed(&f, out.data, out.len), 0);
	assert_int_equal(frame_peek(&f, &body, &len), 1);
	assert_int_equal(len, FRAME_MAX);
	frame_done(&f);
}

/* the header alone decides, and nothing after it is stored */
static void test_wrong_header_at_once(void **state)
{
	static const struct {
		const char *bytes;
		size_t n, max;
		int err;
	} rows[] = {
		{ "\0\0\0\0xxxx", 8, 0, ERR_MALFORMED },
		{ "\0\4\0\1xxxx", 8, 0, ERR_FRAME_TOO_BIG },
		{ "\377\377\377\377xxxx", 8, 0, ERR_FRAME_TOO_BIG },
		{ "\0\0\0\13xxxx", 8, 10, ERR_FRAME_TOO_BIG },
		{ "\0\0\0\12xxxx", 8, 10, 0 },
		{ "\377\377\377", 3, 0, 0 }, /* not whole yet */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct frame_in f = { .max = rows[i].max };
		const uint8_t *body;
		size_t len;
		assert_int_equal(frame_feed(&f, rows[i].bytes, rows[i].n), rows[i].err);
		assert_int_equal(frame_peek(&f, &body, &len), rows[i].err);
		assert_int_equal(f.b.len, rows[i].err ? 4 : rows[i].n);
		/* and it stays that way */
		if (rows[i].err)
			assert_int_equal(frame_feed(&f, "\0\0\0\1x", 5), rows[i].err);
		assert_int_equal(f.b.len, rows[i].err ? 4 : rows[i].n);
		frame_done(&f);
	}
}

static void test_good_frames_before_a_wrong_one(void **state)
{
	static const char stream[] = "\0\0\0\1a\0\0\0\2bc\0\0\0\0\0\0\0\1d";
	struct frame_in f = { 0 };
	const uint8_t *body = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(frame_feed(&f, stream, sizeof(stream) - 1), ERR_MALFORMED);
	assert_int_equal(frame_peek(&f, &body, &len), 1);
	assert_memory_equal(body, "a", 1);
	frame_take(&f);
	assert_int_equal(frame_peek(&f, &body, &len), 1);
	assert_memory_equal(body, "bc", 2);
	frame_take(&f);
	assert_int_equal(frame_peek(&f, &body, &len), ERR_MALFORMED);
	frame_done(&f);
}

/* Frame i is of some length, and byte k of it is i + k. */
static size_t frame_len(unsigned i)
{
	return 1 + (i * 7919u) % 1500;
}

static void make_stream(struct buf *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t body[1500];
		for (size_t k = 0; k < frame_len(i); k++)
			body[k] = (uint8_t)(i + k);
		assert_int_equal(frame_put(s, body, frame_len(i)), 0);
	}
}

static unsigned take_all(struct frame_in *f, unsigned next)
{
	const uint8_t *body = NULL;
	size_t len = 0;

	while (frame_peek(f, &body, &len) == 1) {
		assert_int_equal(len, frame_len(next));
		for (size_t k = 0; k < len; k++)
			assert_int_equal(body[k], (uint8_t)(next + k));
		frame_take(f);
		next++;
	}
	return next;
}

static void test_any_pieces(void **state)
{
	unsigned seed = (unsigned)mono_now().us;
	auto_buf s = { 0 };

	(void)state;
	print_message("seed %u\n", seed);
	make_stream(&s, 200);
	for (int round = 0; round < 50; round++) {
		struct frame_in f = { 0 };
		unsigned next = 0;
		size_t max_piece = 1 + (size_t)rand_r(&seed) % 5000;
		for (size_t at = 0; at < s.len;) {
			size_t piece = 1 + (size_t)rand_r(&seed) % max_piece;
			if (piece > s.len - at)
				piece = s.len - at;
			assert_int_equal(frame_feed(&f, s.data + at, piece), 0);
			at += piece;
			/* sometimes the owner is late */
			if (rand_r(&seed) % 4 || at == s.len)
				next = take_all(&f, next);
		}
		assert_int_equal(next, 200);
		assert_int_equal(f.b.len, 0);
		frame_done(&f);
	}
}

/* many small frames in one feed cost moves of an index, not of bytes */
static void test_small_frames_are_cheap(void **state)
{
	auto_buf s = { 0 };
	struct frame_in f = { 0 };
	const uint8_t *body;
	size_t len, n = 0;

	(void)state;
	for (int i = 0; i < 200000; i++)
		frame_put(&s, "x", 1);
	mono_t start = mono_now();
	assert_int_equal(frame_feed(&f, s.data, s.len), 0);
	for (; frame_peek(&f, &body, &len) == 1; n++)
		frame_take(&f);
	assert_int_equal(n, 200000);
	/* moving a megabyte 200,000 times would take ten seconds and more */
	assert_true(mono_diff_ms(start, mono_now()) < 3000);
	assert_null(f.b.data); /* and the memory is given back */
	frame_done(&f);
}

static void test_corpus(void **state)
{
	(void)state;
	assert_in_range(fuzz_replay("tests/fuzz/corpus/frame"), 3, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_frame),
		cmocka_unit_test(test_put_limits),
		cmocka_unit_test(test_wrong_header_at_once),
		cmocka_unit_test(test_good_frames_before_a_wrong_one),
		cmocka_unit_test(test_any_pieces),
		cmocka_unit_test(test_small_frames_are_cheap),
		cmocka_unit_test(test_corpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
