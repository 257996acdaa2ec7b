#include "check.h"
#include "journal/made_segment.h"

enum { FRAMES = 5, SALT = 0x5eed, MAX_BODY = 300 };

static struct made_segment segment;

/* Bodies of frame n, 1 .. FRAMES: of several lengths, ends that are aligned and not, one empty. */
static struct slice body_of(unsigned n, uint8_t bytes[MAX_BODY])
{
    static const size_t lens[FRAMES] = {100, 64, 0, MAX_BODY, 1};

    for (size_t i = 0; i < lens[n - 1]; i++)
        bytes[i] = (uint8_t)(n * 31 + i);
    return slice_make(bytes, lens[n - 1]);
}

static void fill(void)
{
    uint8_t bytes[MAX_BODY];

    segment_open(&segment, USE_FRAMES, 7, SALT);
    memset(segment.bytes + FORMAT_PAGE, 0, segment.size - FORMAT_PAGE);
    for (unsigned n = 1; n <= FRAMES; n++)
        segment_add(&segment, FRAME_TRACES, n, body_of(n, bytes));
}

static bool is_whole(const struct frame *f, unsigned n)
{
    uint8_t bytes[MAX_BODY];

    return f->header.sequence == n && slice_equal(f->body, body_of(n, bytes));
}

static void frames_come_back_as_they_were_sealed(void)
{
    struct frame_walk w;
    struct frame f;

    fill();
    w = segment_walk(&segment);
    for (unsigned n = 1; n <= FRAMES; n++) {
        CHECK(frame_next(&w, &f) == FRAME_FOUND);
        CHECK(is_whole(&f, n) && f.at % FRAME_ALIGN == 0);
    }
    CHECK(frame_next(&w, &f) == FRAME_END);
    CHECK(frame_next(&w, &f) == FRAME_END);
    CHECK(w.skipped == 0 && w.damaged == 0);
}

/* Walks; returns the frames that are whole as a bit mask, and whether damage was seen. */
static unsigned walk(bool *detected)
{
    struct frame_walk w = segment_walk(&segment);
    enum frame_found found;
    unsigned whole = 0;
    struct frame f;

    *detected = false;
    while ((found = frame_next(&w, &f)) != FRAME_END) {
        if (found == FRAME_DAMAGED)
            *detected = true;
        for (unsigned n = 1; n <= FRAMES; n++)
            if (found == FRAME_FOUND && f.header.sequence == n && is_whole(&f, n))
                whole |= 1u << n;
    }
    *detected |= w.damaged > 0;
    return whole;
}

static void a_flipped_bit_is_seen_and_costs_the_frame_it_is_in(void)
{
    const unsigned all = (1u << (FRAMES + 1)) - 2;
    size_t at = FORMAT_PAGE;

    fill();
    for (unsigned n = 1; n <= FRAMES; n++) {
        uint8_t bytes[MAX_BODY];
        size_t used = sizeof(struct frame_header) + body_of(n, bytes).len;
        size_t size = frame_size(0, body_of(n, bytes).len);

        for (size_t bit = 0; bit < size * 8; bit++) {
            uint8_t *byte = segment.bytes + at + bit / 8, mask = (uint8_t)(1 << bit % 8);
            bool detected;
            unsigned whole;

            *byte ^= mask;
            whole = walk(&detected);
            *byte ^= mask;
            /* Zeros between frames are nobody's. */
            CHECK(whole == (bit / 8 < used ? all & ~(1u << n) : all));
            CHECK(detected == (bit / 8 < used));
        }
        at += size;
    }
}

static void frames_behind_a_damaged_header_are_found(void)
{
    struct frame_walk w;
    struct frame f;

    fill();
    memset(segment.bytes + FORMAT_PAGE + frame_size(0, 100), 0xff, sizeof(struct frame_header));
    w = segment_walk(&segment);
    CHECK(frame_next(&w, &f) == FRAME_FOUND && is_whole(&f, 1));
    CHECK(frame_next(&w, &f) == FRAME_FOUND && is_whole(&f, 3));
    CHECK(w.damaged == 1 && w.skipped == frame_size(0, 64));
    CHECK(frame_next(&w, &f) == FRAME_FOUND && is_whole(&f, 4));
    CHECK(w.damaged == 1);
}

static void lost_pages_in_the_middle_cost_only_their_frames(void)
{
    uint8_t big[3 * FORMAT_PAGE], small[MAX_BODY];
    struct frame_walk w;
    struct frame f;

    segment_open(&segment, USE_FRAMES, 8, SALT);
    memset(big, 'x', sizeof(big));
    segment_add(&segment, FRAME_TRACES, 1, body_of(1, small));
    segment_add(&segment, FRAME_TRACES, 9, slice_make(big, sizeof(big)));
    segment_add(&segment, FRAME_TRACES, 2, body_of(2, small));
    memset(segment.bytes + 2 * FORMAT_PAGE, 0, FORMAT_PAGE);
    w = segment_walk(&segment);
    CHECK(frame_next(&w, &f) == FRAME_FOUND && is_whole(&f, 1));
    CHECK(frame_next(&w, &f) == FRAME_DAMAGED);
    CHECK(f.header.sequence == 9 && f.header.items == 1 && f.body.len == 0 && f.tlvs.len == 0);
    CHECK(frame_next(&w, &f) == FRAME_FOUND && is_whole(&f, 2));
    CHECK(frame_next(&w, &f) == FRAME_END);
    CHECK(w.damaged == 0 && w.skipped == 0);
}

static void frames_of_another_use_are_not_seen(void)
{
    uint8_t bytes[MAX_BODY];
    struct frame_walk w;
    struct frame f;

    fill();
    segment_open(&segment, USE_FRAMES, 8, SALT + 1); /* the old frames still lie there */
    w = segment_walk(&segment);
    CHECK(frame_next(&w, &f) == FRAME_END);
    CHECK(w.damaged == 0 && w.skipped == 0);

    segment_add(&segment, FRAME_TRACES, 1, body_of(1, bytes));
    memset(segment.bytes + segment.used, 0, FORMAT_PAGE - segment.used % FORMAT_PAGE);
    w = segment_walk(&segment);
    CHECK(frame_next(&w, &f) == FRAME_FOUND && is_whole(&f, 1));
    CHECK(frame_next(&w, &f) == FRAME_END);
    CHECK(w.damaged == 0 && w.skipped == 0);
}

static void a_last_header_that_nothing_is_left_of_is_damage(void)
{
    struct frame_walk w;
    struct frame f;

    fill();
    memset(segment.bytes + segment.used, 0, FORMAT_PAGE - segment.used % FORMAT_PAGE);
    memset(segment.bytes + segment.used, 'x', sizeof(struct frame_header));
    w = segment_walk(&segment);
    while (frame_next(&w, &f) != FRAME_END)
        continue;
    CHECK(w.damaged == 1);
}

/* Of a segment with one frame nothing is behind it that would show that something was lost. */
static void an_only_header_that_is_garbled_is_damage_and_an_earlier_one_is_not(void)
{
    uint8_t bytes[MAX_BODY], *first;
    bool detected;

    segment_open(&segment, USE_FRAMES, 7, SALT);
    memset(segment.bytes + FORMAT_PAGE, 0, segment.size - FORMAT_PAGE);
    CHECK(walk(&detected) == 0 && !detected);
    segment_add(&segment, FRAME_TRACES, 1, body_of(1, bytes));
    first = segment.bytes + FORMAT_PAGE;
    for (size_t i = 8; i < 23; i++)
        first[i] ^= 0x5a;
    CHECK(walk(&detected) == 0 && detected);
    memset(first, 0x5a, sizeof(struct frame_header));
    CHECK(walk(&detected) == 0 && detected);

    segment_open(&segment, USE_FRAMES, 6, SALT + 1);
    segment_add(&segment, FRAME_TRACES, 1, body_of(1, bytes));
    segment_open(&segment, USE_FRAMES, 7, SALT);
    CHECK(walk(&detected) == 0 && !detected);
}

/* The writer puts a page of zeros where the last frame ends with its page. */
static void a_garbled_last_header_is_damage_also_at_the_beginning_of_a_page(void)
{
    static const uint8_t body[FORMAT_PAGE - sizeof(struct frame_header)];
    uint8_t bytes[MAX_BODY];
    bool detected;

    segment_open(&segment, USE_FRAMES, 7, SALT);
    memset(segment.bytes + FORMAT_PAGE, 0, segment.size - FORMAT_PAGE);
    segment_add(&segment, FRAME_TRACES, 1, slice_make(body, sizeof(body)));
    CHECK(segment.used == 2 * FORMAT_PAGE);
    walk(&detected);
    CHECK(!detected);
    segment_add(&segment, FRAME_TRACES, 2, body_of(2, bytes));
    memset(segment.bytes + 2 * FORMAT_PAGE + 3, '?', 40);
    walk(&detected);
    CHECK(detected);
}

static void neither_the_salt_nor_the_generation_alone_is_enough(void)
{
    struct segment_header other;
    struct frame_walk w;
    struct frame f;

    fill();
    w = segment_walk(&segment);
    other = segment.header;
    w.header = &other;
    other.generation++;
    CHECK(frame_next(&w, &f) == FRAME_END);
    w = segment_walk(&segment);
    other = segment.header;
    w.header = &other;
    other.salt ^= UINT64_C(1) << 63;
    CHECK(frame_next(&w, &f) == FRAME_END);
}

/* A client's body that holds frames of this very generation, sealed with a salt of its choice. */
static struct slice look_alikes(struct made_segment *client, uint64_t salt)
{
    static const char text[] = "not a span that anybody sent";

    segment_open(client, USE_FRAMES, 7, salt);
    for (uint64_t n = 0; n < 20; n++)
        segment_add(client, FRAME_TRACES, 100 + n, slice_str(text));
    return slice_make(client->bytes + FORMAT_PAGE, client->used - FORMAT_PAGE);
}

static void look_alikes_in_a_body_are_not_seen(void)
{
    struct made_segment client = {0};
    uint8_t bytes[MAX_BODY];
    struct frame_header *outer;
    struct frame_walk w;
    struct frame f;

    segment_open(&segment, USE_FRAMES, 7, SALT);
    outer = segment_add(&segment, FRAME_TRACES, 9, look_alikes(&client, SALT)); /* even this one */
    segment_add(&segment, FRAME_TRACES, 1, body_of(1, bytes));
    w = segment_walk(&segment);
    CHECK(frame_next(&w, &f) == FRAME_FOUND && f.header.sequence == 9);
    CHECK(frame_next(&w, &f) == FRAME_FOUND && is_whole(&f, 1));

    /* With a salt that a client can't know they are not found when its header is lost either. */
    segment_open(&segment, USE_FRAMES, 7, SALT);
    outer = segment_add(&segment, FRAME_TRACES, 9, look_alikes(&client, SALT + 1));
    segment_add(&segment, FRAME_TRACES, 1, body_of(1, bytes));
    outer->items++;
    w = segment_walk(&segment);
    CHECK(frame_next(&w, &f) == FRAME_FOUND && is_whole(&f, 1));
    CHECK(w.damaged == 1);
    segment_close(&client);
}

static void what_is_not_known_is_damaged_and_stepped_over(void)
{
    struct frame_header later = {.version = FRAME_VERSION + 1, .sequence = 50};
    struct frame_header packed = {.encoding = 3, .decoded_len = 1000, .sequence = 51};
    uint8_t bytes[MAX_BODY];
    struct frame_walk w;
    struct frame f;

    segment_open(&segment, USE_FRAMES, 9, SALT);
    segment_add_as(&segment, later, (struct slice){0}, body_of(4, bytes));
    segment_add_as(&segment, packed, (struct slice){0}, body_of(4, bytes));
    segment_add(&segment, FRAME_TRACES, 1, body_of(1, bytes));
    w = segment_walk(&segment);
    CHECK(frame_next(&w, &f) == FRAME_DAMAGED && f.header.sequence == 50);
    CHECK(frame_next(&w, &f) == FRAME_DAMAGED && f.header.sequence == 51);
    CHECK(frame_next(&w, &f) == FRAME_FOUND && is_whole(&f, 1));
}

static void a_length_beyond_the_segment_is_damage(void)
{
    const uint32_t lens[] = {UINT32_MAX, UINT32_MAX - 63, SEGMENT_BYTES, SEGMENT_BYTES / 2 + 1};
    struct frame_walk w;
    struct frame f;

    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct frame_header *h;

        segment_open(&segment, USE_FRAMES, 10, SALT);
        h = segment_add(&segment, FRAME_TRACES, 1, slice_str("short"));
        segment_add(&segment, FRAME_TRACES, 2, slice_str("not to be reached"));
        h->tlv_len = h->stored_len = h->decoded_len = lens[i];
        /* sealed by hand: such a body can't be read */
        h->header_crc = 0;
        h->header_crc = crc32c((uint32_t)SALT ^ 10 * UINT32_C(0x9e3779b1), h, sizeof(*h));
        w = segment_walk(&segment);
        CHECK(frame_next(&w, &f) == FRAME_DAMAGED && f.body.len == 0);
        CHECK(frame_next(&w, &f) == FRAME_END);
    }
}

static void a_slice_that_ends_early_is_read_up_to_its_end(void)
{
    fill();
    for (size_t len = FORMAT_PAGE; len < segment.used; len++) {
        uint8_t *copy = malloc(len); /* exactly so long, for the sanitizer */
        struct frame_walk w = {
            .segment = slice_make(copy, len), .header = &segment.header, .at = FORMAT_PAGE};
        unsigned whole = 0;
        enum frame_found found;
        struct frame f;

        memcpy(copy, segment.bytes, len);
        while ((found = frame_next(&w, &f)) != FRAME_END)
            whole += found == FRAME_FOUND;
        CHECK(whole < FRAMES || len >= segment.used - FRAME_ALIGN);
        free(copy);
    }
}

static void values_are_found_by_type_and_unknown_ones_stepped_over(void)
{
    uint8_t bytes[64] = {0};
    const struct tlv other = {.type = 77, .len = 3}, ours = {.type = TLV_DECISION, .len = 8};
    struct slice area = slice_make(bytes, sizeof(bytes));

    memcpy(bytes, &other, sizeof(other));
    memcpy(bytes + 8, "abc", 3);
    memcpy(bytes + 16, &ours, sizeof(ours));
    memcpy(bytes + 24, "entry...", 8);
    CHECK(slice_is(frame_tlv(area, TLV_DECISION), "entry..."));
    CHECK(frame_tlv(area, (enum frame_tlv)5).data == NULL);
    CHECK(frame_tlv((struct slice){0}, TLV_DECISION).data == NULL);
    CHECK(frame_tlv(slice_make(bytes, 31), TLV_DECISION).data == NULL); /* cut */
    CHECK(frame_tlv(slice_make(bytes, 20), TLV_DECISION).data == NULL);
    memset(bytes + 4, 0xff, 4); /* the first one's length */
    CHECK(frame_tlv(area, TLV_DECISION).data == NULL);
}

int main(void)
{
    RUN(frames_come_back_as_they_were_sealed);
    RUN(a_flipped_bit_is_seen_and_costs_the_frame_it_is_in);
    RUN(frames_behind_a_damaged_header_are_found);
    RUN(lost_pages_in_the_middle_cost_only_their_frames);
    RUN(frames_of_another_use_are_not_seen);
    RUN(a_last_header_that_nothing_is_left_of_is_damage);
    RUN(an_only_header_that_is_garbled_is_damage_and_an_earlier_one_is_not);
    RUN(a_garbled_last_header_is_damage_also_at_the_beginning_of_a_page);
    RUN(neither_the_salt_nor_the_generation_alone_is_enough);
    RUN(look_alikes_in_a_body_are_not_seen);
    RUN(what_is_not_known_is_damaged_and_stepped_over);
    RUN(a_length_beyond_the_segment_is_damage);
    RUN(a_slice_that_ends_early_is_read_up_to_its_end);
    RUN(values_are_found_by_type_and_unknown_ones_stepped_over);
    segment_close(&segment);
    return DONE();
}
