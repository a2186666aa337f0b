/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/hold.h"

#include <stdio.h>
#include <string.h>

bool hold_news(struct hold *h, const char *cause, mono_t now)
{
	char text[HOLD_LEN];

	snprintf(text, sizeof(text), "%s", cause);
	for (size_t i = 0; i < HOLD_CAUSES; i++) {
		if (!mono_is_set(h->said[i].at) || strcmp(h->said[i].cause, text) != 0)
			continue;
		bool again = mono_diff_ms(h->said[i].at, now) >= HOLD_QUIET_MS;
		h->said[i].at = now;
		return again;
	}
	memcpy(h->said[h->next].cause, text, sizeof(text));
	h->said[h->next].at = now;
	h->next = (h->next + 1) % HOLD_CAUSES;
	return true;
}
