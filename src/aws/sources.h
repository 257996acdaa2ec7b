/* sources.h: where credentials come from: one attempt with one source is one of these. Each asks by
 * an exchange, or runs a process, and ends with keys or a sentence.
 */
#pragma once

#include "aws/exchange.h"
#include "aws/keys.h"
#include "aws/settings.h"

#include <sys/types.h>

enum { SOURCE_ARN_MAX = 512, SOURCE_NAME_MAX = 128, SOURCE_EXTERNAL_MAX = 1300 };

/* ---- sts.c: roles ---- */

struct sts_role {
    char arn[SOURCE_ARN_MAX];
    char session[SOURCE_NAME_MAX];      /* empty: one is made */
    char external[SOURCE_EXTERNAL_MAX]; /* empty: none */
    unsigned duration_s;                /* 0: what STS does */
};

struct sts {
    const struct aws_settings *settings;
    struct sts_role role;
    char token_file[SETTINGS_TEXT_MAX]; /* with a web identity's token; else keys sign */
    const struct keys *base;            /* that sign; borrowed */
    char region[SETTINGS_REGION_MAX];   /* "": not known */
    uint64_t now_unix_s;                /* what the request is signed as of; kept by fetch */
    int64_t offset_s;                   /* of STS's clock from ours, once it refused ours */
    bool read_again, moved;             /* the token file; to the partition's primary region */
    struct keys keys;                   /* the result */
};

extern const struct exchange_kind sts_kind;
/* The values of a form, percent-encoded. */
void sts_form(struct buf *out, const char *name, struct slice value);

/* ---- imds.c: the instance's metadata service ---- */

struct imds {
    const struct aws_settings *settings;
    char token[1024];
    bool has_token, is_v1, renewed;
    char no_token[400]; /* why, where there is none */
    char path[512];     /* what is asked for next, "/latest/..." */
    /* What came for `path`; EXCHANGE_SEND: for the path that it set. status: 200 or 404. */
    enum exchange_next (*got)(struct exchange *x, struct imds *i, int status, struct slice body);
    void *arg; /* got's own */
};

extern const struct exchange_kind imds_kind;
bool imds_is_off(const struct aws_settings *s);
/* The one that finds the role and its keys, into *keys. */
void imds_for_keys(struct imds *i, const struct aws_settings *settings, struct keys *keys);

/* ---- container.c: ECS and EKS Pod Identity ---- */

struct container {
    const struct aws_settings *settings;
    struct keys keys;
};

extern const struct exchange_kind container_kind;
/* One of the two variables is set. */
bool container_is_there(const struct aws_settings *s);
/* Plain http only to addresses that never leave the machine. */
bool container_may_ask(const char *url);

/* ---- process.c: a program that prints credentials ---- */

struct process {
    pid_t pid; /* 0: it does not run */
    int fd;
    uint64_t until_ns; /* 0: not known yet */
    struct buf output;
    enum exchange_state state;
    char error[400];
    struct keys keys;
};

/* Runs `command` by /bin/sh. */
void process_begin(struct process *p, const char *command);
/* Reads what came; ends it when it is late or says too much. Returns when to call it next. */
uint64_t process_step(struct process *p, uint64_t now_ns);
/* Kills it if it runs. A zeroed one is allowed. */
void process_fini(struct process *p);
