/* The memory of decisions against a naive one, over the end of the numbers. */
#include "check.h"
#include "trace/decided.h"

enum { CAPACITY = 3000, ADDED = 20000 };

static struct memory memory;

/* Many share a bucket. */
static uint64_t hash_of(uint64_t i)
{
    return i * UINT64_C(0x9e3779b97f4a7c15) & ~UINT64_C(0xf0);
}

static struct trace_decision decision_of(uint64_t i)
{
    return (struct trace_decision){.label = (uint16_t)(i % 7), .threshold = i % 3};
}

static bool is_remembered(const struct decided *d, uint64_t i)
{
    const struct trace_decision *found = decided_find(d, hash_of(i));

    return found && found->label == i % 7 && found->threshold == i % 3;
}

static void the_last_ones_and_no_others_are_remembered(uint32_t first_number)
{
    struct decided d;

    memory_init(&memory, 64 << 20, 1);
    decided_init(&d, CAPACITY, &memory);
    d.next = first_number;
    for (uint64_t i = 1; i <= ADDED && !check_failures; i++) {
        struct trace_decision decision = decision_of(i);

        CHECK(decided_find(&d, hash_of(i)) == NULL);
        decided_add(&d, hash_of(i), &decision);
        CHECK(is_remembered(&d, i));
        CHECK(i < CAPACITY ? is_remembered(&d, 1) : is_remembered(&d, i - CAPACITY + 1));
        CHECK(i <= CAPACITY || decided_find(&d, hash_of(i - CAPACITY)) == NULL);
    }
    for (uint64_t i = 1; i <= ADDED; i++)
        CHECK(is_remembered(&d, i) == (i > ADDED - CAPACITY));
    CHECK(d.count == CAPACITY && d.dropped == ADDED - CAPACITY);
    CHECK(decided_bytes(&d) == memory_used(&memory));
    decided_fini(&d);
    CHECK(memory_used(&memory) == 0);
}

static void the_last_decisions_are_remembered(void)
{
    the_last_ones_and_no_others_are_remembered(0);
}

static void numbers_begin_again_and_nothing_is_lost(void)
{
    the_last_ones_and_no_others_are_remembered(UINT32_MAX / CAPACITY * CAPACITY - 10000);
}

static void of_two_with_one_hash_the_newer_is_found(void)
{
    struct decided d;
    struct trace_decision first = decision_of(1), second = decision_of(2);

    memory_init(&memory, 64 << 20, 1);
    decided_init(&d, 1, &memory);
    decided_add(&d, 9, &first);
    decided_add(&d, 9, &second);
    CHECK(d.count == 1 && d.dropped == 1 && decided_find(&d, 9)->label == 2);
    decided_fini(&d);
}

int main(void)
{
    RUN(the_last_decisions_are_remembered);
    RUN(numbers_begin_again_and_nothing_is_lost);
    RUN(of_two_with_one_hash_the_newer_is_found);
    return DONE();
}
