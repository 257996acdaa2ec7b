#include "collector/answers.h"

enum { FIRST_ANSWERS = 64 };

struct waiting_answer {
    struct receive_request *request;
    struct receive_answer answer;
    uint64_t number;
    uint64_t ticket;   /* of a frame that has to be reached too; 0: none */
    uint64_t until_ns; /* then it is a refusal */
};

bool answers_init(struct answers *a, const struct journal_writer *journal, enum journal_ack ack,
                  struct memory *memory)
{
    *a = (struct answers){.at_once = ack == ACK_MEMORY, .journal = journal};
    if (a->at_once)
        return true;
    for (int i = 0; i < AFTER_COUNT; i++)
        if (!fifo_init(&a->waiting[i], memory, sizeof(struct waiting_answer), FIRST_ANSWERS)) {
            answers_fini(a);
            return false;
        }
    return true;
}

void answers_fini(struct answers *a)
{
    for (int i = 0; i < AFTER_COUNT; i++)
        fifo_fini(&a->waiting[i]);
}

bool answers_have_room(struct answers *a, enum answer_after after)
{
    struct fifo *f = &a->waiting[after];

    return a->at_once || (fifo_len(f) < ANSWERS_MAX && fifo_room(f, 1));
}

static void add(struct answers *a, enum answer_after after, const struct waiting_answer *w)
{
    if (a->at_once) {
        receive_answer(w->request, &w->answer);
        return;
    }
    receive_answer_later(w->request);
    *(struct waiting_answer *)fifo_push(&a->waiting[after]) = *w;
}

void answers_add(struct answers *a, enum answer_after after, uint64_t number,
                 struct receive_request *request, const struct receive_answer *answer,
                 uint64_t now_ns)
{
    add(a, after,
        &(struct waiting_answer){request, *answer, number, 0, now_ns + ANSWER_PATIENCE_NS});
}

void answers_add_both(struct answers *a, uint64_t number, uint64_t ticket,
                      struct receive_request *request, const struct receive_answer *answer,
                      uint64_t now_ns)
{
    add(a, AFTER_DECISION,
        &(struct waiting_answer){request, *answer, number, ticket, now_ns + ANSWER_PATIENCE_NS});
}

static uint64_t reached(const struct answers *a, enum answer_after after)
{
    return after == AFTER_FRAME ? journal_acked(a->journal) : journal_decided(a->journal);
}

static uint64_t give(const struct answers *a, struct fifo *waiting, uint64_t number,
                     uint64_t now_ns)
{
    static const struct receive_answer disk = {.verdict = RECEIVE_DISK};

    while (fifo_len(waiting) > 0) {
        const struct waiting_answer *w = fifo_at(waiting, 0);
        bool is_safe =
            w->number <= number && (w->ticket == 0 || w->ticket <= journal_acked(a->journal));

        if (!is_safe && now_ns < w->until_ns)
            return w->until_ns;
        receive_answer(w->request, is_safe ? &w->answer : &disk);
        fifo_drop(waiting, 1);
    }
    return NEVER_NS;
}

uint64_t answers_step(struct answers *a, uint64_t now_ns)
{
    uint64_t due = NEVER_NS;

    if (a->at_once)
        return due;
    for (int i = 0; i < AFTER_COUNT; i++)
        due = earlier_ns(due, give(a, &a->waiting[i], reached(a, (enum answer_after)i), now_ns));
    return due;
}
