#include "journal/entry.h"

#include <assert.h>
#include <stdlib.h>

enum { ENTRY_VERSION = 1, FLAG_KEEP = 1, FLAG_LATE = 2, FLAG_COMPLETE = 4 };

/* What stands first in an entry; votes and sources follow. A later version may be longer: `head`
 * says how long it is, `size` where the next entry begins. */
struct entry_head {
    uint32_t size;
    uint8_t version;
    uint8_t head; /* of this structure, in units of 8 bytes */
    uint16_t flags;
    uint8_t trace_id[16];
    uint8_t signal, trigger;
    uint16_t label;
    uint16_t votes, sources;
    uint32_t spans, payload_spans, errors, config_version;
    uint64_t threshold;
    double probability;
    uint64_t duration_ns, unix_ns;
    uint64_t exporters;
    uint64_t randomness;
};
_Static_assert(sizeof(struct entry_head) == 96, "as on disk");

struct vote_bytes {
    uint8_t kind, unused;
    uint16_t label;
    float probability;
};
_Static_assert(sizeof(struct vote_bytes) == 8, "as on disk");

static unsigned votes_of(const struct decision_details *d)
{
    return !d ? 0 : d->vote_count < ENTRY_MAX_VOTES ? d->vote_count : ENTRY_MAX_VOTES;
}

static unsigned sources_of(const struct decision_details *d)
{
    return !d ? 0 : d->source_count < ENTRY_MAX_SOURCES ? d->source_count : ENTRY_MAX_SOURCES;
}

size_t entry_size(const struct decision_details *details)
{
    return sizeof(struct entry_head) + sizeof(struct vote_bytes) * votes_of(details) +
           sizeof(uint64_t) * sources_of(details);
}

static void head_write(uint8_t *to, const struct decision_record *r,
                       const struct decision_details *details)
{
    struct entry_head head = {
        .size = (uint32_t)entry_size(details),
        .version = ENTRY_VERSION,
        .head = sizeof(head) / 8,
        .flags = (uint16_t)((r->keep ? FLAG_KEEP : 0) | (r->late ? FLAG_LATE : 0) |
                            (r->complete ? FLAG_COMPLETE : 0)),
        .signal = r->signal,
        .trigger = r->trigger,
        .label = r->label,
        .votes = (uint16_t)votes_of(details),
        .sources = (uint16_t)sources_of(details),
        .spans = r->spans,
        .payload_spans = r->payload_spans,
        .errors = r->errors,
        .config_version = r->config_version,
        .threshold = r->threshold,
        .probability = r->probability,
        .duration_ns = r->duration_ns,
        .unix_ns = r->unix_ns,
        .exporters = r->exporters,
        .randomness = r->randomness,
    };

    memcpy(head.trace_id, r->trace_id, sizeof(head.trace_id));
    memcpy(to, &head, sizeof(head));
}

bool entry_write(struct buf *to, const struct decision_record *r,
                 const struct decision_details *details)
{
    size_t size = entry_size(details);
    uint8_t *at = buf_reserve(to, size);

    if (!at)
        return false;
    head_write(at, r, details);
    at += sizeof(struct entry_head);
    for (unsigned i = 0; i < votes_of(details); i++, at += sizeof(struct vote_bytes)) {
        const struct decision_vote *v = &details->votes[i];

        memcpy(at, &(struct vote_bytes){v->kind, 0, v->label, v->probability},
               sizeof(struct vote_bytes));
    }
    if (sources_of(details))
        memcpy(at, details->sources, sizeof(uint64_t) * sources_of(details));
    to->len += size;
    return true;
}

/* Whether the parts that `head` counts lie within its size, and that within `rest` bytes. */
static bool head_is_good(const struct entry_head *head, size_t rest)
{
    return head->version == ENTRY_VERSION && head->size <= rest && head->size % 8 == 0 &&
           head->head >= sizeof(*head) / 8 && head->votes <= ENTRY_MAX_VOTES &&
           head->signal <= FRAME_LOGS &&
           head->head * 8u + sizeof(struct vote_bytes) * head->votes +
                   sizeof(uint64_t) * head->sources <=
               head->size;
}

static struct decision_record record_of(const struct entry_head *head)
{
    struct decision_record r = {
        .keep = head->flags & FLAG_KEEP,
        .late = head->flags & FLAG_LATE,
        .complete = (head->flags & FLAG_COMPLETE) != 0,
        .signal = head->signal,
        .label = head->label,
        .trigger = head->trigger,
        .spans = head->spans,
        .config_version = head->config_version,
        .threshold = head->threshold,
        .probability = head->probability,
        .duration_ns = head->duration_ns,
        .unix_ns = head->unix_ns,
        .exporters = head->exporters,
        .payload_spans = head->payload_spans,
        .errors = head->errors,
        .randomness = head->randomness,
    };

    memcpy(r.trace_id, head->trace_id, sizeof(r.trace_id));
    return r;
}

bool entry_read(struct slice from, size_t *at, struct entry *e)
{
    struct entry_head head;

    if (*at >= from.len || from.len - *at < sizeof(head))
        return false;
    memcpy(&head, from.data + *at, sizeof(head));
    if (!head_is_good(&head, from.len - *at))
        return false;
    e->record = record_of(&head);
    e->votes = from.data + *at + head.head * 8u;
    e->vote_count = head.votes;
    e->sources = e->votes + sizeof(struct vote_bytes) * head.votes;
    e->source_count = head.sources;
    *at += head.size;
    return true;
}

struct decision_vote entry_vote(const struct entry *e, unsigned i)
{
    struct vote_bytes vote;

    assert(i < e->vote_count);
    memcpy(&vote, e->votes + sizeof(vote) * i, sizeof(vote));
    return (struct decision_vote){vote.kind, vote.label, vote.probability};
}

uint64_t entry_source(const struct entry *e, unsigned i)
{
    uint64_t source;

    assert(i < e->source_count);
    memcpy(&source, e->sources + sizeof(source) * i, sizeof(source));
    return source;
}
