/* What of a decision goes to files beside its record: sources, votes. */
#include "collector/decider.h"

/* Of one decision: what comes from frames beyond them is sent again after a crash. */
enum { SOURCES_MAX = 65535 };

bool decider_has_bodies(struct decider *d, size_t count)
{
    frame_id last = 0;
    bool here = true;

    journal_read_others(d->worker->journal);
    for (size_t i = 0; i < count; i++) {
        if (d->refs[i].frame == last)
            continue;
        last = d->refs[i].frame;
        here &= journal_is_here(d->worker->journal, last); /* asks for every one that is not */
    }
    return here;
}

/* Spans of one frame come together, so each frame is met once. */
static unsigned find_sources(struct decider *d, size_t count)
{
    const struct journal *journal = d->worker->shared->journal;
    unsigned n = 0;
    frame_id last = 0;

    for (size_t i = 0; i < count && n < SOURCES_MAX; i++) {
        if (d->refs[i].frame == last)
            continue;
        last = d->refs[i].frame;
        d->sources[n++] = journal_source(journal, last);
    }
    return n;
}

static bool has_label(enum policy_opinion opinion)
{
    return opinion != OPINION_NOT_ASKED && opinion != OPINION_NONE;
}

static unsigned find_votes(struct decider *d)
{
    static const uint8_t kinds[] = {
        [OPINION_NOT_ASKED] = VOTE_NOT_ASKED, [OPINION_NONE] = VOTE_NONE,
        [OPINION_KEEP] = VOTE_KEEP,           [OPINION_DROP] = VOTE_DROP,
        [OPINION_SAMPLE] = VOTE_SAMPLE,       [OPINION_AT_LEAST] = VOTE_AT_LEAST,
        [OPINION_FAILED] = VOTE_FAILED};
    const struct rules *rules = d->worker->rules;
    const struct policy_vote *votes = policy_set_votes(rules->policies);
    unsigned n = (unsigned)policy_set_count(rules->policies);

    for (unsigned i = 0; i < n; i++)
        rules->votes[i] = (struct decision_vote){
            kinds[votes[i].opinion],
            has_label(votes[i].opinion) ? votes[i].label : rules->policy_labels[i],
            (float)votes[i].probability};
    return n;
}

const struct decision_details *decider_details(struct decider *d, size_t count, bool late)
{
    if (!d->has_details)
        return NULL;
    d->details = (struct decision_details){.sources = d->sources,
                                           .source_count = find_sources(d, count),
                                           .votes = d->worker->rules->votes};
    if (!late && d->worker->rules->policies)
        d->details.vote_count = find_votes(d);
    return &d->details;
}
