/* The export thread's side of exporters in Lua: makes jobs, sends their requests one after another,
 * and takes the answers as reply() or the default rule says. */
#include "export/export_lua.h"
#include "export/lua_spec.h"
#include "lua/state.h"

#include <stdio.h>
#include <stdlib.h>

void job_request_fini(struct job_request *r)
{
    for (char **h = r->headers; h && *h; h++)
        free(*h);
    free(r->headers);
    free(r->method);
    free(r->url);
    free(r->proxy);
    free((char *)r->sigv4.service);
    free((char *)r->sigv4.region);
    free((char *)r->sigv4.role_arn);
    free((char *)r->sigv4.external_id);
    free((char *)r->tls.ca_file);
    free((char *)r->tls.cert_file);
    free((char *)r->tls.key_file);
    buf_fini(&r->body);
}

void job_free(struct lua_job *job)
{
    for (size_t i = 0; i < job->request_count; i++)
        job_request_fini(&job->requests[i]);
    for (size_t i = 0; i < job->trace_count; i++)
        free(job->traces[i].views);
    free(job->requests);
    free(job->traces);
    buf_fini(&job->body);
    buf_fini(&job->answer);
    buf_fini(&job->answer_headers);
    lua_state_close(job->L);
    free(job);
}

/* The job is over. The Lua thread may hold its requests' tables. */
static void job_end(struct export *e, struct lua_job *job)
{
    if (!job->has_reply) {
        job_free(job);
        return;
    }
    job->part = NULL;
    job->ask = JOB_FORGET;
    export_lua_ask(e->lua, job);
}

/* ---- making a job ---- */

static bool make_traces(struct lua_job *job, const struct part *part)
{
    size_t count = part->trace_count;

    if (job->signal != OTLP_TRACES)
        return true; /* there is nothing but the body */
    job->traces = calloc(count ? count : 1, sizeof(*job->traces));
    if (!job->traces)
        return false;
    job->trace_count = count;
    for (size_t i = 0; i < count; i++)
        job->traces[i] = (struct job_trace){.record = part->traces[i].record,
                                            .offset = part->traces[i].offset,
                                            .len = part->traces[i].len};
    return true;
}

static struct lua_job *job_new(struct exporter *x, struct part *part)
{
    const struct exporter_common *limits = x->spec->options;
    struct lua_job *job = calloc(1, sizeof(*job));

    if (!job)
        return NULL;
    *job = (struct lua_job){.part = part,
                            .exporter = x->index,
                            .batch_id = part->batch->id,
                            .part_index = (size_t)(part - part->batch->parts),
                            .unix_ns = clock_unix_ns(x->owner->config.clock),
                            .retry_s = -1,
                            .signal = part->batch->signal,
                            .items = part->items,
                            .budgets = 1 + part->items / (uint32_t)limits->batch_spans,
                            .ask = JOB_ENCODE};
    if (!make_traces(job, part)) {
        free(job);
        return NULL;
    }
    buf_init(&job->body, SIZE_MAX / 2, part->body.memory);
    buf_init(&job->answer, 1 << 20, part->body.memory);
    buf_init(&job->answer_headers, 64 << 10, part->body.memory);
    buf_take(&part->body, &job->body);
    return job;
}

/* ---- the end of a part ---- */

static void end_part(struct export *e, struct lua_job *job, const struct sent_result *r)
{
    struct part *part = job->part;

    if (r->how == SENT_RETRY || r->how == SENT_HOLD) {
        part->kept = job; /* requests that were not taken are sent again */
    } else {
        job_end(e, job);
    }
    exporter_sent(part, r);
}

static void end_with(struct export *e, struct lua_job *job, enum sent how, const char *error)
{
    struct sent_result r = {.how = how, .answered = true};

    snprintf(r.error, sizeof(r.error), "%s", error);
    end_part(e, job, &r);
}

/* All requests are answered. Which items a refused one held is not known: its share counts. */
static void end_delivered(struct export *e, struct lua_job *job)
{
    struct sent_result r = {.how = SENT_DELIVERED, .answered = true};

    if (job->rejected && job->request_count) {
        r.rejected = (uint32_t)((uint64_t)job->items * job->rejected / job->request_count);
        r.rejected += r.rejected == 0;
    }
    r.rejected += job->refused < job->items ? (uint32_t)job->refused : job->items;
    snprintf(r.error, sizeof(r.error), "%s", job->error);
    end_part(e, job, &r);
}

/* ---- requests ---- */

static void go_on(struct export *e, struct lua_job *job);

static void request_done(struct export *e, struct lua_job *job, bool rejected)
{
    job->requests[job->at].done = true;
    job->rejected += rejected;
    go_on(e, job);
}

/* When the script says, else Retry-After, else the backoff. */
static void again(struct export *e, struct lua_job *job, const char *error)
{
    struct sent_result r = {.how = SENT_RETRY, .answered = true, .retry_after_ns = job->told_ns};

    if (job->retry_s >= 0)
        r.retry_after_ns = (uint64_t)(job->retry_s * (double)NS_PER_S);
    r.told = job->retry_s >= 0 || job->told_ns > 0;
    snprintf(r.error, sizeof(r.error), "%s", error);
    end_part(e, job, &r);
}

/* 2xx is good; 401 and 403 hold; 408, 429 and 5xx come again; the rest is refused. */
static void default_rule(struct export *e, struct lua_job *job)
{
    char error[192];

    snprintf(error, sizeof(error), "HTTP status %d%s%s", job->status, job->why[0] ? ", " : "",
             job->why);
    if (job->status >= 200 && job->status <= 299) {
        request_done(e, job, false);
    } else if (job->status == 401 || job->status == 403) {
        end_with(e, job, SENT_HOLD, error);
    } else if (job->status == 408 || job->status == 429 || job->status >= 500) {
        again(e, job, error);
    } else {
        snprintf(job->error, sizeof(job->error), "%s", error);
        request_done(e, job, true);
    }
}

static void on_answer(void *arg, struct http_answer *answer)
{
    struct lua_job *job = arg;
    struct exporter *x = job->part->batch->exporter;
    struct sent_result r = {.how = SENT_RETRY};

    job->http = 0;
    if (answer->err != ERR_OK) {
        r.how = answer->unsigned_yet ? SENT_HOLD : SENT_RETRY;
        snprintf(r.error, sizeof(r.error), "%.199s", answer->error);
        end_part(x->owner, job, &r);
        return;
    }
    snprintf(job->why, sizeof(job->why), "%.*s", (int)sizeof(job->why) - 1, answer->error);
    job->status = answer->status;
    (void)http_answer_retry_after(answer, clock_unix_ns(x->owner->config.clock), &job->told_ns);
    if (!job->has_reply) {
        default_rule(x->owner, job);
        return;
    }
    buf_fini(&job->answer);
    buf_fini(&job->answer_headers);
    buf_take(&answer->body, &job->answer);
    buf_take(&answer->headers, &job->answer_headers);
    job->ask = JOB_REPLY;
    export_lua_ask(x->owner->lua, job);
}

static void send_request(struct export *e, struct lua_job *job)
{
    struct job_request *r = &job->requests[job->at];
    struct exporter *x = &e->exporters[job->exporter];
    struct http_request request = {
        .method = r->method,
        .url = r->url,
        .headers = (const char *const *)r->headers,
        .body = buf_slice(&r->body),
        .timeout_ns = r->timeout_ns ? r->timeout_ns : x->spec->options->timeout_ns,
        .tls = &r->tls,
        .sigv4 = r->sigv4.service ? &r->sigv4 : NULL,
        .proxy = r->proxy,
    };

    if (e->config.http->send(e->config.http, &request, on_answer, job, &job->http) != ERR_OK) {
        job->http = 0;
        end_with(e, job, SENT_RETRY, "too many requests at once");
    }
}

static void go_on(struct export *e, struct lua_job *job)
{
    for (job->at = 0; job->at < job->request_count; job->at++)
        if (!job->requests[job->at].done) {
            send_request(e, job);
            return;
        }
    end_delivered(e, job);
}

/* ---- what the Lua thread says ---- */

static void encoded(struct export *e, struct lua_job *job)
{
    struct sent_result filtered = {.how = SENT_DELIVERED, .answered = true, .filtered = job->items};

    buf_fini(&job->body);
    if (job->failed || job->verdict == JOB_REJECT)
        end_with(e, job, SENT_PERMANENT, job->error);
    else if (job->nothing)
        end_part(e, job, &filtered);
    else
        go_on(e, job);
}

static void replied(struct export *e, struct lua_job *job)
{
    char error[32];

    switch (job->failed ? JOB_REJECT : job->verdict) {
    case JOB_DEFAULT:
        default_rule(e, job);
        break;
    case JOB_OK:
        request_done(e, job, false);
        break;
    case JOB_AGAIN:
        snprintf(error, sizeof(error), "HTTP status %d", job->status);
        again(e, job, error);
        break;
    case JOB_REJECT:
        request_done(e, job, true);
        break;
    case JOB_SEND:
        if (++job->resends > JOB_RESENDS_MAX)
            end_with(e, job, SENT_PERMANENT, "reply() sent again too often");
        else
            send_request(e, job);
        break;
    }
}

void lua_job_back(struct export *e, struct lua_job *job)
{
    if (job->ask == JOB_FORGET || job->ask == JOB_MOVE)
        job_free(job);
    else if (!job->part)
        job_end(e, job); /* cancelled meanwhile */
    else if (job->ask == JOB_ENCODE)
        encoded(e, job);
    else
        replied(e, job);
}

/* ---- the type ---- */

static enum err open_lua(struct exporter *x, const void *options, void **self,
                         struct err_info *info)
{
    (void)options;
    (void)info;
    *self = x;
    return ERR_OK;
}

static void close_lua(void *self)
{
    (void)self;
}

static void lua_send(void *self, struct part *part, uint64_t now_ns)
{
    struct exporter *x = self;
    struct lua_job *job = part->kept;
    const struct sent_result no_memory = {.how = SENT_RETRY, .error = "no memory"};

    (void)now_ns;
    if (job) { /* encoded before */
        part->kept = NULL;
        part->sending = job;
        job->resends = 0;
        go_on(x->owner, job);
        return;
    }
    job = job_new(x, part);
    part->sending = job;
    if (job)
        export_lua_ask(x->owner->lua, job);
    else
        exporter_sent(part, &no_memory);
}

static void lua_cancel(void *self, struct part *part)
{
    struct exporter *x = self;
    struct lua_job *job = part->sending;

    job->part = NULL;
    if (!job->http)
        return; /* the Lua thread has it */
    x->owner->config.http->cancel(x->owner->config.http, job->http);
    job_end(x->owner, job);
}

static void lua_forget(void *self, struct part *part)
{
    struct exporter *x = self;
    struct lua_job *job = part->kept;

    for (size_t i = 0; i < job->request_count; i++)
        part->maybe_delivered |= job->requests[i].done;
    part->kept = NULL;
    job_end(x->owner, job);
}

EXPORTER_TYPE(exporter_lua, .name = EXPORTER_LUA_TYPE, .doc = "an exporter in Lua",
              .signals = EXPORTER_ALL_SIGNALS, .options_size = sizeof(struct exporter_common),
              .open = open_lua, .close = close_lua, .send = lua_send, .cancel = lua_cancel,
              .forget = lua_forget);
