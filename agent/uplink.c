/* SPDX-License-Identifier: Apache-2.0
 * Owns nothing. A counter that went backwards (a new interface of the same name) is no measurement. */
#include "agent/uplink.h"

#include <string.h>

static const struct link_sample *find(const struct uplink *u, const char *name)
{
	for (size_t i = 0; i < u->n; i++)
		if (strcmp(u->links[i].name, name) == 0)
			return &u->links[i];
	return NULL;
}

static double share(const struct link_sample *was, const struct link_sample *now, double seconds)
{
	double tx = (double)(now->tx_bytes - was->tx_bytes), rx = (double)(now->rx_bytes - was->rx_bytes);

	if (!now->speed_bps || now->tx_bytes < was->tx_bytes || now->rx_bytes < was->rx_bytes)
		return -1;
	return (tx > rx ? tx : rx) * 8 / seconds / (double)now->speed_bps;
}

static double fullest(const struct uplink *u, const struct msg_report *r)
{
	double most = -1, seconds = (double)(r->mono_us - u->at_us) / 1e6;

	for (size_t i = 0; i < r->n_links; i++) {
		const struct link_sample *was = find(u, r->links[i].name);
		double s = was ? share(was, &r->links[i], seconds) : -1;
		if (s > most)
			most = s;
	}
	return most;
}

bool uplink_feed(struct uplink *u, const struct msg_report *r, double *ret_util)
{
	bool known =
		u->at_us && r->mono_us > u->at_us && r->mono_us - u->at_us <= UPLINK_AGE_MS * UINT64_C(1000);

	if (known)
		*ret_util = fullest(u, r);
	u->at_us = r->mono_us;
	u->n = r->n_links < MAX_LINKS ? r->n_links : MAX_LINKS;
	if (u->n)
		memcpy(u->links, r->links, u->n * sizeof(u->links[0]));
	return known;
}
