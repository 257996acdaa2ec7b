/* Any bytes as what lies behind a segment's header, as they are and with checksums that hold; then
 * as entries and as names. What is found lies in the segment, and what an entry says is written
 * again as it was. */
#include "journal/entry.h"
#include "journal/frame.h"

#include <stdlib.h>

enum { GENERATION = 3, SALT = 0x5a17 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void read_names(struct slice body)
{
    struct names_read n;

    if (names_read(body, &n) == ERR_OK) {
        must(n.exporter_count <= 64 && n.policy_count <= ENTRY_MAX_VOTES);
        for (size_t i = 0; i < n.label_count; i++)
            must(strlen(n.labels[i].policy) + strlen(n.labels[i].reason) <= body.len);
        must(strlen(n.config_hash) <= body.len);
    }
    names_free(&n);
}

/* Writes what was read, and reads that. */
static void write_again(const struct entry *e)
{
    uint64_t *sources = calloc(e->source_count + 1, sizeof(*sources));
    struct decision_vote *votes = calloc(e->vote_count + 1, sizeof(*votes));
    struct decision_details details = {sources, e->source_count, votes, e->vote_count};
    struct entry again;
    struct buf out;
    size_t at = 0;

    must(sources && votes);
    for (unsigned i = 0; i < e->source_count; i++)
        sources[i] = entry_source(e, i);
    for (unsigned i = 0; i < e->vote_count; i++)
        votes[i] = entry_vote(e, i);
    buf_init(&out, 1 << 20, NULL);
    must(entry_write(&out, &e->record, &details) && out.len == entry_size(&details));
    must(entry_read(buf_slice(&out), &at, &again) && at == out.len);
    must(again.source_count == e->source_count && again.vote_count == e->vote_count);
    must(memcmp(again.record.trace_id, e->record.trace_id, 16) == 0 &&
         again.record.exporters == e->record.exporters);
    for (unsigned i = 0; i < e->source_count; i++)
        must(entry_source(&again, i) == sources[i]);
    buf_fini(&out);
    free(sources);
    free(votes);
}

static void read_entries(struct slice body)
{
    struct entry e;
    size_t at = 0, before = 0;

    while (entry_read(body, &at, &e)) {
        must(at > before && at <= body.len);
        before = at;
        write_again(&e);
    }
}

static void walk(struct slice segment, const struct segment_header *header)
{
    struct frame_walk w = {.segment = segment, .header = header, .at = FORMAT_PAGE};
    enum frame_found found;
    struct frame f;
    size_t end = FORMAT_PAGE;

    while ((found = frame_next(&w, &f)) != FRAME_END) {
        must(f.at >= end && f.at % FRAME_ALIGN == 0 && w.at > f.at);
        must(f.header.generation == GENERATION);
        end = w.at;
        if (found == FRAME_DAMAGED) {
            must(f.body.len == 0 && f.tlvs.len == 0);
            continue;
        }
        must(f.tlvs.data >= segment.data && f.tlvs.data + f.tlvs.len == f.body.data);
        must(f.body.data + f.body.len <= segment.data + segment.len);
        read_entries(frame_tlv(f.tlvs, TLV_DECISION));
        read_entries(f.body);
        read_names(f.body);
    }
    must(w.skipped <= segment.len);
}

/* Headers that fit get checksums; from the last one, so that those of the outer ones hold too. */
static void seal_all(uint8_t *bytes, size_t size)
{
    for (size_t at = size & ~(size_t)(FRAME_ALIGN - 1); at >= FORMAT_PAGE; at -= FRAME_ALIGN) {
        struct frame_header *h = (struct frame_header *)(void *)(bytes + at);

        if (size - at >= sizeof(*h) && h->magic == FRAME_MAGIC && h->generation == GENERATION &&
            (uint64_t)h->tlv_len + h->stored_len <= size - at - sizeof(*h))
            frame_seal(h, SALT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct segment_header header = {.generation = GENERATION, .salt = SALT};
    uint8_t *bytes = malloc(FORMAT_PAGE + size);

    must(bytes);
    memset(bytes, 0, FORMAT_PAGE);
    memcpy(bytes + FORMAT_PAGE, data, size);
    walk(slice_make(bytes, FORMAT_PAGE + size), &header);
    seal_all(bytes, FORMAT_PAGE + size);
    walk(slice_make(bytes, FORMAT_PAGE + size), &header);
    read_entries(slice_make(data, size));
    read_names(slice_make(data, size));
    free(bytes);
    return 0;
}
