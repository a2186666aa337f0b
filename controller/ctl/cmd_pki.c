/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "controller/ctl/ctl.h"
#include "proto/base/mem.h"
#include "proto/wire/msg.h"
#include "proto/wire/pki.h"

#define CA_DAYS	   3650
#define ISSUE_DAYS 365
#define ENROL_DAYS 1825
#define DAYS_MAX   36500

static int days_ok(const struct ctl *ctl, uint64_t days)
{
	return days >= 1 && days <= DAYS_MAX ? CTL_OK : ctl_usage(ctl, "--days wants 1 to %d", DAYS_MAX);
}

static int init_run(struct ctl *ctl, int argc, char **argv)
{
	const char *cluster = NULL;
	uint64_t days = CA_DAYS;
	const struct opt opts[] = {
		{ 0, "cluster", "NAME", "name in the CA's certificate (required)", OPT_STR, &cluster },
		{ 0, "days", "N", "validity (default 3650)", OPT_UINT, &days },
	};
	char why[TEXT_LEN] = "";
	int i = ctl_opts_(ctl, opts, argc, argv, 1, 1);

	if (i < 0)
		return ctl->rc;
	if (!cluster || !pki_name_ok(cluster))
		return ctl_usage(ctl, "--cluster NAME: letters, digits, '-', '_' and '.', at most 63");
	if (days_ok(ctl, days))
		return CTL_USAGE;
	if (pki_init(argv[i], cluster, (int)days, why) ||
	    pki_enrolment(argv[i], days < ENROL_DAYS ? (int)days : ENROL_DAYS, false, why))
		return ctl_fail("%s", why);
	out_text(&ctl->out, TINT_NONE, "%s/ca.pem  the CA's certificate: every node and sluicectl need it",
		 argv[i]);
	fputc('\n', ctl->out.f);
	out_text(&ctl->out, TINT_NONE, "%s/ca.key  its key: keep it here, and a copy off line", argv[i]);
	fputc('\n', ctl->out.f);
	out_text(&ctl->out, TINT_NONE,
		 "%s/enrol.pem %s/enrol.key  for the controller (enrol: in controller.yaml): it signs nodes "
		 "with it",
		 argv[i], argv[i]);
	fputc('\n', ctl->out.f);
	return CTL_OK;
}

static int role_parse(const char *s, enum pki_role *ret_role)
{
	if (s && !strcmp(s, "node"))
		*ret_role = PKI_ROLE_NODE;
	else if (s && !strcmp(s, "controller"))
		*ret_role = PKI_ROLE_CONTROLLER;
	else
		return -1;
	return 0;
}

static int issue_run(struct ctl *ctl, int argc, char **argv)
{
	const char *dir = NULL, *role_name = NULL, *ips = NULL;
	uint64_t days = ISSUE_DAYS;
	bool force = false;
	const struct opt opts[] = {
		{ 0, "dir", "DIR", "directory of ca.pem and ca.key (required)", OPT_STR, &dir },
		{ 0, "role", "ROLE", "node or controller (required)", OPT_STR, &role_name },
		{ 0, "ip", "A,B", "addresses it is reached at; a controller needs them", OPT_STR, &ips },
		{ 0, "days", "N", "validity (default 365)", OPT_UINT, &days },
		{ 0, "force", NULL, "replace what is there", OPT_FLAG, &force },
	};
	enum pki_role role;
	char why[TEXT_LEN] = "";
	int i = ctl_opts_(ctl, opts, argc, argv, 1, 1);

	if (i < 0)
		return ctl->rc;
	if (!dir)
		return ctl_usage(ctl, "--dir DIR is missing");
	if (role_parse(role_name, &role))
		return ctl_usage(ctl, "--role wants node or controller");
	if (!pki_name_ok(argv[i]))
		return ctl_usage(ctl, "'%s' is no name: letters, digits, '-', '_' and '.', at most 63",
				 argv[i]);
	if (days_ok(ctl, days))
		return CTL_USAGE;
	if (pki_issue(dir, argv[i], role, ips, (int)days, force, why))
		return ctl_fail("%s", why);
	out_text(&ctl->out, TINT_NONE, "%s/%s.pem %s/%s.key", dir, argv[i], dir, argv[i]);
	fputc('\n', ctl->out.f);
	return CTL_OK;
}

static int enrolment_run(struct ctl *ctl, int argc, char **argv)
{
	uint64_t days = ENROL_DAYS;
	bool force = false;
	const struct opt opts[] = {
		{ 0, "days", "N", "validity (default 1825)", OPT_UINT, &days },
		{ 0, "force", NULL, "replace what is there", OPT_FLAG, &force },
	};
	char why[TEXT_LEN] = "";
	int i = ctl_opts_(ctl, opts, argc, argv, 1, 1);

	if (i < 0)
		return ctl->rc;
	if (days_ok(ctl, days))
		return CTL_USAGE;
	if (pki_enrolment(argv[i], (int)days, force, why))
		return ctl_fail("%s", why);
	out_text(&ctl->out, TINT_NONE, "%s/enrol.pem %s/enrol.key", argv[i], argv[i]);
	fputc('\n', ctl->out.f);
	return CTL_OK;
}

static const char rotated[] =
	"1. copy %s/ca.pem to every controller and to everybody's --ca, and reload the controllers: agents "
	"get it\n"
	"   by themselves; wait until sluicectl node certs shows TRUSTS current for all\n"
	"2. sluicectl pki issue controller --dir %s --role controller --ip ... --force and sluicectl pki "
	"enrolment\n"
	"   %s --force; copy both to the controllers, and reload them: agents renew by "
	"themselves;\n"
	"   wait until sluicectl node certs shows CA current for all in use\n"
	"3. sluicectl pki rotate-ca %s --finish, and copy ca.pem as in 1. Then destroy %s/ca-old.key\n";

static int rotate_run(struct ctl *ctl, int argc, char **argv)
{
	uint64_t days = CA_DAYS;
	bool finish = false;
	const struct opt opts[] = {
		{ 0, "days", "N", "validity of the new CA (default 3650)", OPT_UINT, &days },
		{ 0, "finish", NULL, "drop the old CA from ca.pem", OPT_FLAG, &finish },
	};
	char why[TEXT_LEN] = "";
	int i = ctl_opts_(ctl, opts, argc, argv, 1, 1);

	if (i < 0)
		return ctl->rc;
	if (days_ok(ctl, days))
		return CTL_USAGE;
	if (finish ? pki_rotate_finish(argv[i], why) : pki_rotate(argv[i], (int)days, why))
		return ctl_fail("%s", why);
	if (finish)
		printf("%s/ca.pem holds the new CA only: copy it to every controller and reload them\n",
		       argv[i]);
	else
		printf(rotated, argv[i], argv[i], argv[i], argv[i], argv[i]);
	return CTL_OK;
}

const struct cmd cmd_pki_enrolment = {
	.name = "pki enrolment",
	.args = "DIR [--days N] [--force]",
	.brief = "Make another enrolment CA, for the controller to sign nodes with",
	.help = "Writes DIR/enrol.pem and DIR/enrol.key (0600), signed by DIR/ca.key. It can make nodes and "
		"nothing "
		"else; pki\n"
		"init made the first one. Name both in controller.yaml.",
	.run = enrolment_run,
};

const struct cmd cmd_pki_rotate = {
	.name = "pki rotate-ca",
	.args = "DIR [--days N] | DIR --finish",
	.brief = "Replace the cluster's CA while everything runs",
	.help = "Makes a new CA beside the old one; DIR/ca.pem then holds both, so that both are trusted "
		"while "
		"certificates\n"
		"are replaced, and the steps are printed. --finish drops the old one.",
	.run = rotate_run,
};

const struct cmd cmd_pki_init = {
	.name = "pki init",
	.args = "DIR --cluster NAME [--days N]",
	.brief = "Make the cluster's own CA in DIR",
	.help = "Writes DIR/ca.pem and DIR/ca.key (0600), and an enrolment CA signed by it: DIR/enrol.pem "
		"and\n"
		"DIR/enrol.key, for the controller. An existing CA is never overwritten.",
	.run = init_run,
};

const struct cmd cmd_pki_issue = {
	.name = "pki issue",
	.args = "NAME --dir DIR --role node|controller [--ip A,B] [--days N] [--force]",
	.brief = "Issue a certificate for a node or a controller",
	.help = "Writes DIR/NAME.pem and DIR/NAME.key (0600), signed by DIR/ca.key. NAME is the node's name "
		"in the\n"
		"cluster document: an agent can speak for that name only. The controller's certificate "
		"serves HTTPS\n"
		"too, so --ip must hold the addresses that sluicectl's --url names.",
	.run = issue_run,
};
