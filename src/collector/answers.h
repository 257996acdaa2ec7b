/* answers.h: answers that wait until what was taken is as safe as journal.ack says.
 *
 * One for each worker, on its thread. An answer waits for a frame (its journal_ticket) or for a
 * decision (its number, for what goes to the outbox at once). At level memory nothing waits: every
 * answer is given where it is added. One that waits for longer than ANSWER_PATIENCE_NS is a refusal
 * that senders repeat (reason disk), though what came stays in: it arrives at least once.
 */
#pragma once

#include "base/fifo.h"
#include "journal/journal.h"
#include "receive/receive.h"

#define ANSWER_PATIENCE_NS (2 * NS_PER_S)

enum { ANSWERS_MAX = 16384 }; /* that wait at once, of each kind */

enum answer_after {
    AFTER_FRAME,    /* journal_acked has reached the number */
    AFTER_DECISION, /* journal_decided has */
    AFTER_COUNT
};

struct answers {
    bool at_once; /* level memory */
    const struct journal_writer *journal;
    struct fifo waiting[AFTER_COUNT]; /* by their numbers */
};

/* `journal` is borrowed for life. False over the memory limit; nothing to free. */
bool answers_init(struct answers *a, const struct journal_writer *journal, enum journal_ack ack,
                  struct memory *memory) MUST_CHECK;
/* Requests that wait stay receive's. Also after {0}. */
void answers_fini(struct answers *a);

/* Room for one more. False: pause the request, before anything of it is committed. */
bool answers_have_room(struct answers *a, enum answer_after after);
/* Answers now, or when `number` is reached; there is room. Numbers of one kind never go back.
 * The message is static. */
void answers_add(struct answers *a, enum answer_after after, uint64_t number,
                 struct receive_request *request, const struct receive_answer *answer,
                 uint64_t now_ns);

/* The same where both have to be reached: the decision `number`, and the frame `ticket`. There is
 * room for an answer after a decision. */
void answers_add_both(struct answers *a, uint64_t number, uint64_t ticket,
                      struct receive_request *request, const struct receive_answer *answer,
                      uint64_t now_ns);

/* Gives the answers whose time has come. Returns when one of those left has waited for too long;
 * the worker's loop is woken before, when the journal moves. Before receive_step. */
uint64_t answers_step(struct answers *a, uint64_t now_ns);
