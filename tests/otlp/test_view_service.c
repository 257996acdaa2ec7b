/* service.name: the short way to it finds what the long way finds. */
#include "base/random.h"
#include "check.h"
#include "otlp/view.h"
#include "otlp/write.h"

#include <stdlib.h>

static struct buf body;

static void put_attribute(struct rng *rng, char text[512])
{
    static const char *const keys[] = {"service.name", "service.name2", "host.name", "service.nam"};
    size_t len = rng_below(rng, rng_below(rng, 4) ? 20 : 400);

    memset(text, 'x', len);
    text[len] = '\0';
    if (rng_below(rng, 6) == 0)
        otlp_write_attr_int(&body, ATTRS_RESOURCE, keys[rng_below(rng, 4)], 5);
    else
        otlp_write_attr_str(&body, ATTRS_RESOURCE, keys[rng_below(rng, 4)], slice_make(text, len));
}

/* A ResourceSpans with drawn attributes, at times in two Resources, or behind its spans. */
static void put_resource_spans(struct rng *rng)
{
    size_t resource_spans = otlp_write_begin(&body, 1), part;
    char text[512];

    if (rng_below(rng, 4) == 0)
        wire_put_bytes(&body, 2, slice_str(""));
    for (uint64_t resources = rng_below(rng, 3); resources > 0; resources--) {
        part = otlp_write_begin(&body, 1);
        for (uint64_t n = rng_below(rng, 4); n > 0; n--)
            put_attribute(rng, text);
        otlp_write_end(&body, part);
    }
    otlp_write_end(&body, resource_spans);
}

static bool the_long_way(struct slice resource_spans, struct slice *service)
{
    struct value v;

    if (!view_resource_attr(resource_spans, slice_str("service.name"), &v) ||
        v.type != VALUE_STRING)
        return false;
    *service = v.bytes;
    return true;
}

static void both_ways_lead_to_the_same_name(void)
{
    unsigned found = 0, missing = 0;
    struct rng rng;

    rng_seed(&rng, 21);
    buf_init(&body, 1 << 20, NULL);
    for (int i = 0; i < 50000; i++) {
        struct slice a = {0}, b = {0}, c = {0}, resource_spans;
        bool there;

        buf_clear(&body);
        put_resource_spans(&rng);
        resource_spans = view_resource_at(buf_slice(&body), 0);
        there = the_long_way(resource_spans, &a);
        CHECK(view_service(resource_spans, &b) == there && (!there || slice_equal(a, b)));
        CHECK(view_service_at(buf_slice(&body), 0, &c) == there && (!there || slice_equal(a, c)));
        *(there ? &found : &missing) += 1;
    }
    CHECK(found > 10000 && missing > 10000);
    buf_fini(&body);
}

/* Damaged bodies give anything, but nothing outside of them; each lies at the end of its memory. */
static void what_is_damaged_is_not_read_beyond(void)
{
    struct rng rng;

    rng_seed(&rng, 22);
    buf_init(&body, 1 << 20, NULL);
    for (int i = 0; i < 50000; i++) {
        struct slice service = {0}, cut;
        uint8_t *copy;
        size_t len;

        buf_clear(&body);
        put_resource_spans(&rng);
        len = rng_below(&rng, body.len + 1);
        copy = malloc(len ? len : 1);
        if (!copy)
            abort();
        memcpy(copy, body.data, len);
        for (uint64_t n = rng_below(&rng, 3); len > 0 && n > 0; n--)
            copy[rng_below(&rng, len)] = (uint8_t)rng_next(&rng);
        cut = slice_make(copy, len);
        if (view_service_at(cut, 0, &service) && service.len > 0)
            CHECK(service.data >= copy && service.data + service.len <= copy + len);
        if (view_service(cut, &service) && service.len > 0)
            CHECK(service.data >= copy && service.data + service.len <= copy + len);
        free(copy);
    }
    buf_fini(&body);
}

int main(void)
{
    RUN(both_ways_lead_to_the_same_name);
    RUN(what_is_damaged_is_not_read_beyond);
    return DONE();
}
