/* Delta streams are summed exactly, within bounds, and a batch that comes again is not counted
 * twice. */
#include "check.h"
#include "requests.h"

#define NS(seconds) ((uint64_t)(seconds)*1000000000)
#define METRIC(kind, point)                                                                        \
    "{'resourceMetrics':[{'scopeMetrics':[{'metrics':[{'name':'m','" kind "':{'aggregation"        \
    "Temporality':1,'dataPoints':[" point "]}}]}]}]}"
#define SUM(seconds, value) METRIC("sum", "{'timeUnixNano':'" seconds "000000000'," value "}")

static bool ends(const char *text, const char *wanted)
{
    if (strcmp(text, wanted) != 0)
        printf("  %s", text);
    return strcmp(text, wanted) == 0;
}

static void sums_of_numbers_are_exact(void)
{
    struct prom_config config = default_config();
    struct made m;

    made_init(&m, &config);
    CHECK(ends(make(&m, SUM("1", "'asInt':'5'")), "{__name__=m,} 5 @1000\n"));
    CHECK(ends(make(&m, SUM("2", "'asInt':'-2'")), "{__name__=m,} 3 @2000\n"));
    CHECK(ends(make(&m, SUM("3", "'asInt':'9007199254740990'")),
               "{__name__=m,} 9.007199255e+15 @3000\n"));
    CHECK(ends(make(&m, SUM("4", "'asInt':'-9007199254740993'")), "{__name__=m,} 0 @4000\n"));
    CHECK(ends(make(&m, SUM("5", "'asDouble':0.5")), "{__name__=m,} 0.5 @5000\n"));
    CHECK(prom_state_streams(m.state) == 1);
    made_fini(&m);
}

static void a_batch_that_comes_again_gives_the_same_and_an_older_one_nothing(void)
{
    struct prom_config config = default_config();
    struct made m;

    made_init(&m, &config);
    CHECK(ends(make(&m, SUM("1", "'asInt':'5'")), "{__name__=m,} 5 @1000\n"));
    CHECK(ends(make(&m, SUM("2", "'asInt':'2'")), "{__name__=m,} 7 @2000\n"));
    CHECK(ends(make(&m, SUM("1", "'asInt':'5'")), ""));
    CHECK(m.counts.dropped[PROM_OUT_OF_ORDER] == 1);
    CHECK(ends(make(&m, SUM("2", "'asInt':'2'")), "{__name__=m,} 7 @2000\n"));
    made_fini(&m);
}

#define BUCKETS(seconds, bounds, counts, count, sum)                                               \
    METRIC("histogram", "{'timeUnixNano':'" seconds "000000000','explicitBounds':[" bounds         \
                        "],'bucketCounts':[" counts "],'count':'" count "','sum':" sum "}")

static void histograms_are_summed_bucket_by_bucket_and_begin_anew_with_other_bounds(void)
{
    struct prom_config config = default_config();
    struct made m;

    made_init(&m, &config);
    (void)make(&m, BUCKETS("1", "1,2", "'1','2','3'", "6", "9.5"));
    CHECK(ends(make(&m, BUCKETS("2", "1,2", "'4','0','1'", "5", "1")),
               "{__name__=m_sum,} 10.5 @2000\n{__name__=m_count,} 11 @2000\n"
               "{__name__=m_bucket,le=1,} 5 @2000\n{__name__=m_bucket,le=2,} 7 @2000\n"
               "{__name__=m_bucket,le=+Inf,} 11 @2000\n"));
    CHECK(ends(make(&m, BUCKETS("3", "4", "'1','0'", "1", "2")),
               "{__name__=m_sum,} 2 @3000\n{__name__=m_count,} 1 @3000\n"
               "{__name__=m_bucket,le=4,} 1 @3000\n{__name__=m_bucket,le=+Inf,} 1 @3000\n"));
    made_fini(&m);
}

#define EXPO(seconds, scale, offset, counts, count)                                                \
    METRIC("exponentialHistogram",                                                                 \
           "{'timeUnixNano':'" seconds "000000000','scale':" scale ",'zeroCount':'1','positive':{" \
           "'offset':" offset ",'bucketCounts':[" counts "]},'count':'" count "','sum':1}")

static void exponential_histograms_meet_at_the_coarser_scale(void)
{
    struct prom_config config = default_config();
    struct made m;

    made_init(&m, &config);
    CHECK(ends(make(&m, EXPO("1", "2", "0", "'1','1'", "3")),
               "{__name__=m,} histogram count=3 sum=1 schema=2 zero=1 11[1+2] 12[1 0 ] @1000\n"));
    CHECK(ends(make(&m, EXPO("2", "1", "3", "'5'", "6")),
               "{__name__=m,} histogram count=9 sum=2 schema=1 zero=2 11[1+4] 12[2 -2 0 5 ] @2000"
               "\n"));
    /* far apart: at the scale of both there would be too many buckets between them */
    CHECK(strstr(make(&m, EXPO("3", "1", "700", "'1'", "2")), "count=11 sum=3 schema=-2 zero=3 "));
    CHECK(ends(make(&m, EXPO("4", "1", "70000", "'1'", "2")), ""));
    CHECK(m.counts.dropped[PROM_SCALE] == 1);
    made_fini(&m);
}

/* A delta counter with so many series. */
static void many_streams(struct buf *json, int first, int count)
{
    buf_init(json, 4 << 20, NULL);
    buf_str(json, "{'resourceMetrics':[{'scopeMetrics':[{'metrics':[{'name':'m','sum':{'aggregation"
                  "Temporality':1,'dataPoints':[");
    for (int i = first; i < first + count; i++)
        buf_printf(json,
                   "%s{'asInt':'1','timeUnixNano':'1','attributes':[{'key':'n','value':{'intValue':"
                   "'%d'}}]}",
                   i > first ? "," : "", i);
    buf_str(json, "]}}]}]}]}");
    buf_byte(json, '\0');
}

static void there_are_at_most_max_streams_and_stale_ones_make_room(void)
{
    struct prom_config config = default_config();
    struct buf json;
    struct made m;

    config.max_streams = 100;
    made_init(&m, &config);
    many_streams(&json, 0, 150);
    (void)make_at(&m, (const char *)json.data, NS(1000));
    CHECK(m.counts.dropped[PROM_OVERFLOW] == 50 && m.counts.samples == 100);
    CHECK(prom_state_streams(m.state) == 100);
    buf_fini(&json);
    many_streams(&json, 1000, 80);
    (void)make_at(&m, (const char *)json.data, NS(1000 + 299));
    CHECK(m.counts.dropped[PROM_OVERFLOW] == 80);
    (void)make_at(&m, (const char *)json.data, NS(1000 + 400));
    CHECK(m.counts.dropped[PROM_OVERFLOW] == 0 && prom_state_streams(m.state) == 80);
    buf_fini(&json);
    made_fini(&m);
}

static void what_is_damaged_is_never_read_beyond(void)
{
    struct prom_config config = default_config();
    uint64_t state = 88172645463325252;
    struct buf body;
    struct made m;

    config.resource_as_labels = config.scope_labels = config.metadata = true;
    made_init(&m, &config);
    metric_body(metric_sample, &body);
    for (int i = 0; i < 2000; i++) {
        uint8_t *copy = malloc(body.len); /* its own block: reading past it is seen */

        memcpy(copy, body.data, body.len);
        for (int k = 0; k < 3; k++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            copy[state % body.len] = (uint8_t)(state >> 40);
        }
        CHECK(strcmp(make_body(&m, slice_make(copy, body.len), NS(1000)), "no memory") != 0);
        free(copy);
    }
    buf_fini(&body);
    made_fini(&m);
}

int main(void)
{
    RUN(sums_of_numbers_are_exact);
    RUN(a_batch_that_comes_again_gives_the_same_and_an_older_one_nothing);
    RUN(histograms_are_summed_bucket_by_bucket_and_begin_anew_with_other_bounds);
    RUN(exponential_histograms_meet_at_the_coarser_scale);
    RUN(there_are_at_most_max_streams_and_stale_ones_make_room);
    RUN(what_is_damaged_is_never_read_beyond);
    return DONE();
}
