/* SPDX-License-Identifier: Apache-2.0
 * Our own small CA (GnuTLS, P-256, RFC 5280). A certificate's name is its CN and a DNS SAN; its role is an
 * organizational unit, so that a node's certificate can never play the controller.
 * Files: keys 0600, certificates 0644; nothing existing is overwritten unless asked. */
#ifndef WIRE_PKI_H
#define WIRE_PKI_H
#include <stdbool.h>

enum pki_role { PKI_ROLE_NODE = 1, PKI_ROLE_CONTROLLER = 2 };

/* dir/ca.pem and dir/ca.key, valid for days. -EEXIST when there is one already. ret_why: TEXT_LEN bytes. */
int pki_init(const char *dir, const char *cluster, int days, char *ret_why);
/* dir/NAME.pem and dir/NAME.key signed by dir/ca.*; ips: comma separated addresses for the SAN, or NULL.
 * The controller's certificate serves HTTPS too. */
int pki_issue(const char *dir, const char *name, enum pki_role role, const char *ips, int days, bool force,
	      char *ret_why);
/* letters, digits, '-', '_' and '.', 1..63, not starting with '.' or '-' */
bool pki_name_ok(const char *name);
#endif
