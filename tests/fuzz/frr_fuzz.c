/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as an answer of bgpd; byte 0 chooses the question. What is found is within its limits, lists are
 * sorted as the searches need them, and an answer that is refused leaves nothing behind.
 * links: agent/frr/parse.c agent/frr/route.c proto/base/addr.c proto/base/err.c proto/base/mem.c
 */
#include <string.h>

#include "agent/frr/parse.h"
#include "proto/base/err.h"
#include "tests/fuzz/fuzz.h"

static void try_config(const char *text)
{
	struct frr_config c;
	int err = parse_config(text, &c);

	must(err == 0 || err == ERR_MALFORMED || err == ERR_LIMIT);
	if (err)
		return;
	for (size_t i = 0; i < c.n_networks; i++) {
		must(memchr(c.networks[i].map, 0, MAP_NAME_LEN));
		must(frr_network_find(&c, &c.networks[i].prefix));
		must(!i || prefix_cmp(&c.networks[i - 1].prefix, &c.networks[i].prefix) <= 0);
	}
	for (size_t i = 0; i < c.n_maps; i++) {
		struct route_attrs a = c.maps[i].attrs;
		must(frr_map_find(&c, c.maps[i].name) == &c.maps[i]);
		must(c.maps[i].odd || route_attrs_normalise(&a, NULL) == 0);
	}
	frr_config_done(&c);
}

static void try_summary(const char *text)
{
	struct frr_summary s = { 0 };
	int err = parse_summary(text, &s);

	must(err == 0 || err == ERR_MALFORMED || err == ERR_LIMIT);
	for (int afi = 0; afi < AFI_COUNT; afi++) {
		must(s.n[afi] <= NEIGHBOURS_MAX && (!err || !s.n[afi]));
		for (size_t i = 1; i < s.n[afi]; i++)
			must(strcmp(s.neighbours[afi][i - 1].name, s.neighbours[afi][i].name) < 0);
	}
	frr_summary_done(&s);
}

static void try_advertised(const char *text)
{
	struct prefix *list = NULL;
	size_t n = 0;
	int err = parse_advertised(text, &list, &n);

	must(err == 0 || err == ERR_MALFORMED || err == ERR_LIMIT);
	must(!err || (!list && !n));
	for (size_t i = 1; i < n; i++)
		must(prefix_cmp(&list[i - 1], &list[i]) <= 0);
	free(list);
}

static void try_path(const char *text)
{
	struct frr_path p = { 0 };
	int err = parse_path(text, &p);

	must(err == 0 || err == ERR_MALFORMED);
	must(!err || !p.present);
	must(p.attrs.n_communities <= MAX_COMMUNITIES && p.attrs.n_large <= MAX_COMMUNITIES &&
	     p.attrs.n_ext <= MAX_COMMUNITIES);
}

static void try_map(const char *text)
{
	parse_remade(text, "SLUICE-00000000000000aa-A");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tries[])(const char *) = { try_config, try_summary, try_advertised, try_path,
						       try_map };

	if (size < 1)
		return 0;
	auto_free char *text = xcalloc(1, size);
	memcpy(text, data + 1, size - 1);
	tries[data[0] % ARRAY_LEN(tries)](text);
	return 0;
}
