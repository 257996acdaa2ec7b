/* Answers that wait for the journal, on virtual time. */
#include "check.h"
#include "collector/answers.h"
#include "journal/journals.h"
#include "receive/http_client.h"

enum { SENDERS = 3 };

/* Requests that the sink took and has not answered, and a journal of private memory in which a
 * number that is not committed yet stands for a frame that is not written yet. */
struct scene {
    struct fixture f;
    struct journal *journal;
    struct journal_writer *writer;
    struct answers answers;
    int fds[SENDERS];
};

static void post_all(struct scene *s)
{
    struct buf b, body;

    buf_init(&b, 65536, NULL);
    buf_init(&body, 65536, NULL);
    put_traces(&body, 1, 0);
    put_post(&b, "/v1/traces", PROTOBUF, buf_slice(&body));
    for (int i = 0; i < SENDERS; i++) {
        s->fds[i] = fixture_connect(&s->f);
        fixture_send(&s->f, s->fds[i], b.data, b.len);
    }
    buf_fini(&b);
    buf_fini(&body);
    CHECK(s->f.open_count == SENDERS);
}

static void scene_init(struct scene *s, enum journal_ack ack)
{
    fixture_init(&s->f, RECEIVE_HTTP, 0);
    s->f.later = true;
    fixture_start(&s->f);
    s->journal = journal_made(&(struct journal_config){
        .workers = 1, .segment_bytes = 4096, .memory = &s->f.memory, .clock = &s->f.clock.clock});
    s->writer = journal_writer(s->journal, 0, s->f.loop);
    CHECK(answers_init(&s->answers, s->writer, ack, &s->f.memory));
    post_all(s);
}

static void scene_fini(struct scene *s)
{
    answers_fini(&s->answers);
    journal_free(s->journal);
    fixture_fini(&s->f);
    CHECK(memory_used(&s->f.memory) == 0);
}

static void add(struct scene *s, int sender, enum answer_after after, uint64_t number)
{
    const struct receive_answer ok = {.verdict = RECEIVE_OK};

    CHECK(answers_have_room(&s->answers, after));
    answers_add(&s->answers, after, number, s->f.open[sender], &ok, s->f.clock.now);
}

static void write_frame(struct scene *s)
{
    if (!journal_stage(s->writer, 8)) {
        journal_step(s->journal, s->f.clock.now);
        CHECK(journal_stage(s->writer, 8));
    }
    journal_commit(s->writer, 8, 1, SIGNAL_TRACES, s->f.clock.now);
}

static void decide(struct scene *s)
{
    CHECK(journal_decide(s->writer, &(struct decision_record){.keep = false}, NULL, NULL) > 0);
    journal_step(s->journal, s->f.clock.now);
}

/* The status that the sender has got; 0: none yet. */
static int status(struct scene *s, int sender)
{
    struct http_answer a;

    fixture_run(&s->f);
    return read_answer(&s->f, s->fds[sender], &a) ? a.status : 0;
}

static void each_is_given_when_its_frame_is_safe(void)
{
    struct scene s;

    scene_init(&s, ACK_WRITTEN);
    for (int i = 0; i < SENDERS; i++)
        add(&s, i, AFTER_FRAME, i < 2 ? 1 : 2);
    CHECK(answers_step(&s.answers, s.f.clock.now) == s.f.clock.now + ANSWER_PATIENCE_NS);
    CHECK(status(&s, 0) == 0 && status(&s, 1) == 0);
    write_frame(&s);
    CHECK(answers_step(&s.answers, s.f.clock.now) != NEVER_NS);
    CHECK(status(&s, 0) == 200 && status(&s, 1) == 200 && status(&s, 2) == 0);
    write_frame(&s);
    CHECK(answers_step(&s.answers, s.f.clock.now) == NEVER_NS);
    CHECK(status(&s, 2) == 200);
    CHECK(fixture_stats(&s.f).requests == SENDERS);
    scene_fini(&s);
}

static void one_that_waits_for_a_decision_does_not_wait_for_frames(void)
{
    struct scene s;

    scene_init(&s, ACK_FSYNC);
    add(&s, 0, AFTER_FRAME, 1);
    add(&s, 1, AFTER_DECISION, 1);
    add(&s, 2, AFTER_DECISION, 2);
    decide(&s);
    answers_step(&s.answers, s.f.clock.now);
    CHECK(status(&s, 0) == 0 && status(&s, 1) == 200 && status(&s, 2) == 0);
    decide(&s);
    write_frame(&s);
    CHECK(answers_step(&s.answers, s.f.clock.now) == NEVER_NS);
    CHECK(status(&s, 0) == 200 && status(&s, 2) == 200);
    scene_fini(&s);
}

static void one_that_waits_for_both_is_given_when_both_are_safe(void)
{
    const struct receive_answer ok = {.verdict = RECEIVE_OK};
    struct scene s;

    scene_init(&s, ACK_FSYNC);
    for (int i = 0; i < SENDERS; i++) {
        CHECK(answers_have_room(&s.answers, AFTER_DECISION));
        answers_add_both(&s.answers, (uint64_t)i + 1, i == 1 ? 2 : 1, s.f.open[i], &ok,
                         s.f.clock.now);
    }
    decide(&s);
    answers_step(&s.answers, s.f.clock.now);
    CHECK(status(&s, 0) == 0);
    write_frame(&s);
    answers_step(&s.answers, s.f.clock.now);
    CHECK(status(&s, 0) == 200 && status(&s, 1) == 0);
    write_frame(&s);
    answers_step(&s.answers, s.f.clock.now);
    CHECK(status(&s, 1) == 0 && status(&s, 2) == 0);
    decide(&s);
    answers_step(&s.answers, s.f.clock.now);
    CHECK(status(&s, 1) == 200 && status(&s, 2) == 0);
    s.f.clock.now += ANSWER_PATIENCE_NS;
    CHECK(answers_step(&s.answers, s.f.clock.now) == NEVER_NS);
    CHECK(status(&s, 2) == 503);
    scene_fini(&s);
}

static void a_stuck_disk_is_a_refusal_after_two_seconds(void)
{
    struct scene s;

    scene_init(&s, ACK_WRITTEN);
    add(&s, 0, AFTER_FRAME, 1);
    fixture_advance(&s.f, NS_PER_S);
    add(&s, 1, AFTER_FRAME, 2);
    add(&s, 2, AFTER_DECISION, 1);
    fixture_advance(&s.f, NS_PER_S - 1);
    answers_step(&s.answers, s.f.clock.now);
    CHECK(status(&s, 0) == 0);
    fixture_advance(&s.f, 1);
    CHECK(answers_step(&s.answers, s.f.clock.now) == s.f.clock.now + NS_PER_S);
    CHECK(status(&s, 0) == 503 && status(&s, 1) == 0 && status(&s, 2) == 0);
    fixture_advance(&s.f, NS_PER_S);
    CHECK(answers_step(&s.answers, s.f.clock.now) == NEVER_NS);
    CHECK(status(&s, 1) == 503 && status(&s, 2) == 503);
    CHECK(fixture_stats(&s.f).refused[REFUSED_DISK] == 3 && fixture_stats(&s.f).requests == 0);
    scene_fini(&s);
}

static void at_level_memory_nothing_waits(void)
{
    struct scene s;

    scene_init(&s, ACK_MEMORY);
    for (int i = 0; i < SENDERS; i++)
        add(&s, i, i ? AFTER_FRAME : AFTER_DECISION, 1000);
    CHECK(answers_step(&s.answers, s.f.clock.now) == NEVER_NS);
    for (int i = 0; i < SENDERS; i++)
        CHECK(status(&s, i) == 200);
    scene_fini(&s);
}

static void there_is_a_bound_and_memory_is_counted(void)
{
    struct scene s;
    size_t before;

    scene_init(&s, ACK_WRITTEN);
    before = memory_used(&s.f.memory);
    for (int i = 0; i < ANSWERS_MAX; i++)
        add(&s, 0, AFTER_FRAME, 1);
    CHECK(!answers_have_room(&s.answers, AFTER_FRAME));
    CHECK(answers_have_room(&s.answers, AFTER_DECISION));
    CHECK(memory_used(&s.f.memory) >= before + ANSWERS_MAX * sizeof(struct receive_answer));
    scene_fini(&s); /* its requests are receive's */
}

int main(void)
{
    RUN(each_is_given_when_its_frame_is_safe);
    RUN(one_that_waits_for_a_decision_does_not_wait_for_frames);
    RUN(one_that_waits_for_both_is_given_when_both_are_safe);
    RUN(a_stuck_disk_is_a_refusal_after_two_seconds);
    RUN(at_level_memory_nothing_waits);
    RUN(there_is_a_bound_and_memory_is_counted);
    return DONE();
}
