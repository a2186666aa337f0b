/* SPDX-License-Identifier: Apache-2.0
 * Idempotency keys on POST: the same request under the same key of the same token is answered again, not done
 * again. In memory: at most IDEM_MAX answers and IDEM_BYTES_MAX of them, each for IDEM_KEEP_MS; a restart or
 * a new leader forgets them. What is durable is the operation itself: repeated after that, it finds its own
 * work done (409). */
#ifndef API_IDEM_H
#define API_IDEM_H
#include "controller/api/http.h"

#define IDEM_MAX       1000
#define IDEM_BYTES_MAX (16 * 1024 * 1024)
#define IDEM_KEEP_MS   (60 * 60 * 1000)
#define IDEM_KEY_MAX   128

struct idem;
struct idem *idem_new(void);
void idem_free(struct idem *m);
/* true: *ret_response answers req (again, or because its key is no key or another request's). false: do it,
 * then call idem_keep. */
bool idem_known(struct idem *m, const struct request *req, mono_t now, struct response *ret_response);
void idem_keep(struct idem *m, const struct request *req, const struct response *r, mono_t now);
#endif
