#include "check.h"
#include "policy/labels.h"

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

int main(void)
{
    RUN(a_pair_has_one_number);
    RUN(the_sixty_fifth_reason_is_other);
    RUN(a_full_table_gives_other);
    RUN(long_reasons_are_cut_between_characters);
    return DONE();
}
