/* SPDX-License-Identifier: Apache-2.0
 * sluice-agent COMMAND: what people and units run beside the daemon. */
#ifndef AGENT_COMMAND_H
#define AGENT_COMMAND_H

#define COMMAND_CONFIG "/etc/sluice/agent.yaml"

/* argv[0]: the command's name. The exit status: 0; 1 it failed; 2 used wrongly. */
int command_main(int argc, char **argv);

/* lost.c: withdraws what on_agent_loss: withdraw says, for systemd's OnFailure. */
int command_lost(const char *config);
/* enroll.c: reads its own options. */
int command_enroll(int argc, char **argv);
/* import.c: argv[0] is the file. */
int command_import(const char *path);
#endif
