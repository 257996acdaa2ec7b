/* Reads one data point: its scalars in one pass, and what repeats in it. */
#include "otlp/metric_view.h"
#include "otlp/read.h"

static double double_of(uint64_t bits)
{
    double number;

    memcpy(&number, &bits, sizeof number);
    return number;
}

static int32_t zigzag(uint64_t value)
{
    uint32_t word = (uint32_t)value;

    return (int32_t)(word >> 1 ^ -(word & 1));
}

static void set_int(struct metric_number *n, uint64_t bits)
{
    *n = (struct metric_number){.type = NUMBER_INT, .integer = (int64_t)bits};
}

static void set_double(struct metric_number *n, uint64_t bits)
{
    *n = (struct metric_number){.type = NUMBER_DOUBLE, .number = double_of(bits)};
}

static void set_optional(double *number, bool *has, uint64_t bits)
{
    *number = double_of(bits);
    *has = true;
}

static void number_field(const struct wire_field *f, struct metric_point *p)
{
    switch (TAG(f->number, f->type)) {
    case TAG(4, WIRE_I64):
        set_double(&p->value, f->value);
        break;
    case TAG(6, WIRE_I64):
        set_int(&p->value, f->value);
        break;
    case TAG(8, WIRE_VARINT):
        p->flags = (uint32_t)f->value;
        break;
    default:
        break;
    }
}

static void histogram_field(const struct wire_field *f, struct metric_point *p)
{
    switch (TAG(f->number, f->type)) {
    case TAG(4, WIRE_I64):
        p->count = f->value;
        break;
    case TAG(5, WIRE_I64):
        set_optional(&p->sum, &p->has_sum, f->value);
        break;
    case TAG(10, WIRE_VARINT):
        p->flags = (uint32_t)f->value;
        break;
    case TAG(11, WIRE_I64):
        set_optional(&p->min, &p->has_min, f->value);
        break;
    case TAG(12, WIRE_I64):
        set_optional(&p->max, &p->has_max, f->value);
        break;
    default:
        break;
    }
}

static void exponential_field(const struct wire_field *f, struct metric_point *p)
{
    switch (TAG(f->number, f->type)) {
    case TAG(4, WIRE_I64):
        p->count = f->value;
        break;
    case TAG(5, WIRE_I64):
        set_optional(&p->sum, &p->has_sum, f->value);
        break;
    case TAG(6, WIRE_VARINT):
        p->scale = zigzag(f->value);
        break;
    case TAG(7, WIRE_I64):
        p->zero_count = f->value;
        break;
    case TAG(10, WIRE_VARINT):
        p->flags = (uint32_t)f->value;
        break;
    case TAG(12, WIRE_I64):
        set_optional(&p->min, &p->has_min, f->value);
        break;
    case TAG(13, WIRE_I64):
        set_optional(&p->max, &p->has_max, f->value);
        break;
    case TAG(14, WIRE_I64):
        p->zero_threshold = double_of(f->value);
        break;
    default:
        break;
    }
}

static void summary_field(const struct wire_field *f, struct metric_point *p)
{
    switch (TAG(f->number, f->type)) {
    case TAG(4, WIRE_I64):
        p->count = f->value;
        break;
    case TAG(5, WIRE_I64):
        p->sum = double_of(f->value);
        break;
    case TAG(8, WIRE_VARINT):
        p->flags = (uint32_t)f->value;
        break;
    default:
        break;
    }
}

void metric_point_read(enum metric_type type, struct slice point, struct metric_point *out)
{
    void (*const read)(const struct wire_field *, struct metric_point *) =
        type == METRIC_HISTOGRAM     ? histogram_field
        : type == METRIC_EXPONENTIAL ? exponential_field
        : type == METRIC_SUMMARY     ? summary_field
                                     : number_field;
    struct wire w = wire_of(point);
    struct wire_field field = {0};

    *out = (struct metric_point){.has_sum = type == METRIC_SUMMARY};
    while (read_field(&w, &field)) {
        if (TAG(field.number, field.type) == TAG(2, WIRE_I64))
            out->start_ns = field.value;
        else if (TAG(field.number, field.type) == TAG(3, WIRE_I64))
            out->time_ns = field.value;
        else
            read(&field, out);
    }
}

/* ---- repeated numbers ---- */

static struct metric_numbers numbers_of(struct slice message, uint32_t field, enum wire_type type)
{
    return (struct metric_numbers){.fields = wire_of(message), .field = field, .wire_type = type};
}

struct metric_numbers metric_bounds(struct slice point)
{
    return numbers_of(point, 7, WIRE_I64);
}

struct metric_numbers metric_bucket_counts(struct slice point)
{
    return numbers_of(point, 6, WIRE_I64);
}

struct metric_numbers metric_exponential_counts(struct slice point, bool is_negative,
                                                int32_t *offset)
{
    struct metric_numbers n = numbers_of((struct slice){0}, 2, WIRE_VARINT);
    struct wire w = wire_of(point);
    struct wire_field part, field;

    n.parts = w;
    n.part_field = is_negative ? 9 : 8;
    *offset = 0;
    while (read_field(&w, &part)) {
        struct wire inner;

        if (part.number != n.part_field || part.type != WIRE_LEN)
            continue;
        inner = wire_of(part.bytes);
        while (read_field(&inner, &field))
            if (TAG(field.number, field.type) == TAG(1, WIRE_VARINT))
                *offset = zigzag(field.value);
    }
    return n;
}

/* The next number of a packed run. */
static bool next_packed(struct metric_numbers *n, uint64_t *bits)
{
    const uint8_t *at = n->wire_type == WIRE_I64 ? read_fixed64(n->packed.at, n->packed.end, bits)
                                                 : read_varint(n->packed.at, n->packed.end, bits);

    n->packed.at = at ? at : n->packed.end;
    return at != NULL;
}

/* The message with the next part of the numbers. */
static bool next_numbers(struct metric_numbers *n)
{
    struct wire_field field = {0};

    while (n->part_field && read_field(&n->parts, &field)) {
        if (field.number == n->part_field && field.type == WIRE_LEN) {
            n->fields = wire_of(field.bytes);
            return true;
        }
    }
    return false;
}

static bool next_number(struct metric_numbers *n, uint64_t *bits)
{
    struct wire_field field = {0};

    for (;;) {
        if (n->packed.at < n->packed.end && next_packed(n, bits))
            return true;
        if (!read_field(&n->fields, &field)) {
            if (!next_numbers(n))
                return false;
        } else if (field.number == n->field && field.type == WIRE_LEN) {
            n->packed = wire_of(field.bytes);
        } else if (field.number == n->field && field.type == n->wire_type) {
            *bits = field.value;
            return true;
        }
    }
}

bool metric_bounds_next(struct metric_numbers *bounds, double *bound)
{
    uint64_t bits;

    if (!next_number(bounds, &bits))
        return false;
    *bound = double_of(bits);
    return true;
}

bool metric_counts_next(struct metric_numbers *counts, uint64_t *count)
{
    return next_number(counts, count);
}

/* ---- quantiles and exemplars ---- */

/* The next LEN field called `number` from *at on. */
static bool next_message(struct slice message, uint32_t number, size_t *at, struct slice *found)
{
    struct wire_field field = {0};
    struct wire w;

    if (*at >= message.len)
        return false;
    w = (struct wire){message.data + *at, message.data + message.len};
    while (read_field(&w, &field)) {
        if (field.number == number && field.type == WIRE_LEN) {
            *at = (size_t)(w.at - message.data);
            *found = field.bytes;
            return true;
        }
    }
    *at = message.len;
    return false;
}

bool metric_quantile_next(struct slice point, size_t *at, struct metric_quantile *quantile)
{
    struct wire_field field = {0};
    struct slice message;
    struct wire w;

    if (!next_message(point, 6, at, &message))
        return false;
    *quantile = (struct metric_quantile){0};
    w = wire_of(message);
    while (read_field(&w, &field)) {
        if (TAG(field.number, field.type) == TAG(1, WIRE_I64))
            quantile->quantile = double_of(field.value);
        else if (TAG(field.number, field.type) == TAG(2, WIRE_I64))
            quantile->value = double_of(field.value);
    }
    return true;
}

static void exemplar_field(const struct wire_field *f, struct metric_exemplar *e)
{
    switch (TAG(f->number, f->type)) {
    case TAG(2, WIRE_I64):
        e->time_ns = f->value;
        break;
    case TAG(3, WIRE_I64):
        set_double(&e->value, f->value);
        break;
    case TAG(4, WIRE_LEN):
        e->span_id = f->bytes;
        break;
    case TAG(5, WIRE_LEN):
        e->trace_id = f->bytes;
        break;
    case TAG(6, WIRE_I64):
        set_int(&e->value, f->value);
        break;
    default:
        break;
    }
}

bool metric_exemplar_next(enum metric_type type, struct slice point, size_t *at,
                          struct metric_exemplar *exemplar)
{
    const uint32_t number = type == METRIC_HISTOGRAM ? 8 : type == METRIC_EXPONENTIAL ? 11 : 5;
    struct wire_field field = {0};
    struct slice message;
    struct wire w;

    if (type == METRIC_SUMMARY || !next_message(point, number, at, &message))
        return false;
    *exemplar = (struct metric_exemplar){.message = message};
    w = wire_of(message);
    while (read_field(&w, &field))
        exemplar_field(&field, exemplar);
    return true;
}
