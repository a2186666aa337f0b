/* SPDX-License-Identifier: Apache-2.0
 * The certificate that HTTPS shows, and its replacement while the server runs. One in a process: MHD's
 * callback has no argument of ours. */
#ifndef API_IDENTITY_H
#define API_IDENTITY_H
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

#include "proto/base/mono.h"

/* Handshakes from now on get this certificate (PEM files); an error, in ret_why (TEXT_LEN), leaves the one
 * before. */
int identity_serve(const char *cert, const char *key, char *ret_why);
/* The one before again, when nothing was served meanwhile: the rest of a reload failed. */
void identity_revert(void);
/* MHD_OPTION_HTTPS_CERT_CALLBACK */
gnutls_certificate_retrieve_function2 identity_callback;
/* Frees what was replaced, once no handshake can hold it any more. */
void identity_sweep(mono_t now);
void identity_done(void);
#endif
