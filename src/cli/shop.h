/* shop.h: the flows of the shop that traffic.c walks; tables only. */
#pragma once

#include "cli/request_writer.h"

enum shop_step_type {
    STEP_HTTP_SERVER,
    STEP_HTTP_CLIENT,
    STEP_RPC_SERVER,
    STEP_RPC_CLIENT,
    STEP_SQL,
    STEP_CACHE,
    STEP_PRODUCER,
    STEP_INTERNAL,
};

/* One span. What the fields mean depends on the type: HTTP: method and route (or path); RPC:
 * service and method; SQL: operation, table and statement; cache: operation and key. */
struct shop_step {
    int parent;      /* index in the flow, always smaller; -1: the root */
    uint8_t service; /* index in shop_services */
    uint8_t type;    /* enum shop_step_type */
    const char *verb, *object, *text;
    uint32_t own_us; /* typical time of its own */
};

struct shop_flow {
    const struct shop_step *steps;
    size_t count;
    unsigned weight;
};

extern const struct service_fields shop_services[];
extern const size_t shop_service_count;
extern const struct shop_flow shop_flows[];
extern const size_t shop_flow_count;
