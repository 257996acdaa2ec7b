#include "sim.h"

#include "roomy_disk.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct loop *new_loop(void *arg)
{
    struct sim *s = arg;

    return fake_loop_new(s->net, &s->clock.clock);
}

static uint64_t serve_ok(void *arg, const struct http_request *request, struct http_answer *answer)
{
    (void)arg;
    (void)request;
    answer->status = 200;
    return 0;
}

static struct http_client *new_http(void *arg, struct loop *loop)
{
    struct sim *s = arg;

    (void)loop;
    return http_client_fake(s->serve ? s->serve : serve_ok, s->serve_arg);
}

static enum err write_config(struct sim *s)
{
    struct disk *d = s->host.disk;
    enum err err;
    int fd;

    err = d->open(d, s->path, O_RDWR | O_CREAT | O_TRUNC, 0600, &fd, NULL);
    if (err)
        return err;
    err = d->pwrite(d, fd, s->config, strlen(s->config), 0, NULL);
    d->close(d, fd);
    return err;
}

void sim_write(struct sim *s, const char *config)
{
    s->config = config;
    if (write_config(s) != ERR_OK)
        abort();
}

static void make_folder(struct sim *s)
{
    snprintf(s->folder, sizeof(s->folder), s->is_in_memory ? "/sim" : "/tmp/moontail-sim-XXXXXX");
    if (!s->is_in_memory && !mkdtemp(s->folder))
        abort();
    snprintf(s->path, sizeof(s->path), "%s/config.lua", s->folder);
}

bool sim_try_start(struct sim *s)
{
    char journal[128];
    struct buf report;
    enum err err;

    if (write_config(s) != ERR_OK)
        return false;
    snprintf(journal, sizeof(journal), "%s/journal", s->folder);
    setenv("STATE_DIRECTORY", journal, 1);
    buf_init(&report, 1 << 20, NULL);
    err = collector_new(&s->host, s->path, &s->collector, &report);
    if (err != ERR_OK)
        fwrite(report.data, 1, report.len, stderr);
    buf_fini(&report);
    return err == ERR_OK;
}

void sim_start(struct sim *s)
{
    if (!sim_try_start(s))
        abort();
}

void sim_kill(struct sim *s)
{
    collector_free(s->collector);
    s->collector = NULL;
    if (memory_used(&s->memory) != 0)
        abort(); /* something counted is still held */
}

void sim_init(struct sim *s, const struct sim_options *options)
{
    memset(s, 0, sizeof(*s));
    fake_clock_init(&s->clock, 1000 * NS_PER_S, UINT64_C(1700000000) * NS_PER_S);
    s->net = fake_net_new(options->max_chunk);
    s->config = options->config;
    s->is_in_memory = options->disk != NULL;
    s->serve = options->serve;
    s->serve_arg = options->serve_arg;
    memory_init(&s->memory, SIZE_MAX / 2, 0);
    s->host = (struct collector_host){.clock = &s->clock.clock,
                                      .net = fake_net_net(s->net),
                                      .disk = options->disk ? options->disk : roomy_disk(),
                                      .loop_new = new_loop,
                                      .http_new = new_http,
                                      .arg = s,
                                      .memory = &s->memory,
                                      .cpus = options->cpus ? options->cpus : 1,
                                      .seed = options->seed ? options->seed : 1,
                                      .moves_eagerly = options->moves_eagerly};
    make_folder(s);
    sim_start(s);
}

void sim_fini(struct sim *s)
{
    char command[128];

    sim_kill(s);
    fake_net_free(s->net);
    if (s->is_in_memory)
        return;
    snprintf(command, sizeof(command), "rm -rf '%s'", s->folder);
    if (system(command) != 0)
        abort();
}

/* One round of all tasks; returns when the next one is due. */
static uint64_t step_all(struct sim *s)
{
    unsigned count;
    const struct task *tasks = collector_tasks(s->collector, &count);
    uint64_t due = NEVER_NS;

    for (unsigned i = 0; i < count; i++) {
        uint64_t at;

        loop_wait(tasks[i].loop, s->clock.now);
        at = tasks[i].step(tasks[i].arg, s->clock.now);
        due = at < due ? at : due;
        s->steps++;
    }
    return due;
}

/* Rings pass things on between tasks, so a few rounds settle what one instant brings. */
enum { ROUNDS = 4 };

void sim_run(struct sim *s, uint64_t ns)
{
    uint64_t end = s->clock.now + ns;

    for (;;) {
        uint64_t due = NEVER_NS;

        for (int i = 0; i < ROUNDS; i++)
            due = step_all(s);
        if (due > s->clock.now + NS_PER_MS && due > end)
            break;
        if (s->clock.now >= end && due > s->clock.now)
            break;
        fake_clock_advance(&s->clock, due > s->clock.now ? due - s->clock.now : NS_PER_US);
    }
    if (s->clock.now < end)
        fake_clock_advance(&s->clock, end - s->clock.now);
    for (int i = 0; i < ROUNDS; i++)
        step_all(s);
}

void sim_stop(struct sim *s)
{
    collector_stop(s->collector, s->clock.now);
    for (int i = 0; i < 20000 && collector_phase(s->collector) != PHASE_STOPPED; i++)
        sim_run(s, 5 * NS_PER_MS);
    collector_finish(s->collector);
}

int sim_connect(struct sim *s)
{
    const char *address = collector_address(s->collector, RECEIVE_HTTP);

    return address ? fake_net_connect(s->net, address) : -1;
}

static void send_all(struct sim *s, int fd, struct slice bytes)
{
    for (int i = 0; i < 100000 && bytes.len > 0; i++) {
        size_t sent = fake_net_send(s->net, fd, bytes);

        bytes = slice_make(bytes.data + sent, bytes.len - sent);
        step_all(s);
        if (sent == 0) /* nobody reads: the server waits for memory */
            fake_clock_advance(&s->clock, 100 * NS_PER_US);
    }
}

int sim_post(struct sim *s, int fd, struct slice body)
{
    return sim_post_to(s, fd, "/v1/traces", body);
}

int sim_post_to(struct sim *s, int fd, const char *path, struct slice body)
{
    char head[256];
    size_t len = 0;
    int n = snprintf(head, sizeof(head),
                     "POST %s HTTP/1.1\r\nHost: sim\r\n"
                     "Content-Type: application/x-protobuf\r\nContent-Length: %zu\r\n\r\n",
                     path, body.len);

    s->answer[0] = '\0';
    send_all(s, fd, slice_make(head, (size_t)n));
    send_all(s, fd, body);
    for (int i = 0; i < 50000; i++) {
        len += fake_net_recv(s->net, fd, s->answer + len, sizeof(s->answer) - 1 - len);
        s->answer[len] = '\0';
        if (strstr(s->answer, "\r\n\r\n"))
            return atoi(s->answer + 9);
        if (step_all(s) > s->clock.now)
            fake_clock_advance(&s->clock, 100 * NS_PER_US);
    }
    return 0;
}

const struct ledger *sim_ledger(struct sim *s)
{
    uint64_t age_ns;

    return collector_ledger(s->collector, s->clock.now, &age_ns);
}

static uint64_t by_label(struct sim *s, const uint64_t *counts, const char *policy,
                         const char *reason)
{
    const struct labels *labels = collector_labels(s->collector);
    uint64_t sum = 0;

    for (size_t i = 0; i < labels_count(labels); i++)
        if (strcmp(labels_policy(labels, (uint16_t)i), policy) == 0 &&
            (!reason || strcmp(labels_reason(labels, (uint16_t)i), reason) == 0))
            sum += counts[i];
    return sum;
}

uint64_t sim_kept(struct sim *s, const char *policy, const char *reason)
{
    return by_label(s, sim_ledger(s)->sum.kept, policy, reason);
}

uint64_t sim_dropped(struct sim *s, const char *policy, const char *reason)
{
    return by_label(s, sim_ledger(s)->sum.dropped, policy, reason);
}
