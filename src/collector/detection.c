#include "collector/detection.h"

#include "aws/detect.h"
#include "base/log.h"
#include "export/aws_http.h"

#include <stdio.h>
#include <stdlib.h>

static const uint64_t limit_ns = 5 * NS_PER_S;
enum { TURNS_MAX = 100000 }; /* more than in that time; on a clock that stands still, an end */

/* What is there for this alone. */
struct asking {
    struct loop *loop;
    struct http_client *http;
    struct aws_http_adapter adapter;
    struct aws_settings settings;
    struct detect detect;
};

static void ask(struct asking *a, const struct collector_host *host, const char *const *names,
                const atomic_bool *stop)
{
    struct aws_http http = aws_http_on(&a->adapter, a->http, &a->settings);
    uint64_t now_ns = clock_now_ns(host->clock), until_ns = now_ns + limit_ns;

    detect_begin(&a->detect, &a->settings, &http, names);
    for (unsigned turns = 0; !a->detect.is_done && now_ns < until_ns && turns < TURNS_MAX;
         turns++) {
        uint64_t due_ns = earlier_ns(detect_step(&a->detect, now_ns), until_ns);

        due_ns = earlier_ns(due_ns, a->http->step(a->http, now_ns));
        if (stop && atomic_load(stop))
            break;
        if (!a->detect.is_done)
            loop_wait(a->loop, due_ns);
        now_ns = clock_now_ns(host->clock);
    }
    detect_give_up(&a->detect);
}

static void say_errors(const struct detect *d)
{
    const char *at = (const char *)d->errors.data, *end = at + d->errors.len;

    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        char line[512];

        snprintf(line, sizeof(line), "%.*s", (int)((line_end ? line_end : end) - at), at);
        log_event(LOG_WARN, "resource_detection: its attributes are missing", "detector", line);
        at = line_end ? line_end + 1 : end;
    }
}

static void say_found(const struct detect *d)
{
    struct buf text;

    if (d->count == 0)
        return;
    buf_init(&text, 2048, NULL);
    for (size_t i = 0; i < d->count; i++)
        buf_printf(&text, "%s%s=%s", i ? "," : "", d->pairs[i].key, d->pairs[i].value);
    buf_byte(&text, 0);
    log_event(LOG_INFO, "resource detected", "attributes",
              buf_ok(&text) ? (const char *)text.data : "(many)");
    buf_fini(&text);
}

static void keep(const struct detect *d, struct config *config)
{
    struct schema_pair pairs[DETECT_PAIRS_MAX + 1] = {0};

    for (size_t i = 0; i < d->count; i++)
        pairs[i] = (struct schema_pair){d->pairs[i].key, d->pairs[i].value, 's'};
    config_set_detected(config, pairs);
}

void detection_run(const struct collector_host *host, struct config *config,
                   const atomic_bool *stop)
{
    const char *const *names = config->resource_detection;
    struct asking *a;

    if (!names || !names[0])
        return;
    a = calloc(1, sizeof(*a));
    if (!a)
        err_no_memory("resource_detection");
    a->loop = host->loop_new(host->arg);
    a->http = host->http_new(host->arg, a->loop);
    a->settings.disk = host->disk;
    ask(a, host, names, stop);
    say_errors(&a->detect);
    say_found(&a->detect);
    keep(&a->detect, config);
    detect_fini(&a->detect);
    a->http->free(a->http);
    loop_free(a->loop);
    free(a);
}
