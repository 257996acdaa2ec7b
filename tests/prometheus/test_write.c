/* Requests of remote write hold what the metrics did, named and labelled as Prometheus has it. */
#include "check.h"
#include "requests.h"

#define RESOURCE(attributes, metrics)                                                              \
    "{'resourceMetrics':[{'resource':{'attributes':[" attributes                                   \
    "]},'scopeMetrics':[{'metrics':[" metrics "]}]}]}"
#define TEXT(key, value) "{'key':'" key "','value':{'stringValue':'" value "'}}"
#define TIME             "'timeUnixNano':'1700000000500000000'"
#define GAUGE(attributes, value)                                                                   \
    "{'name':'g','gauge':{'dataPoints':[{'attributes':[" attributes "]," TIME ",'asDouble':" value \
    "}]}}"

static bool has(const char *text, const char *line)
{
    bool found = strstr(text, line) != NULL;

    if (!found)
        printf("  not there: %s\n%s\n", line, text);
    return found;
}

static bool gives(const struct prom_config *config, const char *json, const char *wanted)
{
    struct made m;
    bool same;

    made_init(&m, config);
    same = strcmp(make(&m, json), wanted) == 0;
    if (!same)
        printf("  %s\n", (const char *)m.text.data);
    made_fini(&m);
    return same;
}

static void metrics_of_every_type_become_series(void)
{
    struct prom_config config = default_config();
    struct made m;
    const char *text;

    made_init(&m, &config);
    text = make(&m, metric_sample);
    CHECK(has(text, "{__name__=temp_celsius,big=9007199254740993,job=shop,room=a,} 21.5 "
                    "@1700000000500\n"));
    CHECK(has(text, "{__name__=temp_celsius,job=shop,} stale @1700000000500\n"));
    CHECK(has(text, "{__name__=calls_total,job=shop,} -7 @1700000000000\n"));
    CHECK(has(text, "{__name__=calls_total,job=shop,} exemplar "
                    "{trace_id=5f84c7a1e7d1852db8c4fd35d88bf49a,span_id=1111111111111111,u=v,} 3 "
                    "@1700000000000\n"));
    CHECK(has(text, "{__name__=latency_seconds_sum,h=x,job=shop,} 7.5 @1700000000000\n"));
    CHECK(has(text, "{__name__=latency_seconds_count,h=x,job=shop,} 6 @1700000000000\n"));
    CHECK(has(text, "{__name__=latency_seconds_bucket,h=x,job=shop,le=0.5,} 1 @1700000000000\n"));
    CHECK(has(text, "{__name__=latency_seconds_bucket,h=x,job=shop,le=2,} 3 @1700000000000\n"));
    CHECK(has(text, "{__name__=latency_seconds_bucket,h=x,job=shop,le=+Inf,} 6 @17"));
    CHECK(has(text, "{__name__=sizes_bytes,e=y,job=shop,} histogram count=9 sum=12 schema=-1 "
                    "zero=2 8[3+1] 9[2 ] 11[-2+3] 12[1 -1 4 ] @1700000000000\n"));
    CHECK(has(text, "{__name__=quantiles_sum,job=shop,q=z,} 8 @1700000000000\n"));
    CHECK(has(text, "{__name__=quantiles_count,job=shop,q=z,} 4 @1700000000000\n"));
    CHECK(has(text, "{__name__=quantiles,job=shop,q=z,quantile=0.5,} 1.5 @1700000000000\n"));
    CHECK(has(text, "{__name__=quantiles,job=shop,q=z,quantile=1,} 5 @1700000000000\n"));
    CHECK(has(text, "{__name__=target_info,cores=8,job=shop,} 1 @1700000000500\n"));
    CHECK(has(text, "{__name__=other,} 1 @1700000000000\n"));
    CHECK(m.counts.points == 7 && m.counts.samples == 15 && m.requests == 1);
    made_fini(&m);
}

static void labels_collide_join_and_give_way(void)
{
    struct prom_config config = default_config();
    char name[] = "b", value[] = "outer", job[] = "job";

    CHECK(gives(&config,
                RESOURCE("", GAUGE(TEXT("a.b", "1") "," TEXT("a_b", "2") "," TEXT(
                                       "a-b", "1") "," TEXT("a:b", "") "," TEXT("none", ""),
                                   "1")),
                "{__name__=g,a_b=1;2,} 1 @1700000000500\n"));
    config.target_info = false;
    config.external[0] = (struct prom_label){strdup(name), strdup(value)};
    config.external[1] = (struct prom_label){strdup(job), strdup(value)};
    config.external_count = 2;
    CHECK(gives(&config,
                RESOURCE(TEXT("service.name", "shop") "," TEXT("service.namespace", "eu") "," TEXT(
                             "service.instance.id", "7"),
                         GAUGE(TEXT("job", "mine"), "1")),
                "{__name__=g,b=outer,instance=7,job=eu/shop,} 1 @1700000000500\n"));
}

static void a_scope_without_a_name_hides_no_attribute(void)
{
    struct prom_config config = default_config();

    CHECK(gives(&config, RESOURCE("", GAUGE(TEXT("otel_scope_name", "a"), "1")),
                "{__name__=g,otel_scope_name=a,} 1 @1700000000500\n"));
}

static void resources_become_labels_where_asked(void)
{
    struct prom_config config = default_config();

    config.resource_as_labels = true;
    config.target_info = false;
    CHECK(gives(&config,
                RESOURCE(TEXT("service.name", "shop") "," TEXT("a", "resource"),
                         GAUGE(TEXT("a", "point") "," TEXT("b", "x"), "1")),
                "{__name__=g,a=resource,b=x,job=shop,service_name=shop,} 1 @1700000000500\n"));
    config.no_service_labels = true;
    CHECK(gives(&config,
                RESOURCE(TEXT("service.name", "shop") "," TEXT("a", "resource"), GAUGE("", "1")),
                "{__name__=g,a=resource,job=shop,} 1 @1700000000500\n"));
}

static void target_info_needs_an_identity_and_something_to_say(void)
{
    struct prom_config config = default_config();

    CHECK(gives(&config, RESOURCE(TEXT("service.name", "shop"), GAUGE("", "1")),
                "{__name__=g,job=shop,} 1 @1700000000500\n"));
    CHECK(gives(&config, RESOURCE(TEXT("host", "a"), GAUGE("", "1")),
                "{__name__=g,} 1 @1700000000500\n"));
    CHECK(gives(
        &config, RESOURCE(TEXT("host", "a") "," TEXT("job", "j"), GAUGE("", "1")),
        "{__name__=g,} 1 @1700000000500\n{__name__=target_info,host=a,job=j,} 1 @1700000000500\n"));
    config.prefix = "shop";
    CHECK(gives(&config, RESOURCE(TEXT("host", "a") "," TEXT("service.name", "s"), GAUGE("", "1")),
                "{__name__=shop_g,job=s,} 1 @1700000000500\n"
                "{__name__=shop_target_info,host=a,job=s,} 1 @1700000000500\n"));
}

static void scopes_are_labels_where_asked(void)
{
    struct prom_config config = default_config();
    struct made m;

    config.scope_labels = true;
    made_init(&m, &config);
    CHECK(has(make(&m, metric_sample), "{__name__=calls_total,job=shop,otel_scope_name=lib,"
                                       "otel_scope_s=true,otel_scope_version=1.2,} -7 "));
    made_fini(&m);
}

#define AT(time, value) "{'timeUnixNano':'" time "','asInt':'" value "'}"
#define POINTS(points)  RESOURCE("", "{'name':'g','gauge':{'dataPoints':[" points "]}}")

static void samples_of_a_series_are_in_order_of_time_and_one_of_each(void)
{
    struct prom_config config = default_config();
    struct made m;

    made_init(&m, &config);
    CHECK(strcmp(make(&m, POINTS(AT("3000000", "3") "," AT("1000000", "1") "," AT(
                              "2000000", "2") "," AT("1000000", "9"))),
                 "{__name__=g,} 9 @1\n{__name__=g,} 2 @2\n{__name__=g,} 3 @3\n") == 0);
    CHECK(m.counts.duplicates == 1 && m.counts.samples == 3);
    CHECK(strcmp(make(&m, POINTS("{'asInt':'5'}")), "{__name__=g,} 5 @1700000000000\n") == 0);
    made_fini(&m);
}

static void what_prometheus_can_not_have_is_counted(void)
{
    struct prom_config config = default_config();
    struct made m;

    made_init(&m, &config);
    CHECK(strcmp(make(&m, POINTS("{'timeUnixNano':'1'}")), "") == 0);
    CHECK(m.counts.dropped[PROM_EMPTY] == 1 && m.requests == 0);
    CHECK(strcmp(make(&m, RESOURCE("", "{'name':'s','sum':{'dataPoints':[{'asInt':'1'}]}}")), "") ==
          0);
    CHECK(m.counts.dropped[PROM_TEMPORALITY] == 1);
    CHECK(strcmp(make(&m, RESOURCE("", "{'name':'..','gauge':{'dataPoints':[{'asInt':'1'}]}}")),
                 "") == 0);
    CHECK(m.counts.dropped[PROM_NAME] == 1);
    CHECK(strcmp(make(&m, RESOURCE("", "{'name':'e','exponentialHistogram':{'aggregationTemporality"
                                       "':2,'dataPoints':[{'scale':-5,'count':'1'}]}}")),
                 "") == 0);
    CHECK(m.counts.dropped[PROM_SCALE] == 1);
    made_fini(&m);
}

/* A gauge with so many series. */
static void many_series(struct buf *json, int count)
{
    buf_init(json, 16 << 20, NULL);
    buf_str(json, "{'resourceMetrics':[{'scopeMetrics':[{'metrics':[{'name':'g','gauge':{"
                  "'dataPoints':[");
    for (int i = 0; i < count; i++)
        buf_printf(json, "%s{'asInt':'%d','attributes':[" TEXT("n", "%d") "]}", i ? "," : "", i, i);
    buf_str(json, "]}}]}]}]}");
    buf_byte(json, '\0');
}

static void requests_are_as_large_as_they_may_be(void)
{
    struct prom_config config = default_config();
    struct buf json;
    struct made m;
    int lines = 0;

    many_series(&json, 1000);
    config.max_request_bytes = 10000;
    made_init(&m, &config);
    for (const char *at = make(&m, (const char *)json.data); (at = strchr(at, '\n')); at++)
        lines++;
    CHECK(lines == 1000 && m.counts.samples == 1000 && m.requests >= 4 && m.requests <= 6);
    made_fini(&m);
    buf_fini(&json);
}

static void metadata_is_said_once_a_metric(void)
{
    struct prom_config config = default_config();
    struct made m;
    int lines = 0;

    config.metadata = true;
    made_init(&m, &config);
    for (const char *at = make(&m, metric_sample); (at = strstr(at, "metadata\n")); at++)
        lines++;
    CHECK(lines == 6 && m.requests == 2);
    made_fini(&m);
}

static void bounds_are_written_without_an_exponent(void)
{
    struct prom_config config = default_config();
    struct made m;
    const char *text;

    made_init(&m, &config);
    text = make(&m, RESOURCE("", "{'name':'h','histogram':{'aggregationTemporality':2,'dataPoints'"
                                 ":[{'explicitBounds':[-2.5,0,0.1,1e-7,100,1e21],'bucketCounts':["
                                 "'1','1','1','1','1','1','1'],'count':'7'}]}}"));
    CHECK(has(text, "le=-2.5,} 1 ") && has(text, "le=0,} 2 ") && has(text, "le=0.1,} 3 "));
    CHECK(has(text, "le=0.0000001,} 4 ") && has(text, "le=100,} 5 "));
    CHECK(has(text, "le=1000000000000000000000,} 6 ") && has(text, "le=+Inf,} 7 "));
    made_fini(&m);
}

static void native_histograms_are_made_coarser_and_skip_what_is_empty(void)
{
    struct prom_config config = default_config();
    struct made m;

    made_init(&m, &config);
    CHECK(has(make(&m, RESOURCE("", "{'name':'e','exponentialHistogram':{'aggregationTemporality':"
                                    "2,'dataPoints':[{'scale':10,'count':'6','sum':1,'positive':{"
                                    "'offset':-2,'bucketCounts':['1','1','1','1','0','0','0','0',"
                                    "'0','0','0','0','0','0','0','0','0','0','0','0','2']}}]}}")),
              "schema=8 zero=0 11[0+2] 11[3+1] 12[2 0 0 ]"));
    made_fini(&m);
}

static void a_refused_request_is_halved_by_time_then_by_series(void)
{
    struct prom_config config = default_config();
    struct prom_request *requests;
    struct buf body, first, second, text;
    struct made m;
    size_t count;

    made_init(&m, &config);
    metric_body(POINTS(AT("1000000", "1") "," AT("2000000", "2") "," AT("3000000", "3")), &body);
    CHECK(prom_write(m.writer, m.state, buf_slice(&body), 0, &requests, &count, &m.counts) ==
          ERR_OK);
    buf_init(&first, 1 << 20, NULL);
    buf_init(&second, 1 << 20, NULL);
    buf_init(&text, 1 << 20, NULL);
    CHECK(count == 1 && prom_request_split(buf_slice(&requests[0].body), &first, &second));
    put_request_text(&text, buf_slice(&first));
    buf_str(&text, "then ");
    put_request_text(&text, buf_slice(&second));
    CHECK(slice_is(buf_slice(&text),
                   "{__name__=g,} 1 @1\nthen {__name__=g,} 2 @2\n{__name__=g,} 3 @3\n"));
    buf_clear(&text);
    CHECK(!prom_request_split(buf_slice(&first), &text, &second));
    buf_fini(&body);
    buf_fini(&first);
    buf_fini(&second);
    buf_fini(&text);
    made_fini(&m);
}

int main(void)
{
    RUN(metrics_of_every_type_become_series);
    RUN(labels_collide_join_and_give_way);
    RUN(a_scope_without_a_name_hides_no_attribute);
    RUN(resources_become_labels_where_asked);
    RUN(target_info_needs_an_identity_and_something_to_say);
    RUN(scopes_are_labels_where_asked);
    RUN(samples_of_a_series_are_in_order_of_time_and_one_of_each);
    RUN(what_prometheus_can_not_have_is_counted);
    RUN(requests_are_as_large_as_they_may_be);
    RUN(metadata_is_said_once_a_metric);
    RUN(bounds_are_written_without_an_exponent);
    RUN(native_histograms_are_made_coarser_and_skip_what_is_empty);
    RUN(a_refused_request_is_halved_by_time_then_by_series);
    return DONE();
}
