/* The audit: honest sampling looks honest, what is dropped is counted by who drops it. */
#include "base/random.h"
#include "check.h"
#include "otlp/write.h"
#include "spanmetrics/audit.h"

#include <math.h>

#define S UINT64_C(1000000000)

enum { SPANS_MAX = 8, OPERATIONS = 8 };

static struct memory memory;
static struct buf body;
static struct scan_span scanned[SPANS_MAX];
static struct audit_operation worst[64];

static struct audit *make(size_t max_operations, bool all_spans, unsigned recorders)
{
    memory_init(&memory, 1 << 30, 1 << 28);
    buf_init(&body, 1 << 20, NULL);
    return audit_new(&(struct audit_options){max_operations, all_spans}, &memory,
                     (struct hash_key){1, 2}, recorders, 100 * S);
}

static void end(struct audit *a)
{
    audit_free(a);
    CHECK(memory_used(&memory) == 0);
    buf_fini(&body);
}

static void put_span(const char *service, const char *name, uint8_t id)
{
    uint8_t trace_id[16] = {1}, span_id[8] = {id};
    size_t resource_spans = otlp_write_begin(&body, 1), part = otlp_write_begin(&body, 1), scope;

    otlp_write_attr_str(&body, ATTRS_RESOURCE, "service.name", slice_str(service));
    otlp_write_end(&body, part);
    scope = otlp_write_begin(&body, 2);
    part = otlp_write_begin(&body, 2);
    otlp_write_span_fields(&body, &(struct span_fields){.trace_id = slice_make(trace_id, 16),
                                                        .span_id = slice_make(span_id, 8),
                                                        .name = slice_str(name),
                                                        .kind = 2,
                                                        .start_ns = S,
                                                        .end_ns = 2 * S});
    otlp_write_end(&body, part);
    otlp_write_end(&body, scope);
    otlp_write_end(&body, resource_spans);
}

static struct span_view view_at(void *arg, uint32_t i)
{
    (void)arg;
    return span_view_of(buf_slice(&body), &scanned[i]);
}

/* Counts a trace with these spans, of which the first is its entry; names end with NULL. */
static void count_trace(struct audit *a, unsigned recorder, const char *const *names,
                        const struct audit_fate *fate)
{
    struct scan_result result;
    struct span_view entry;

    buf_clear(&body);
    for (uint8_t i = 0; names[i]; i++)
        put_span("shop", names[i], i + 1);
    CHECK(scan_traces(buf_slice(&body), scanned, SPANS_MAX, &result) == ERR_OK);
    if (audit_wants_all_spans(audit_recorder(a, recorder))) {
        audit_count_all(audit_recorder(a, recorder),
                        &(struct spanmetrics_trace){(uint32_t)result.spans, view_at, NULL}, fate);
        return;
    }
    entry = view_at(NULL, 0);
    audit_count(audit_recorder(a, recorder), slice_str("shop"), entry.span, fate);
}

static void count_one(struct audit *a, const char *name, bool kept, double p, uint16_t label)
{
    count_trace(a, 0, (const char *const[]){name, NULL},
                &(struct audit_fate){.kept = kept, .probability = p, .label = label});
}

static size_t gather(struct audit *a, unsigned recorders, uint64_t now_ns)
{
    for (unsigned i = 0; i < recorders; i++)
        audit_hand_over(audit_recorder(a, i));
    audit_gather(a, now_ns);
    return audit_worst(a, worst, sizeof(worst) / sizeof(worst[0]));
}

static bool is_named(const struct audit_operation *o, const char *name)
{
    return o->name.data && slice_is(o->name, name) && slice_is(o->service, "shop");
}

/* ---- the tests ---- */

static void what_is_kept_for_certain_counts_as_it_is(void)
{
    struct audit *a = make(10, false, 1);

    for (int i = 0; i < 100; i++)
        count_one(a, "GET", true, 1, 3);
    CHECK(gather(a, 1, 101 * S) == 1);
    CHECK(is_named(&worst[0], "GET") && worst[0].decided == 100 && worst[0].kept == 100);
    CHECK(worst[0].counted == 100 && worst[0].standard_errors == 0 && worst[0].drop_count == 0);
    end(a);
}

static void a_class_that_is_dropped_is_named_with_who_did_it(void)
{
    struct audit *a = make(10, false, 2);

    for (unsigned i = 0; i < 1000; i++) {
        struct audit_fate health = {.label = 7};
        struct audit_fate other = {.kept = i % 10 == 0, .probability = 0.1, .label = 2};

        count_trace(a, i % 2, (const char *const[]){"GET /health", NULL}, &health);
        count_trace(a, i % 2, (const char *const[]){"GET /cart", NULL}, &other);
    }
    CHECK(gather(a, 2, 101 * S) == 2);
    CHECK(is_named(&worst[0], "GET /health") && worst[0].dropped == 1000);
    CHECK(worst[0].drop_count == 1 && worst[0].drops[0].label == 7 &&
          worst[0].drops[0].traces == 1000);
    CHECK(worst[0].standard_errors == -1000 && worst[0].unexplained == 0);
    CHECK(is_named(&worst[1], "GET /cart") && worst[1].counted == 1000);
    CHECK(worst[1].standard_errors == 0 && worst[1].drop_count == 0);
    end(a);
}

/* Each of many runs draws traces of several probabilities: differences are as large as chance makes
 * them, and no larger. */
static void honest_sampling_is_off_by_chance_alone(void)
{
    static const double p[OPERATIONS] = {0.5, 0.1, 0.01, 0.003, 0.9, 0.05, 0.25, 1};
    double sum = 0, squares = 0, largest = 0;
    unsigned runs = 60, n = 0;
    struct rng rng;

    rng_seed(&rng, 17);
    for (unsigned run = 0; run < runs; run++) {
        struct audit *a = make(100, false, 1);
        size_t count;

        for (int o = 0; o < OPERATIONS; o++)
            for (int i = 0; i < 1000; i++) {
                /* some of each are kept for certain, as errors are */
                double probability = i % 20 == 0 ? 1 : p[o];
                char name[24];

                snprintf(name, sizeof(name), "op %d", o);
                count_one(a, name, (double)rng_below(&rng, 1000000) < probability * 1e6,
                          probability, 1);
            }
        count = gather(a, 1, 101 * S);
        CHECK(count == OPERATIONS);
        for (size_t i = 0; i < count; i++) {
            double z = worst[i].standard_errors;

            CHECK(worst[i].dropped == 0 && z == worst[i].unexplained);
            largest = fmax(largest, fabs(z));
            if (is_named(&worst[i], "op 7"))
                CHECK(z == 0);
            else
                sum += z, squares += z * z, n++;
        }
        end(a);
    }
    CHECK(n == runs * (OPERATIONS - 1));
    CHECK(fabs(sum / n) < 0.2 && squares / n > 0.6 && squares / n < 1.3);
    CHECK(largest < AUDIT_NOTABLE);
}

/* Probabilities that are written but not drawn with: one trace in a hundred is kept, a tenth is
 * said. */
static void sampling_that_says_the_wrong_probability_is_seen_without_a_drop(void)
{
    struct audit *a = make(10, false, 1);

    for (int i = 0; i < 2000; i++)
        count_one(a, "GET", i % 100 == 0, 0.1, 1);
    CHECK(gather(a, 1, 101 * S) == 1);
    CHECK(worst[0].counted == 200 && worst[0].drop_count == 0);
    CHECK(worst[0].unexplained < -10);
    end(a);
}

static void kept_traces_of_unknown_probability_count_as_one(void)
{
    struct audit *a = make(10, false, 1);

    for (int i = 0; i < 100; i++)
        count_one(a, "GET", i < 10, i < 10 ? -1 : 0, 4);
    CHECK(gather(a, 1, 101 * S) == 1);
    CHECK(worst[0].unknown == 10 && worst[0].counted == 10 && worst[0].dropped == 90);
    CHECK(worst[0].standard_errors == -90 && worst[0].unexplained == 0);
    end(a);
}

/* No exporter takes them: those that were not drawn would have gone nowhere too. */
static void what_goes_nowhere_explains_those_that_it_stands_for(void)
{
    struct audit_fate fate = {.probability = 0.1, .label = 5};
    struct audit *a = make(10, false, 1);

    for (int i = 0; i < 2000; i++) {
        fate.goes_nowhere = i % 10 == 0;
        count_trace(a, 0, (const char *const[]){"GET", NULL}, &fate);
    }
    CHECK(gather(a, 1, 101 * S) == 1);
    CHECK(worst[0].dropped == 200 && worst[0].drops[0].label == 5 && worst[0].counted == 0);
    CHECK(worst[0].standard_errors < -10 && fabs(worst[0].unexplained) < 1e-6);
    end(a);
}

static void what_is_said_is_of_the_last_one_to_two_minutes(void)
{
    struct audit *a = make(10, false, 1);

    count_one(a, "GET", false, 0, 1);
    CHECK(gather(a, 1, 110 * S) == 1);
    count_one(a, "GET", true, 1, 2);
    CHECK(gather(a, 1, 165 * S) == 1 && worst[0].decided == 2); /* a new window, the last counts */
    CHECK(gather(a, 1, 224 * S) == 1 && worst[0].decided == 2);
    CHECK(gather(a, 1, 226 * S) == 1 && worst[0].decided == 1 && worst[0].kept == 1);
    CHECK(gather(a, 1, 290 * S) == 0);
    end(a);
}

static void a_trace_counts_once_for_each_operation_in_it(void)
{
    static const char *const names[] = {"GET /cart", "SELECT", "SELECT", "GET /price", NULL};
    struct audit *a = make(10, true, 1);

    for (int i = 0; i < 50; i++)
        count_trace(a, 0, names, &(struct audit_fate){.label = 1});
    CHECK(gather(a, 1, 101 * S) == 3);
    for (int i = 0; i < 3; i++)
        CHECK(worst[i].decided == 50);
    end(a);
}

static void operations_beyond_the_bound_are_counted_together(void)
{
    struct audit *a = make(3, false, 1);
    char name[24];

    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "op %d", i);
        count_one(a, name, false, 0, (uint16_t)(1 + i % 6));
    }
    CHECK(gather(a, 1, 101 * S) == 4 && audit_operations(a) == 3);
    CHECK(worst[0].name.data == NULL && worst[0].decided == 17 && worst[0].dropped == 17);
    CHECK(worst[0].drop_count == AUDIT_DROPS);
    end(a);
}

static void the_worst_come_first_and_no_more_than_asked_for(void)
{
    struct audit *a = make(100, false, 1);
    char name[24];

    for (int o = 0; o < 30; o++)
        for (int i = 0; i < o; i++) {
            snprintf(name, sizeof(name), "op %d", o);
            count_one(a, name, false, 0, 1);
        }
    CHECK(gather(a, 1, 101 * S) == 29);
    CHECK(audit_worst(a, worst, 5) == 5);
    for (int i = 0; i < 5; i++)
        CHECK(worst[i].decided == 29U - (unsigned)i);
    end(a);
}

static void where_memory_is_short_operations_count_with_the_others(void)
{
    struct audit *a = make(100, false, 1);
    uint64_t decided = 0;
    size_t count;
    char name[24];

    memory_set_limits(&memory, memory_used(&memory) + 2000, 100);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "op %d", i);
        count_one(a, name, true, 1, 1);
    }
    count = gather(a, 1, 101 * S);
    for (size_t i = 0; i < count; i++)
        decided += worst[i].decided;
    CHECK(count < 20 && decided == 100);
    end(a);
}

int main(void)
{
    RUN(what_is_kept_for_certain_counts_as_it_is);
    RUN(a_class_that_is_dropped_is_named_with_who_did_it);
    RUN(honest_sampling_is_off_by_chance_alone);
    RUN(sampling_that_says_the_wrong_probability_is_seen_without_a_drop);
    RUN(kept_traces_of_unknown_probability_count_as_one);
    RUN(what_goes_nowhere_explains_those_that_it_stands_for);
    RUN(what_is_said_is_of_the_last_one_to_two_minutes);
    RUN(a_trace_counts_once_for_each_operation_in_it);
    RUN(operations_beyond_the_bound_are_counted_together);
    RUN(the_worst_come_first_and_no_more_than_asked_for);
    RUN(where_memory_is_short_operations_count_with_the_others);
    return DONE();
}
