#include "aws/credentials.h"

#include <stdio.h>
#include <stdlib.h>

struct credentials {
    struct credentials_config config; /* its texts are owned */
    struct sigv4_credentials found;   /* texts owned; access_key empty: none */
    char region[64];
    char error[256];
};

static const char *process_env(const char *name)
{
    return getenv(name);
}

static const char *copy(const char *text)
{
    char *made = text ? strdup(text) : NULL;

    if (text && !made)
        err_no_memory("AWS credentials");
    return made;
}

struct credentials *credentials_new(const struct credentials_config *config)
{
    struct credentials *c = calloc(1, sizeof(*c));

    if (!c)
        err_no_memory("AWS credentials");
    c->config = *config;
    if (!c->config.env)
        c->config.env = process_env;
    c->config.region = copy(config->region);
    c->config.role_arn = copy(config->role_arn);
    c->config.external_id = copy(config->external_id);
    return c;
}

static void forget(struct slice *secret)
{
    if (secret->len)
        explicit_bzero((void *)secret->data, secret->len);
    free((void *)secret->data);
    *secret = (struct slice){0};
}

static void keep(struct slice *secret, const char *value)
{
    forget(secret);
    if (value && *value)
        *secret = slice_str(copy(value));
}

void credentials_free(struct credentials *c)
{
    if (!c)
        return;
    forget(&c->found.access_key);
    forget(&c->found.secret_key);
    forget(&c->found.session_token);
    free((void *)c->config.region);
    free((void *)c->config.role_arn);
    free((void *)c->config.external_id);
    free(c);
}

static bool is_set(const char *value)
{
    return value && *value;
}

static bool from_environment(struct credentials *c)
{
    const char *id = c->config.env("AWS_ACCESS_KEY_ID");
    const char *secret = c->config.env("AWS_SECRET_ACCESS_KEY");

    if (!is_set(id) || !is_set(secret)) {
        snprintf(c->error, sizeof(c->error), "the environment has no %s",
                 is_set(id) ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
        return false;
    }
    keep(&c->found.access_key, id);
    keep(&c->found.secret_key, secret);
    keep(&c->found.session_token, c->config.env("AWS_SESSION_TOKEN"));
    c->error[0] = '\0';
    return true;
}

const struct sigv4_credentials *credentials_get(struct credentials *c, uint64_t now_unix_ns)
{
    (void)now_unix_ns; /* those of the environment don't expire */
    if (c->config.role_arn) {
        snprintf(c->error, sizeof(c->error), "no role can be assumed yet");
        return NULL;
    }
    return c->found.access_key.len || from_environment(c) ? &c->found : NULL;
}

const char *credentials_error(const struct credentials *c)
{
    return c->error;
}

void credentials_rejected(struct credentials *c)
{
    forget(&c->found.access_key); /* read again; the environment gives no others */
}

uint64_t credentials_step(struct credentials *c, uint64_t now_ns, uint64_t now_unix_ns)
{
    (void)c;
    (void)now_ns;
    (void)now_unix_ns;
    return NEVER_NS;
}

const char *credentials_region(struct credentials *c)
{
    const char *region = c->config.env("AWS_REGION");

    if (!is_set(region))
        region = c->config.env("AWS_DEFAULT_REGION");
    if (!is_set(region))
        return NULL;
    snprintf(c->region, sizeof(c->region), "%s", region);
    return c->region;
}
