/* metric_sample.h: a request of metrics of every type, as JSON with ' for ". */
#pragma once

#include "base/buf.h"
#include "otlp/json.h"

#include <stdio.h>

static const char metric_sample[] =
    "{'resourceMetrics':[{'resource':{'attributes':[{'key':'service.name','value':{'stringValue':"
    "'shop'}},{'key':'cores','value':{'intValue':'8'}}]},'scopeMetrics':[{'scope':{'name':'lib',"
    "'version':'1.2','attributes':[{'key':'s','value':{'boolValue':true}}]},'metrics':["
    "{'name':'temp','description':'How warm.','unit':'Cel','gauge':{'dataPoints':[{'attributes':[{"
    "'key':'room','value':{'stringValue':'a'}},{'key':'big','value':{'intValue':"
    "'9007199254740993'}}],'timeUnixNano':'1700000000500000000','asDouble':21.5},{'timeUnixNano':"
    "'1700000000500000000','flags':1}]}},"
    "{'name':'calls','unit':'{call}','sum':{'aggregationTemporality':2,'isMonotonic':true,"
    "'dataPoints':[{'startTimeUnixNano':'1600000000000000000','timeUnixNano':"
    "'1700000000000000000','asInt':'-7','exemplars':[{'timeUnixNano':'1700000000000000000',"
    "'asDouble':3,'traceId':'5f84c7a1e7d1852db8c4fd35d88bf49a','spanId':'1111111111111111',"
    "'filteredAttributes':[{'key':'u','value':{'stringValue':'v'}}]}]}]}},"
    "{'name':'latency','unit':'s','histogram':{'aggregationTemporality':1,'dataPoints':[{"
    "'timeUnixNano':'1700000000000000000','count':'6','sum':7.5,'min':0.25,'max':4,"
    "'explicitBounds':[0.5,2],'bucketCounts':['1','2','3'],'attributes':[{'key':'h','value':{"
    "'stringValue':'x'}}]}]}}]},"
    "{'metrics':[{'name':'sizes','unit':'By','exponentialHistogram':{'aggregationTemporality':2,"
    "'dataPoints':[{'timeUnixNano':'1700000000000000000','count':'9','sum':12,'scale':-1,"
    "'zeroCount':'2','zeroThreshold':0.001,'positive':{'offset':-3,'bucketCounts':['1','0','4']},"
    "'negative':{'offset':2,'bucketCounts':['2']},'attributes':[{'key':'e','value':{'stringValue':"
    "'y'}}]}]}},"
    "{'name':'quantiles','summary':{'dataPoints':[{'timeUnixNano':'1700000000000000000','count':"
    "'4','sum':8,'quantileValues':[{'quantile':0.5,'value':1.5},{'quantile':1,'value':5}],"
    "'attributes':[{'key':'q','value':{'stringValue':'z'}}]}]}},{'name':'nothing'}]}]},"
    "{'resource':{},'scopeMetrics':[{'metrics':[{'name':'other','gauge':{'dataPoints':[{'asInt':"
    "'1'}]}}]}]}]}";

/* Makes the request that `text` is into `body`, which it initializes. */
static inline void metric_body(const char *text, struct buf *body)
{
    struct err_info info;
    struct buf json;

    buf_init(&json, 1 << 20, NULL);
    for (const char *c = text; *c; c++)
        buf_byte(&json, (uint8_t)(*c == '\'' ? '"' : *c));
    buf_init(body, 1 << 20, NULL);
    if (json_to_body(OTLP_METRICS, buf_slice(&json), body, 1 << 20, &info) != ERR_OK)
        printf("  %s\n", info.text);
    buf_fini(&json);
}
