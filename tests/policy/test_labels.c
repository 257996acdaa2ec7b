#include "check.h"
#include "policy/shared.h"

#include <pthread.h>
#include <stdio.h>

static uint16_t intern(struct labels *l, const char *policy, const char *reason)
{
    return labels_intern(l, slice_str(policy), slice_str(reason));
}

static void a_pair_has_one_number(void)
{
    struct labels *l = labels_new();
    uint16_t a = intern(l, "latency", "slow"), b = intern(l, "latency", "slower");

    CHECK(a != b && a != 0);
    CHECK(intern(l, "latency", "slow") == a);
    CHECK(intern(l, "latency/x", "slow") != a);
    CHECK(strcmp(labels_policy(l, a), "latency") == 0);
    CHECK(strcmp(labels_reason(l, b), "slower") == 0);
    CHECK(labels_count(l) == 4);
    labels_free(l);
}

static void the_sixty_fifth_reason_is_other(void)
{
    struct labels *l = labels_new();
    uint16_t other, label = 0;
    char reason[16];

    for (int i = 0; i < LABEL_REASONS_PER_POLICY; i++) {
        snprintf(reason, sizeof(reason), "r%d", i);
        label = intern(l, "p", reason);
    }
    CHECK(strcmp(labels_reason(l, label), "r63") == 0);
    other = intern(l, "p", "one more");
    CHECK(strcmp(labels_reason(l, other), "other") == 0);
    CHECK(strcmp(labels_policy(l, other), "p") == 0);
    CHECK(intern(l, "p", "and another") == other);
    CHECK(intern(l, "p", "r7") != other);
    CHECK(strcmp(labels_reason(l, intern(l, "q", "one more")), "one more") == 0);
    labels_free(l);
}

static void labels_are_utf_8_whatever_scripts_say(void)
{
    struct labels *l = labels_new();
    char reason[80];

    CHECK(strcmp(labels_reason(l, intern(l, "p", "for a\xc3")), "for a\xef\xbf\xbd") == 0);
    CHECK(intern(l, "p", "\xff") == intern(l, "p", "\xef\xbf\xbd"));
    CHECK(strcmp(labels_policy(l, intern(l, "\xfe-x", "r")), "\xef\xbf\xbd-x") == 0);
    CHECK(strcmp(labels_reason(l, intern(l, "p", "caf\xc3\xa9")), "caf\xc3\xa9") == 0);
    for (size_t len = 60; len <= 66; len++) { /* cut between characters */
        memset(reason, 'x', len);
        snprintf(reason + len, sizeof(reason) - len, "\xe2\x82\xac.");
        CHECK(strlen(labels_reason(l, intern(l, "p", reason))) == (len == 60   ? 64
                                                                   : len == 61 ? 64
                                                                   : len < 64  ? len
                                                                               : 64));
    }
    labels_free(l);
}

static void a_full_table_gives_other(void)
{
    struct labels *l = labels_new();
    char policy[16];

    for (int i = 0; i < 2 * LABEL_MAX; i++) {
        snprintf(policy, sizeof(policy), "p%d", i);
        intern(l, policy, "r");
    }
    CHECK(labels_count(l) == LABEL_MAX);
    CHECK(intern(l, "one more", "r") == 0);
    CHECK(strcmp(labels_policy(l, 0), "other") == 0);
    labels_free(l);
}

static void long_reasons_are_cut_between_characters(void)
{
    struct labels *l = labels_new();
    char reason[100];
    uint16_t label;

    memset(reason, 'x', sizeof(reason));
    memcpy(reason + 63, "\xc3\xa9\xc3\xa9", 5);
    label = intern(l, "p", reason);
    CHECK(strlen(labels_reason(l, label)) == 63);
    CHECK(intern(l, "p", reason) == label);
    labels_free(l);
}

enum { THREADS = 4, ROUNDS = 2000 };

static struct labels *shared_labels;
static struct policy_shared shared;
static _Atomic unsigned keeps;

static void *intern_and_take(void *arg)
{
    char reason[16];

    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        uint16_t label;

        snprintf(reason, sizeof(reason), "r%d", i % 40);
        label = intern(shared_labels, i % 2 ? "a" : "b", reason);
        if (strcmp(labels_reason(shared_labels, label), reason) != 0)
            return shared_labels; /* wrong */
        if (policy_shared_may_keep(&shared, UINT64_C(1000000000) + (uint64_t)i * 1000000))
            atomic_fetch_add(&keeps, 1);
    }
    return NULL;
}

/* Four workers, each with a clock that goes from 1 s to 3 s. */
static void workers_share_labels_and_one_bucket(void)
{
    pthread_t threads[THREADS];
    bool wrong = false;

    shared_labels = labels_new();
    policy_shared_init(&shared, shared_labels, 10);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, intern_and_take, NULL);
    for (int i = 0; i < THREADS; i++) {
        void *result;

        pthread_join(threads[i], &result);
        wrong |= result != NULL;
    }
    CHECK(!wrong);
    CHECK(labels_count(shared_labels) == 1 + 40);
    CHECK(keeps >= 10 && keeps <= 30);
    policy_shared_fini(&shared);
    labels_free(shared_labels);
}

int main(void)
{
    RUN(a_pair_has_one_number);
    RUN(the_sixty_fifth_reason_is_other);
    RUN(labels_are_utf_8_whatever_scripts_say);
    RUN(a_full_table_gives_other);
    RUN(long_reasons_are_cut_between_characters);
    RUN(workers_share_labels_and_one_bucket);
    return DONE();
}
