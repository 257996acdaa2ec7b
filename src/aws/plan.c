/* The order of the AWS SDK for Go, version 2 (config, resolve_credentials). */
#include "aws/plan.h"

#include <stdio.h>
#include <stdlib.h>

/* What is resolved at one time: a chain of profiles. */
struct resolving {
    struct plan *plan;
    const struct aws_settings *settings;
    struct profiles profiles;
};

static bool fail(struct plan *p, const char *profile, const char *why)
{
    p->base = PLAN_NONE;
    snprintf(p->error, sizeof(p->error), "profile %.100s %s", profile, why);
    return false;
}

static void base(struct plan *p, enum plan_base kind, const char *name)
{
    p->base = kind;
    p->name = name;
}

/* False: it does not fit. */
static bool copy(char *to, size_t size, struct slice from)
{
    if (from.len >= size || memchr(from.data ? from.data : (const void *)"", 0, from.len))
        return false;
    snprintf(to, size, "%.*s", (int)from.len, (const char *)from.data);
    return true;
}

static struct slice text_of(const char *text)
{
    return text ? slice_str(text) : (struct slice){0};
}

static bool from_env_keys(struct plan *p, const struct aws_settings *s)
{
    if (!keys_set(&p->keys, text_of(settings_env(s, "AWS_ACCESS_KEY_ID")),
                  text_of(settings_env(s, "AWS_SECRET_ACCESS_KEY")),
                  text_of(settings_env(s, "AWS_SESSION_TOKEN")), UINT64_MAX))
        return false;
    base(p, PLAN_STATIC, "environment");
    return true;
}

/* What is wrong with keys that can't be taken; NULL: there are none. */
static const char *bad_keys(struct slice id, struct slice secret, const char *no_id,
                            const char *no_secret)
{
    if (id.len && secret.len)
        return "has keys with a blank or a line break in one of them, or that are too long";
    if (!id.len && !secret.len)
        return NULL;
    return id.len ? no_secret : no_id;
}

/* What can't be taken is a mistake, here and below, not a reason to become somebody else. */
static bool has_bad_env_keys(struct plan *p, const struct aws_settings *s)
{
    const char *why = bad_keys(text_of(settings_env(s, "AWS_ACCESS_KEY_ID")),
                               text_of(settings_env(s, "AWS_SECRET_ACCESS_KEY")),
                               "has no AWS_ACCESS_KEY_ID", "has no AWS_SECRET_ACCESS_KEY");

    if (why)
        snprintf(p->error, sizeof(p->error), "the environment %s", why);
    return why != NULL;
}

/* True: it is meant; p->error says if it can't be. */
static bool from_env_web_identity(struct plan *p, const struct aws_settings *s)
{
    const char *file = settings_env(s, "AWS_WEB_IDENTITY_TOKEN_FILE");
    const char *arn = settings_env(s, "AWS_ROLE_ARN");

    if (!file)
        return false;
    if (arn && copy(p->token_file, sizeof(p->token_file), slice_str(file)) &&
        copy(p->web.arn, sizeof(p->web.arn), slice_str(arn)))
        base(p, PLAN_WEB_IDENTITY, "web identity");
    else
        snprintf(p->error, sizeof(p->error),
                 "AWS_WEB_IDENTITY_TOKEN_FILE is set, but no AWS_ROLE_ARN%s",
                 arn ? " that fits" : "");
    return true;
}

/* What is asked where nothing is said: the container, then the instance. */
static bool from_machine(struct plan *p, const struct aws_settings *s)
{
    if (container_is_there(s)) {
        base(p, PLAN_CONTAINER, "container");
        return true;
    }
    if (!imds_is_off(s)) {
        base(p, PLAN_IMDS, "instance");
        return true;
    }
    snprintf(p->error, sizeof(p->error),
             "no credentials in the environment or in profile %.100s, no container endpoint, and "
             "AWS_EC2_METADATA_DISABLED is true",
             settings_profile(s));
    return false;
}

/* ---- profiles ---- */

static struct slice get(const struct resolving *r, const char *profile, const char *key)
{
    return profiles_get(&r->profiles, profile, key);
}

static bool from_keys(struct resolving *r, const char *profile)
{
    if (!keys_set(&r->plan->keys, get(r, profile, "aws_access_key_id"),
                  get(r, profile, "aws_secret_access_key"), get(r, profile, "aws_session_token"),
                  UINT64_MAX))
        return false;
    base(r->plan, PLAN_STATIC, "profile");
    return true;
}

static bool has_bad_keys(struct resolving *r, const char *profile)
{
    const char *why =
        bad_keys(get(r, profile, "aws_access_key_id"), get(r, profile, "aws_secret_access_key"),
                 "has no aws_access_key_id", "has no aws_secret_access_key");

    if (why)
        fail(r->plan, profile, why);
    return why != NULL;
}

static bool read_role(const struct resolving *r, const char *profile, struct sts_role *role)
{
    char seconds[16];

    *role = (struct sts_role){0};
    if (!copy(role->arn, sizeof(role->arn), get(r, profile, "role_arn")) ||
        !copy(role->session, sizeof(role->session), get(r, profile, "role_session_name")) ||
        !copy(role->external, sizeof(role->external), get(r, profile, "external_id")) ||
        !copy(seconds, sizeof(seconds), get(r, profile, "duration_seconds")))
        return false;
    role->duration_s = (unsigned)strtoul(seconds, NULL, 10);
    return true;
}

static bool from_credential_source(struct resolving *r, const char *profile, struct slice source)
{
    struct plan *p = r->plan;

    if (slice_is(source, "Environment"))
        return from_env_keys(p, r->settings) ||
               fail(p, profile, "takes its keys from the environment, which has none");
    if (slice_is(source, "Ec2InstanceMetadata")) {
        base(p, PLAN_IMDS, "instance");
        return !imds_is_off(r->settings) ||
               fail(p, profile,
                    "takes its keys from the instance, and AWS_EC2_METADATA_DISABLED is true");
    }
    if (slice_is(source, "EcsContainer")) {
        base(p, PLAN_CONTAINER, "container");
        return container_is_there(r->settings) ||
               fail(p, profile,
                    "takes its keys from the container, which has neither "
                    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI nor ..._FULL_URI");
    }
    return fail(p, profile,
                "has a credential_source that is not Environment, Ec2InstanceMetadata or "
                "EcsContainer");
}

static bool resolve(struct resolving *r, const char *profile, unsigned depth);

/* role_arn with where its keys come from. */
static bool from_role(struct resolving *r, const char *profile, unsigned depth)
{
    struct slice source = get(r, profile, "source_profile");
    struct slice credential_source = get(r, profile, "credential_source");
    struct plan *p = r->plan;
    char name[SOURCE_NAME_MAX];

    if (depth == 0 || p->role_count == PLAN_ROLES_MAX)
        return fail(p, profile, "is part of a chain of roles that is too long, or a circle");
    if (source.len) {
        if (!copy(name, sizeof(name), source))
            return fail(p, profile, "names a source_profile that is too long");
        if (strcmp(name, profile) == 0 ? !from_keys(r, profile) : !resolve(r, name, depth - 1))
            return p->error[0] ? false : fail(p, name, "has no credentials");
    } else if (credential_source.len) {
        if (!from_credential_source(r, profile, credential_source))
            return false;
    } else {
        return fail(p, profile, "has role_arn, but no source_profile and no credential_source");
    }
    if (p->role_count == PLAN_ROLES_MAX || !read_role(r, profile, &p->roles[p->role_count]))
        return fail(p, profile, "has a role that is too long");
    p->role_count++;
    return true;
}

static bool from_web_identity(struct resolving *r, const char *profile)
{
    struct plan *p = r->plan;

    if (!copy(p->token_file, sizeof(p->token_file), get(r, profile, "web_identity_token_file")) ||
        !read_role(r, profile, &p->web) || !p->web.arn[0])
        return fail(p, profile, "has web_identity_token_file, but no role_arn that fits");
    base(p, PLAN_WEB_IDENTITY, "web identity");
    return true;
}

/* False without an error: the profile has nothing. */
static bool resolve(struct resolving *r, const char *profile, unsigned depth)
{
    struct plan *p = r->plan;
    struct slice command = get(r, profile, "credential_process");
    bool has_web = get(r, profile, "web_identity_token_file").len > 0;

    if (!has_web && get(r, profile, "role_arn").len)
        return from_role(r, profile, depth);
    if (has_web)
        return from_web_identity(r, profile);
    if (from_keys(r, profile))
        return true;
    if (has_bad_keys(r, profile))
        return false;
    if (get(r, profile, "sso_session").len || get(r, profile, "sso_start_url").len)
        return fail(p, profile,
                    "signs in by SSO, which needs a person; credential_process = aws configure "
                    "export-credentials does the same");
    if (!command.len)
        return false;
    if (!copy(p->command, sizeof(p->command), command))
        return fail(p, profile, "has a credential_process that is too long");
    base(p, PLAN_PROCESS, "credential_process");
    return true;
}

static bool from_profile(struct plan *p, const struct aws_settings *s)
{
    struct resolving r = {.plan = p, .settings = s};
    const char *profile = settings_profile(s);
    bool found;

    profiles_read(s, &r.profiles);
    found = resolve(&r, profile, PLAN_ROLES_MAX);
    if (!found && !p->error[0] && strcmp(profile, "default") != 0 &&
        !profiles_has(&r.profiles, profile))
        fail(p, profile, "is not in the shared files");
    profiles_fini(&r.profiles);
    return found;
}

void plan_make(struct plan *p, const struct aws_settings *s)
{
    *p = (struct plan){.name = "none"};
    if (from_env_keys(p, s) || has_bad_env_keys(p, s) || from_env_web_identity(p, s) ||
        from_profile(p, s) || p->error[0])
        return;
    from_machine(p, s);
}

bool plan_add_role(struct plan *p, const char *arn, const char *external_id)
{
    struct sts_role *role = &p->roles[p->role_count];

    if (p->role_count == PLAN_ROLES_MAX)
        return false;
    *role = (struct sts_role){0};
    if (!copy(role->arn, sizeof(role->arn), text_of(arn)) ||
        !copy(role->external, sizeof(role->external), text_of(external_id)))
        return false;
    p->role_count++;
    return true;
}

void plan_forget(struct plan *p)
{
    explicit_bzero(p, sizeof(*p));
}
