/* random_traces.h: traces of many shapes, the same in every run: roots that miss or come twice, ids
 * that repeat, times that are unknown. */
#pragma once

#include "traces.h"

enum { MOST_SPANS = 9 };

/* xorshift: the same traces in every run. */
static uint64_t random_state;

static inline uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 33) % n);
}

static const int64_t codes[] = {200, 404, 500, 503};
static const char *const names[] = {"a", "b", "ab", "GET /health", ""};
static const char *const services[] = {"shop", "cart", "checkout", NULL};
static const char *const states[] = {NULL, NULL, "ot=rv:e0000000000000",
                                     "ot=th:8;rv:00000000000001", "tenant=gold"};
static const char *const paths[] = {"/health", "/cart", "/x?y", "/checkout", "/poll"};
/* What the examples in the files of policies ask for, and others. */
static const int64_t some_numbers[] = {1, 2, 3, 500};
static const struct test_attr more[] = {
    {"http.route", "/checkout", NULL},
    {"http.route", "/poll", NULL},
    {"http.route", "/other", NULL},
    {"service.name", "checkout", NULL},
    {"user.group", "beta-7", NULL},
    {"user.group", "nobody", NULL},
    {"team", "shop", NULL},
    {"password", "hush", NULL},
    {"user", "ann", NULL},
    {"db.system", "redis", NULL},
    {"db.system", "mysql", NULL},
    {"url.path", "/healthz", NULL},
    {"exception.type", "Timeout", NULL},
    {"messaging.attempt", NULL, &some_numbers[2]},
    {"messaging.attempt", NULL, &some_numbers[0]},
};

static inline void make_span(struct test_span *s, uint32_t i, uint32_t count)
{
    *s = (struct test_span){
        .id = 1 + random_below(3 * MOST_SPANS), /* some twice */
        .name = names[random_below(5)],
        .kind = (int)random_below(6),
        .status = random_below(30) == 0 ? 2 : (int)random_below(2),
        .start_ms = random_below(40),
        .trace_state = states[random_below(5)],
        .service = services[random_below(4)],
    };
    s->end_ms = random_below(20) == 0 ? 0 : s->start_ms + 1 + random_below(60);
    s->parent_id = i == 0 && random_below(4) ? 0 : 1 + random_below(3 * MOST_SPANS);
    if (random_below(count + 2) == 0)
        s->parent_id = 0;
    s->attrs[0] = (struct test_attr){"http.response.status_code", NULL, &codes[random_below(4)]};
    s->attrs[1] = more[random_below(sizeof(more) / sizeof(more[0]))];
    if (random_below(2))
        s->attrs[2] = (struct test_attr){"http.target", paths[random_below(5)], NULL};
}

static inline void shuffle(struct test_span *s, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t j = random_below(i);
        struct test_span t = s[i - 1];

        s[i - 1] = s[j];
        s[j] = t;
    }
}
