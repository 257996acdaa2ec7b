/* Without arguments: the tests. With --messages: reads messages (four bytes of length, little
 * endian, then the bytes) from the standard input, and writes a line for each of them:
 *     VERDICT SPANS REJECTED ORACLE TEXT
 * VERDICT: ok, parse. ORACLE: same, different, refused, none. Then a line of the fields that were
 * set in accepted messages. The differential test in tests/system uses it.
 */
#include "check.h"
#include "message.h"
#include "oracle.h"

#include <stdlib.h>

enum { MAX_SPANS = 4096, MAX_MESSAGES = 32, MAX_FIELDS = 32 };

/* The fields that were met in messages, by their descriptors. */
static struct {
    const ProtobufCMessageDescriptor *message;
    bool hit[MAX_FIELDS];
} coverage[MAX_MESSAGES];

static bool *hits_of(const ProtobufCMessageDescriptor *message)
{
    for (int i = 0; i < MAX_MESSAGES; i++) {
        if (coverage[i].message == message)
            return coverage[i].hit;
        if (coverage[i].message)
            continue;
        coverage[i].message = message;
        for (unsigned f = 0; f < message->n_fields; f++) {
            if (message->fields[f].type == PROTOBUF_C_TYPE_MESSAGE)
                hits_of(message->fields[f].descriptor);
        }
        return coverage[i].hit;
    }
    abort();
}

static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const uint8_t *at = (const uint8_t *)message + field->offset;
    const uint8_t *count = (const uint8_t *)message + field->quantifier_offset;

    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)(const void *)count > 0;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)(const void *)count == field->id;
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return **(char *const *)(const void *)at != 0;
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)(const void *)at)->len > 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(void *const *)(const void *)at != NULL;
    default:
        return *(const uint32_t *)(const void *)at != 0;
    }
}

static void note_fields(const ProtobufCMessage *message);

static void note_children(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const void *at = (const uint8_t *)message + field->offset;
    const void *count = (const uint8_t *)message + field->quantifier_offset;

    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        note_fields(*(ProtobufCMessage *const *)at);
        return;
    }
    for (size_t i = 0; i < *(const size_t *)count; i++)
        note_fields((*(ProtobufCMessage * *const *)at)[i]);
}

static void note_fields(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    bool *hit = hits_of(descriptor);

    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        if (!is_set(message, &descriptor->fields[i]))
            continue;
        hit[i] = true;
        if (descriptor->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            note_children(message, &descriptor->fields[i]);
    }
}

static void note_body(struct slice body)
{
    ProtobufCMessage *message = protobuf_c_message_unpack(
        &opentelemetry__proto__trace__v1__traces_data__descriptor, NULL, body.len, body.data);

    if (message)
        note_fields(message);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void print_coverage(void)
{
    unsigned hit = 0, all = 0;

    hits_of(&opentelemetry__proto__trace__v1__traces_data__descriptor);
    printf("missed");
    for (int i = 0; i < MAX_MESSAGES && coverage[i].message; i++) {
        for (unsigned f = 0; f < coverage[i].message->n_fields; f++) {
            all++;
            hit += coverage[i].hit[f];
            if (!coverage[i].hit[f])
                printf(" %s.%s", coverage[i].message->short_name,
                       coverage[i].message->fields[f].name);
        }
    }
    printf("\nfields %u of %u\n", hit, all);
}

/* One line for a message. The bytes are in a block of exactly their size. */
static void print_verdict(struct slice body, struct scan_span *spans)
{
    static const char *const names[] = {"same", "different", "refused"};
    struct oracle oracle = {.why = ""};
    struct scan_result r;
    enum oracle_verdict verdict;

    if (scan_traces(body, spans, MAX_SPANS, &r)) {
        printf("parse 0 0 none %s\n", r.error);
        return;
    }
    verdict = oracle_compare(&oracle, body, spans, &r);
    printf("ok %zu %zu %s %s\n", r.spans, r.rejected, names[verdict], oracle.why);
    if (r.rejected == 0 && verdict == ORACLE_SAME)
        note_body(body);
}

static int judge_messages(void)
{
    static struct scan_span spans[MAX_SPANS];
    uint8_t head[4];

    while (fread(head, 1, 4, stdin) == 4) {
        size_t len = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        uint8_t *body = malloc(len ? len : 1);

        if (fread(body, 1, len, stdin) != len)
            return 1;
        print_verdict(slice_make(body, len), spans);
        free(body);
    }
    print_coverage();
    return 0;
}

/* Attributes with one of each value, and a map and a list in each other. */
static void put_attributes(struct message *m, uint64_t number)
{
    struct message value[7] = {{.len = 0}}, list = {.len = 0}, map = {.len = 0};

    put_text(&value[0], 1, "text");
    put_uint(&value[1], 2, 1);
    put_uint(&value[2], 3, (uint64_t)-5);
    put_fixed64(&value[3], 4, 0x3ff8000000000000u);
    put_bytes(&value[6], 7, "\0\xff", 2);
    for (int i = 0; i < 4; i++)
        put_message(&list, 1, &value[i]);
    put_message(&value[4], 5, &list);
    put_attribute(&map, 1, "inner", "value");
    put_message(&value[5], 6, &map);
    for (int i = 0; i < 7; i++) {
        struct message pair = {.len = 0};

        put_text(&pair, 1, (char[]){(char)('a' + i), 0});
        put_message(&pair, 2, &value[i]);
        put_message(m, number, &pair);
    }
    put_attribute(m, number, "a", "a second one of this name");
}

static struct message full_span(uint8_t id)
{
    struct message span = {.len = 0}, event = {.len = 0}, link = {.len = 0}, status = {.len = 0};

    put_fixed64(&event, 1, 5);
    put_text(&event, 2, "event");
    put_attributes(&event, 3);
    put_uint(&event, 4, 6);
    put_ids(&link, 9);
    put_text(&link, 3, "l=1");
    put_attributes(&link, 4);
    put_text(&status, 2, "broken");
    put_uint(&status, 3, 2);
    put_ids(&span, id);
    put_text(&span, 3, "a=b");
    put_bytes(&span, 4, "parentid", 8);
    put_text(&span, 5, "name");
    put_uint(&span, 6, 2);
    put_fixed64(&span, 7, 100);
    put_fixed64(&span, 8, 200);
    put_attributes(&span, 9);
    put_uint(&span, 10, 1);
    put_message(&span, 11, &event);
    put_message(&span, 11, &event);
    put_uint(&span, 12, 2);
    put_message(&span, 13, &link);
    put_uint(&span, 14, 3);
    put_message(&span, 15, &status);
    put_fixed32(&span, 16, 0x101);
    return span;
}

static struct message full_body(void)
{
    struct message resource = {.len = 0}, scope = {.len = 0}, scope_spans = {.len = 0};
    struct message resource_spans = {.len = 0}, body = {.len = 0};
    struct message first = full_span(1), second = full_span(2);

    put_attributes(&resource, 1);
    put_text(&scope, 1, "scope");
    put_text(&scope, 2, "1.0");
    put_attributes(&scope, 3);
    put_message(&scope_spans, 1, &scope);
    put_message(&scope_spans, 2, &first);
    put_message(&scope_spans, 2, &second);
    put_message(&resource_spans, 1, &resource);
    put_message(&resource_spans, 2, &scope_spans);
    put_message(&body, 1, &resource_spans);
    put_message(&body, 1, &resource_spans);
    return body;
}

static enum oracle_verdict compare(const struct message *body, struct oracle *oracle)
{
    struct scan_span spans[16];
    struct scan_result r;

    *oracle = (struct oracle){0};
    if (scan_traces(bytes_of(body), spans, 16, &r))
        return ORACLE_DIFFERENT;
    return oracle_compare(oracle, bytes_of(body), spans, &r);
}

static void every_field_reads_as_protobuf_c_unpacks_it(void)
{
    struct message body = full_body();
    struct oracle oracle;

    CHECK(compare(&body, &oracle) == ORACLE_SAME && oracle.spans == 4);
}

static void the_oracle_sees_a_difference(void)
{
    struct message body = full_body();
    struct oracle oracle = {0};
    struct scan_span spans[16];
    struct scan_result r;

    CHECK(scan_traces(bytes_of(&body), spans, 16, &r) == ERR_OK);
    spans[2].start_ns++;
    CHECK(oracle_compare(&oracle, bytes_of(&body), spans, &r) == ORACLE_DIFFERENT);
    spans[2].start_ns--;
    spans[3].scope_offset = spans[1].scope_offset;
    CHECK(oracle_compare(&oracle, bytes_of(&body), spans, &r) == ORACLE_DIFFERENT);
}

/* Resource, scope and status in two parts, with the spans between them. protobuf-c is no oracle
 * here: it forgets a code that only the first part has. */
static struct message split_body(void)
{
    struct message part[2] = {{.len = 0}}, scope_spans = {.len = 0}, resource_spans = {.len = 0};
    struct message status[2] = {{.len = 0}}, scope[2] = {{.len = 0}}, body = {.len = 0};
    struct message span = {.len = 0};

    put_attribute(&part[0], 1, "one", "1");
    put_attribute(&part[1], 1, "two", "2");
    put_attribute(&part[1], 1, "one", "again");
    put_text(&scope[0], 1, "first");
    put_attribute(&scope[0], 3, "k", "v");
    put_text(&scope[1], 1, "second");
    put_attribute(&scope[1], 3, "l", "w");
    put_uint(&status[0], 3, 2);
    put_text(&status[1], 2, "message");
    put_ids(&span, 1);
    put_message(&span, 15, &status[0]);
    put_message(&span, 15, &status[1]);
    put_message(&scope_spans, 1, &scope[0]);
    put_message(&scope_spans, 2, &span);
    put_message(&scope_spans, 1, &scope[1]);
    put_message(&resource_spans, 1, &part[0]);
    put_message(&resource_spans, 2, &scope_spans);
    put_message(&resource_spans, 1, &part[1]);
    put_message(&body, 1, &resource_spans);
    return body;
}

static void messages_in_several_parts_read_as_one(void)
{
    struct message body = split_body();
    struct scan_span span;
    struct scan_result r;
    struct span_view view;
    struct span_fields fields;
    struct slice key, name, version;
    struct value value;
    size_t at = 0;

    CHECK(scan_traces(bytes_of(&body), &span, 1, &r) == ERR_OK);
    view = span_view_at(bytes_of(&body), span.offset, span.len, span.resource_offset,
                        span.scope_offset);
    CHECK(view_resource_attr(view.resource, slice_str("two"), &value) &&
          slice_is(value.bytes, "2"));
    CHECK(view_resource_attr(view.resource, slice_str("one"), &value) &&
          slice_is(value.bytes, "1"));
    CHECK(view_resource_attr_next(view.resource, &at, &key, &value) && slice_is(key, "one"));
    CHECK(view_resource_attr_next(view.resource, &at, &key, &value) && slice_is(key, "two"));
    CHECK(view_resource_attr_next(view.resource, &at, &key, &value) && slice_is(key, "one"));
    CHECK(!view_resource_attr_next(view.resource, &at, &key, &value));
    CHECK(!view_resource_attr_next(view.resource, &at, &key, &value));
    view_scope(view.scope, &name, &version);
    CHECK(slice_is(name, "second") && version.len == 0);
    CHECK(view_scope_attr(view.scope, slice_str("l"), &value) && slice_is(value.bytes, "w"));
    CHECK(!view_scope_attr(view.scope, slice_str("x"), &value));
    view_span_fields(view.span, &fields);
    CHECK(fields.status == 2 && slice_is(fields.status_message, "message"));
}

static void the_last_member_of_a_oneof_is_the_value(void)
{
    struct message any = {.len = 0}, later = {.len = 0}, pair = {.len = 0}, span = {.len = 0};
    struct value value;

    put_text(&any, 1, "first");
    put_uint(&any, 3, 5);
    put_text(&pair, 1, "not this");
    put_message(&pair, 2, &any);
    put_message(&pair, 2, &later); /* sets nothing */
    put_text(&pair, 1, "key");
    put_message(&span, 9, &pair);
    CHECK(view_attr(bytes_of(&span), ATTRS_SPAN, slice_str("key"), &value));
    CHECK(value.type == VALUE_INT && value.integer == 5);
    CHECK(!view_attr(bytes_of(&span), ATTRS_SPAN, slice_str("not this"), &value));
}

static void an_attribute_without_a_value_is_there_and_absent(void)
{
    struct message pair = {.len = 0}, span = {.len = 0};
    struct value value = {.type = VALUE_INT};

    put_text(&pair, 1, "key");
    put_message(&span, 9, &pair);
    CHECK(view_attr(bytes_of(&span), ATTRS_SPAN, slice_str("key"), &value));
    CHECK(value.type == VALUE_ABSENT);
}

static void the_walks_find_what_is_there_by_owner(void)
{
    struct message body = full_body();
    struct scan_span spans[4];
    struct scan_result r;
    struct span_view view;
    struct slice message;
    struct value value;
    size_t at = 0;

    CHECK(scan_traces(bytes_of(&body), spans, 4, &r) == ERR_OK && r.spans == 4);
    view = span_view_at(bytes_of(&body), spans[3].offset, spans[3].len, spans[3].resource_offset,
                        spans[3].scope_offset);
    CHECK(view_owner_attr(OWNER_SPAN, view.span, slice_str("d"), &value) && value.number == 1.5);
    CHECK(view_owner_attr(OWNER_RESOURCE, view.resource, slice_str("c"), &value) &&
          value.integer == -5);
    CHECK(view_owner_attr(OWNER_SCOPE, view.scope, slice_str("b"), &value) && value.boolean);
    CHECK(view_event_next(view.span, &at, &message) &&
          view_owner_attr(OWNER_EVENT, message, slice_str("a"), &value));
    CHECK(view_event_next(view.span, &at, &message) && !view_event_next(view.span, &at, &message));
    at = 0;
    CHECK(view_link_next(view.span, &at, &message) &&
          view_owner_attr(OWNER_LINK, message, slice_str("g"), &value) && value.bytes.len == 2);
}

static void offsets_outside_of_a_body_give_empty_slices(void)
{
    struct message body = full_body();
    uint32_t len = (uint32_t)body.len;
    struct span_view view = span_view_at(bytes_of(&body), len, 1, len, UINT32_MAX);

    CHECK(view.span.len == 0 && view.resource.len == 0 && view.scope.len == 0);
    view = span_view_at(bytes_of(&body), 1, len, 0, 0);
    CHECK(view.span.len == 0 && view.resource.len > 0);
    view = span_view_at(bytes_of(&body), UINT32_MAX, UINT32_MAX, 0, 0);
    CHECK(view.span.len == 0);
    view = span_view_at((struct slice){0}, 0, 0, 0, 0);
    CHECK(view.span.len == 0 && view.resource.len == 0);
}

/* Reads everything that the views have, of a body that may be damaged. Returns how many attributes
 * it met. */
static size_t walk_span(const struct span_view *view)
{
    const struct slice owners[] = {view->span, view->resource, view->scope};
    struct slice key, message, name, version, id;
    struct span_fields fields;
    struct value value;
    struct view_attr_at attrs[4];
    size_t met = 0, at, count;
    uint64_t time_ns;

    view_span_fields(view->span, &fields);
    if (view_span_index(view->span, &fields, attrs, 4, &count))
        for (at = 0; view_attr_next(view->span, ATTRS_SPAN, &at, &key, &value);)
            CHECK(view_indexed_attr(view->span, attrs, count, key, &value));
    view_scope(view->scope, &name, &version);
    for (int owner = 0; owner < 3; owner++) {
        for (at = 0;
             view_owner_attr_next((enum attr_owner)owner, owners[owner], &at, &key, &value);)
            met += view_owner_attr((enum attr_owner)owner, owners[owner], key, &value);
    }
    for (at = 0; view_event_next(view->span, &at, &message);)
        view_event(message, &time_ns, &name);
    for (at = 0; view_link_next(view->span, &at, &message);)
        view_link(message, &id, &name, &version);
    return met;
}

/* One bit or byte of the body is damaged after the scan; the references of the scan stay. */
static void damaged_bodies_are_read_within_their_bounds(void)
{
    struct message body = full_body();
    struct scan_span spans[4];
    struct scan_result r;
    size_t met = 0;

    CHECK(scan_traces(bytes_of(&body), spans, 4, &r) == ERR_OK && r.spans == 4);
    for (size_t i = 0; i < body.len; i++) {
        static const uint8_t damages[] = {0xff, 0x80, 0x01};
        uint8_t *copy = malloc(body.len);
        size_t len = i % 5 == 0 ? i : body.len; /* also cut off */

        memcpy(copy, body.data, body.len);
        copy[i] ^= damages[i % 3];
        copy = realloc(copy, len ? len : 1);
        for (int n = 0; n < 4; n++) {
            struct span_view view =
                span_view_at(slice_make(copy, len), spans[n].offset, spans[n].len,
                             spans[n].resource_offset, spans[n].scope_offset);

            met += walk_span(&view);
        }
        free(copy);
    }
    CHECK(met > body.len);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--messages") == 0)
        return judge_messages();
    RUN(every_field_reads_as_protobuf_c_unpacks_it);
    RUN(the_oracle_sees_a_difference);
    RUN(messages_in_several_parts_read_as_one);
    RUN(the_last_member_of_a_oneof_is_the_value);
    RUN(an_attribute_without_a_value_is_there_and_absent);
    RUN(the_walks_find_what_is_there_by_owner);
    RUN(offsets_outside_of_a_body_give_empty_slices);
    RUN(damaged_bodies_are_read_within_their_bounds);
    return DONE();
}
