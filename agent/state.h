/* SPDX-License-Identifier: Apache-2.0
 * The last directive on disk: STATE_DIR/directive, so that an agent started while no controller is there goes
 * on where it was. Version, boot id and a CRC-32 of the packed directive; written beside and renamed. Lost or
 * unreadable is not a withdrawal: the owner says it once and lets routes be as they are. Leases inside
 * (permit_ms, expires_ms from heard_us) mean something only in the boot they were written in. */
#ifndef AGENT_STATE_H
#define AGENT_STATE_H
#include "proto/wire/msg.h"

#define STATE_MAX (8 * 1024 * 1024)

struct state {
	char boot_id[NAME_LEN];
	struct msg_directive directive; /* heap inside */
};

/* Pure. out must be empty. */
void state_encode(const struct state *s, struct buf *out);
/* Pure. 0, ERR_MALFORMED, ERR_VERSION or ERR_LIMIT with ret_why (TEXT_LEN); ret_state is untouched then. */
int state_decode(const void *data, size_t len, struct state *ret_state, char *ret_why);
/* -ENOENT: there is none (yet). -EROFS: dir cannot be written, what the file says may be outdated; *ret_state
 * is valid, without permits. Others: see decode. ret_why: TEXT_LEN, a sentence with the path. */
int state_load(const char *dir, struct state *ret_state, char *ret_why);
/* Write and rename, both at once: what was said before a crash of ours is known after it. The file reaches
 * the platter by *ret_fd, which the caller fsyncs in its own time and closes (a lost boot voids every lease
 * anyway). When writing fails the old file is removed: it may hold a permit that was taken back. */
int state_save(const char *dir, const struct state *s, int *ret_fd, char *ret_why);
void state_done(struct state *s);
#endif
