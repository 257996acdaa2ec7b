#include "aws/credentials.h"

#include "aws/fetch.h"
#include "aws/region.h"
#include "base/log.h"
#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>

/* Keys that expire are fetched again this long before, or in the last quarter of a shorter life. */
static const uint64_t lead_ns = 900 * NS_PER_S;
static const uint64_t pause_max_ns = 60 * NS_PER_S;
/* How often one looks whether the wall clock has come to a refresh: it can jump. */
static const uint64_t look_ns = 30 * NS_PER_S;

/* Failures in a row, and when the next attempt may begin. */
struct pace {
    unsigned failures;
    uint64_t again_ns; /* 0: not known until the next step */
};

struct credentials {
    struct credentials_config config; /* its texts are owned */
    struct aws_settings settings;
    struct rng rng;
    bool is_seeded, is_wanted;

    struct keys keys;
    struct sigv4_credentials view;
    bool has_keys, is_instance, is_rejected;
    uint64_t refresh_unix_ns; /* NEVER_NS: they last */

    struct fetch *fetch; /* NULL: none is under way */
    struct pace pace;
    char error[600];

    bool wants_region, seeks_region;
    struct region_search search;
    struct pace region_pace;
    char region[SETTINGS_REGION_MAX]; /* "": not known yet */
};

static char *copy(const char *text)
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
    c->config.region = copy(config->region);
    c->config.role_arn = copy(config->role_arn);
    c->config.external_id = copy(config->external_id);
    c->settings = (struct aws_settings){.env = config->env, .disk = config->disk};
    return c;
}

void credentials_free(struct credentials *c)
{
    if (!c)
        return;
    fetch_free(c->fetch);
    region_search_fini(&c->search);
    free((void *)c->config.region);
    free((void *)c->config.role_arn);
    free((void *)c->config.external_id);
    explicit_bzero(c, sizeof(*c));
    free(c);
}

/* Others that started with us come at another nanosecond. */
static void seed(struct credentials *c, uint64_t now_unix_ns)
{
    if (!c->is_seeded)
        rng_seed(&c->rng, now_unix_ns);
    c->is_seeded = true;
}

/* ---- pace ---- */

/* A second, then twice as long each time, at most a minute; somewhere in its second half. */
static uint64_t pause_ns(struct credentials *c, unsigned failures)
{
    uint64_t pause = NS_PER_S << (failures > 6 ? 6 : failures);

    if (pause > pause_max_ns)
        pause = pause_max_ns;
    return pause / 2 + rng_below(&c->rng, pause / 2);
}

/* Whether an attempt may begin now; if not, *due_ns is when. */
static bool may_begin(struct credentials *c, struct pace *p, uint64_t now_ns, uint64_t *due_ns)
{
    if (p->failures && !p->again_ns)
        p->again_ns = now_ns + pause_ns(c, p->failures);
    if (now_ns >= p->again_ns)
        return true;
    *due_ns = earlier_ns(*due_ns, p->again_ns);
    return false;
}

static void count_failure(struct pace *p)
{
    p->failures++;
    p->again_ns = 0;
}

/* ---- keys ---- */

static uint64_t expires_ns(const struct keys *k)
{
    return k->expires_unix_s >= UINT64_MAX / NS_PER_S ? NEVER_NS : k->expires_unix_s * NS_PER_S;
}

static bool are_good(const struct credentials *c, uint64_t now_unix_ns)
{
    return c->has_keys && (c->is_instance || now_unix_ns < expires_ns(&c->keys));
}

/* The instance's keys are served longer than they say when its metadata service is behind; then
 * they are asked for again in 5 to 10 minutes. */
static uint64_t refresh_at(struct credentials *c, uint64_t now_unix_ns)
{
    uint64_t expires = expires_ns(&c->keys), left, lead;

    if (expires == NEVER_NS)
        return NEVER_NS;
    if (expires <= now_unix_ns)
        return now_unix_ns + 300 * NS_PER_S + rng_below(&c->rng, 300 * NS_PER_S);
    left = expires - now_unix_ns;
    lead = earlier_ns(lead_ns, left / 4);
    return expires - lead - rng_below(&c->rng, lead / 3 + 1);
}

static void say_found(const struct credentials *c)
{
    char left[32] = "";

    if (c->refresh_unix_ns != NEVER_NS)
        snprintf(left, sizeof(left), "%llu", (unsigned long long)(expires_ns(&c->keys) / NS_PER_S));
    log_event(LOG_INFO, "AWS credentials found", "source", fetch_name(c->fetch), "expires_unix",
              left[0] ? left : NULL);
}

static void take_keys(struct credentials *c, uint64_t now_unix_ns)
{
    const struct keys *k = fetch_keys(c->fetch);
    bool same = c->has_keys && strcmp(c->keys.access, k->access) == 0 &&
                strcmp(c->keys.session, k->session) == 0;

    c->keys = *k;
    c->view = keys_view(&c->keys);
    c->is_instance = fetch_is_instance(c->fetch);
    c->refresh_unix_ns = refresh_at(c, now_unix_ns);
    if (!c->has_keys || c->error[0])
        say_found(c);
    c->has_keys = true;
    c->error[0] = '\0';
    /* A server refused these very keys: nothing is gained by asking for them at once again. */
    if (same && c->is_rejected)
        count_failure(&c->pace);
    else
        c->pace = (struct pace){0};
    c->is_rejected = false;
}

static void note_failure(struct credentials *c, const char *why)
{
    snprintf(c->error, sizeof(c->error), "%s", why);
    if (c->pace.failures == 0)
        log_event(LOG_WARN,
                  c->has_keys ? "AWS credentials could not be renewed; it is tried again"
                              : "no AWS credentials; it is tried again",
                  "error", c->error);
    count_failure(&c->pace);
}

/* Takes what an attempt ended with, if it has. */
static void settle(struct credentials *c, uint64_t now_unix_ns)
{
    enum exchange_state state = c->fetch ? fetch_state(c->fetch) : EXCHANGE_RUNNING;

    if (state == EXCHANGE_RUNNING)
        return;
    if (state == EXCHANGE_BROKEN)
        note_failure(c, fetch_error(c->fetch));
    else if (expires_ns(fetch_keys(c->fetch)) <= now_unix_ns && !fetch_is_instance(c->fetch))
        note_failure(c, "what came is expired already: is this machine's clock right?");
    else
        take_keys(c, now_unix_ns);
    fetch_free(c->fetch);
    c->fetch = NULL;
}

static void begin(struct credentials *c, uint64_t now_unix_ns)
{
    struct fetch_config config = {
        .settings = &c->settings,
        .http = c->config.http,
        .region = c->config.region ? c->config.region
                  : c->region[0]   ? c->region
                                   : NULL,
        .role_arn = c->config.role_arn,
        .external_id = c->config.external_id,
        .now_unix_ns = now_unix_ns,
    };

    c->fetch = fetch_new(&config);
    if (!c->fetch)
        note_failure(c, "no memory");
    settle(c, now_unix_ns);
}

const struct sigv4_credentials *credentials_get(struct credentials *c, uint64_t now_unix_ns)
{
    seed(c, now_unix_ns);
    if (!c->is_wanted) {
        c->is_wanted = true;
        begin(c, now_unix_ns);
    }
    return are_good(c, now_unix_ns) ? &c->view : NULL;
}

const char *credentials_error(const struct credentials *c)
{
    return c->error;
}

void credentials_rejected(struct credentials *c)
{
    c->is_rejected = c->has_keys;
}

/* ---- steps ---- */

static bool needs_keys(const struct credentials *c, uint64_t now_unix_ns)
{
    return c->is_wanted && (!c->has_keys || c->is_rejected || now_unix_ns >= c->refresh_unix_ns);
}

static uint64_t step_keys(struct credentials *c, uint64_t now_ns, uint64_t now_unix_ns)
{
    uint64_t due = NEVER_NS;

    if (c->fetch) {
        due = fetch_step(c->fetch, now_ns, now_unix_ns);
        settle(c, now_unix_ns);
    } else if (needs_keys(c, now_unix_ns)) {
        if (!may_begin(c, &c->pace, now_ns, &due))
            return due;
        begin(c, now_unix_ns);
    }
    if (c->fetch)
        return earlier_ns(due, now_ns + look_ns);
    if (!c->is_wanted || (c->refresh_unix_ns == NEVER_NS && !needs_keys(c, now_unix_ns)))
        return NEVER_NS;
    if (needs_keys(c, now_unix_ns)) {
        may_begin(c, &c->pace, now_ns, &due);
        return due == NEVER_NS ? now_ns : due;
    }
    return now_ns + earlier_ns(look_ns, c->refresh_unix_ns - now_unix_ns);
}

static uint64_t step_region(struct credentials *c, uint64_t now_ns)
{
    uint64_t due = NEVER_NS;

    if (!c->wants_region || c->region[0])
        return NEVER_NS;
    if (!c->seeks_region) {
        if (!may_begin(c, &c->region_pace, now_ns, &due))
            return due;
        c->seeks_region = true;
        region_search_begin(&c->search, &c->settings, &c->config.http);
    }
    due = region_search_step(&c->search, now_ns);
    if (c->search.state == EXCHANGE_RUNNING)
        return due;
    if (c->search.state == EXCHANGE_ENDED) {
        snprintf(c->region, sizeof(c->region), "%s", c->search.region);
    } else {
        if (c->region_pace.failures == 0)
            log_event(LOG_WARN, "no AWS region; it is tried again", "error", c->search.error);
        count_failure(&c->region_pace);
    }
    region_search_fini(&c->search);
    c->seeks_region = false;
    return now_ns;
}

uint64_t credentials_step(struct credentials *c, uint64_t now_ns, uint64_t now_unix_ns)
{
    uint64_t keys;

    seed(c, now_unix_ns);
    keys = step_keys(c, now_ns, now_unix_ns);
    return earlier_ns(keys, step_region(c, now_ns));
}

const char *credentials_region(struct credentials *c)
{
    if (!c->region[0] && !c->wants_region && !settings_region(&c->settings, c->region)) {
        c->region[0] = '\0';
        c->wants_region = true;
    }
    return c->region[0] ? c->region : NULL;
}
