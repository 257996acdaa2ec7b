/* doctor.h: what `moontail doctor` looks at: one line for each thing, and what to do about it.
 */
#pragma once

#include "cli/cli.h"
#include "collector/setup.h"

#include <stdbool.h>

enum finding { FINDING_OK, FINDING_WARN, FINDING_FAIL };

struct doctor {
    unsigned warnings, failures;
};

/* Prints one line: "ok    journal    TEXT". */
void doctor_say(struct doctor *d, enum finding finding, const char *about, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The line below: what to do. */
void doctor_advise(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Where an exporter sends, as its options say. */
struct doctor_target {
    char exporter[128];
    char url[512];   /* "": not known */
    char proxy[256]; /* "": none of its own */
    bool is_signed, no_verify;
    char service[64], region[64], role_arn[512], external_id[1280]; /* if signed; "": not given */
    char log_group[520]; /* of CloudWatch Logs, that is written to */
};

enum { DOCTOR_TARGETS_MAX = 64 };

struct doctor_targets {
    struct doctor_target list[DOCTOR_TARGETS_MAX];
    size_t count;
};

/* doctor_targets.c: reads them from the configuration that ran in L. */
void doctor_targets_read(lua_State *L, struct doctor_targets *t);

/* doctor_machine.c */
void doctor_check_ports(struct doctor *d, const struct config *config);
void doctor_check_journal(struct doctor *d, const struct config *config);
void doctor_check_control(struct doctor *d, const struct config *config);
void doctor_check_memory(struct doctor *d, const struct config *config);
void doctor_check_limits(struct doctor *d, const struct config *config);
void doctor_check_jit(struct doctor *d, const struct config *config);

/* doctor_files.c: certificates, keys and the files that exporters write. */
void doctor_check_files(struct doctor *d, const struct setup *s, const struct setup_loaded *l);

/* doctor_net.c: a name's addresses, and a connection to one of them; that of the proxy where there
 * is one. True: somebody takes connections, or it is not known where to. */
bool doctor_check_target(struct doctor *d, const struct doctor_target *t);

/* doctor_aws.c: who signs, whether the service takes it, and how far its clock is from ours. */
void doctor_check_aws(struct doctor *d, const struct doctor_target *given);
void doctor_check_clock(struct doctor *d);
