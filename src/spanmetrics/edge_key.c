/* The series of an edge between two services: its key, and what that reads as. */
#include "spanmetrics/edges.h"

static const char *const types[] = {"", "messaging_system", "database", "virtual_node"};

static uint8_t *put_dimension(uint8_t *at, const struct side *side, const char *name)
{
    if (side)
        return key_put_dimension(at, side->span, side->resource, name);
    *at++ = KEY_ABSENT;
    return at;
}

/* client, server; connection type and whether it failed, a byte each; of each dimension that of the
 * client and that of the server. */
static size_t build(struct spanmetrics_recorder *r, const struct edge *e)
{
    const struct name_list *dimensions = &r->m->dimensions;
    uint8_t *at = key_put_text(r->key, e->client_name);

    at = key_put_text(at, e->server_name);
    *at++ = (uint8_t)e->type;
    *at++ = e->has_failed;
    for (unsigned i = 0; i < dimensions->count; i++) {
        at = put_dimension(at, e->client, dimensions->names[i]);
        at = put_dimension(at, e->server, dimensions->names[i]);
    }
    memset(at, 0, KEY_PAD);
    return (size_t)(at - r->key);
}

uint32_t edge_series(struct spanmetrics_recorder *r, const struct edge *e)
{
    return key_find_built(r, build(r, e));
}

/* ---- reading it back ---- */

static void say(label_fn *put, void *arg, const char *name, struct slice text)
{
    if (text.data)
        put(arg, name, text, false);
}

static void each_edge_label(const struct spanmetrics *m, const struct key *key, label_fn *put,
                            void *arg)
{
    const uint8_t *at = key->bytes;
    unsigned type;

    say(put, arg, "client", key_take_text(&at));
    say(put, arg, "server", key_take_text(&at));
    type = *at++;
    put(arg, "connection_type", slice_str(types[type < EDGE_TYPES ? type : 0]), false);
    put(arg, "failed", slice_str(*at++ ? "true" : "false"), true);
    for (unsigned i = 0; i < m->dimensions.count; i++) {
        say(put, arg, m->client_labels.names[i], key_take_text(&at));
        say(put, arg, m->server_labels.names[i], key_take_text(&at));
    }
}

/* The connector's metrics have `_total` in their names, as Prometheus wants it. */
const struct family edge_family = {
    .scope = "traces_service_graph",
    .calls = {"_request_total", "_request", "Requests between two services."},
    .failed = {"_request_failed_total", "_request_failed",
               "Requests between two services that failed."},
    .durations = {[EDGE_SERVER] = {"_request_server", "_request_server",
                                   "Requests as the server saw them"},
                  [EDGE_CLIENT] = {"_request_client", "_request_client",
                                   "Requests as the client saw them"}},
    .sides = 2,
    .each_label = each_edge_label,
};
