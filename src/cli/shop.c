#include "cli/shop.h"

enum { FRONTEND, CATALOG, CART, CHECKOUT, PAYMENT, SHIPPING, RECOMMENDATION };

const struct service_fields shop_services[] = {
    [FRONTEND] = {"frontend", "4.12.0", "shop", "frontend-6d9c7b5f4-x2lqp"},
    [CATALOG] = {"catalog", "2.7.3", "shop", "catalog-7f8b9c6d5-p9k2m"},
    [CART] = {"cart", "1.19.1", "shop", "cart-5c6d7f8b9-7xw4z"},
    [CHECKOUT] = {"checkout", "3.4.0", "shop", "checkout-84b6d9f7c-qq8rt"},
    [PAYMENT] = {"payment", "5.0.2", "billing", "payment-0"},
    [SHIPPING] = {"shipping", "1.2.9", "logistics", "shipping-66f5d4c8b-hj5nv"},
    [RECOMMENDATION] = {"recommendation", "0.9.4", "shop", "recommendation-59f7b8d6c-c8mzk"},
};
const size_t shop_service_count = sizeof(shop_services) / sizeof(shop_services[0]);

/* parent, service, type, verb, object, text, own time in us */
static const struct shop_step browse[] = {
    {-1, FRONTEND, STEP_HTTP_SERVER, "GET", "/products/{id}", NULL, 2200},
    {0, FRONTEND, STEP_RPC_CLIENT, "GetProduct", "shop.v1.Catalog", NULL, 700},
    {1, CATALOG, STEP_RPC_SERVER, "GetProduct", "shop.v1.Catalog", NULL, 900},
    {2, CATALOG, STEP_CACHE, "GET", "product:{id}", NULL, 350},
    {2, CATALOG, STEP_SQL, "SELECT", "products",
     "SELECT id, name, price_cents, currency, picture FROM products WHERE id = $1", 3100},
};

static const struct shop_step search[] = {
    {-1, FRONTEND, STEP_HTTP_SERVER, "GET", "/search", NULL, 3900},
    {0, FRONTEND, STEP_HTTP_CLIENT, "GET", "/v1/products", NULL, 800},
    {1, CATALOG, STEP_HTTP_SERVER, "GET", "/v1/products", NULL, 2400},
    {2, CATALOG, STEP_SQL, "SELECT", "products",
     "SELECT id, name, price_cents FROM products WHERE name ILIKE $1 ORDER BY rank LIMIT 20",
     21000},
    {0, FRONTEND, STEP_RPC_CLIENT, "Recommend", "shop.v1.Recommendations", NULL, 500},
    {4, RECOMMENDATION, STEP_RPC_SERVER, "Recommend", "shop.v1.Recommendations", NULL, 1500},
    {5, RECOMMENDATION, STEP_INTERNAL, "rank candidates", NULL, NULL, 9800},
};

static const struct shop_step add_to_cart[] = {
    {-1, FRONTEND, STEP_HTTP_SERVER, "POST", "/cart/items", NULL, 1900},
    {0, FRONTEND, STEP_RPC_CLIENT, "AddItem", "shop.v1.Cart", NULL, 600},
    {1, CART, STEP_RPC_SERVER, "AddItem", "shop.v1.Cart", NULL, 1100},
    {2, CART, STEP_RPC_CLIENT, "GetProduct", "shop.v1.Catalog", NULL, 650},
    {3, CATALOG, STEP_RPC_SERVER, "GetProduct", "shop.v1.Catalog", NULL, 800},
    {4, CATALOG, STEP_CACHE, "GET", "product:{id}", NULL, 380},
    {2, CART, STEP_CACHE, "HSET", "cart:{user}", NULL, 420},
    {2, CART, STEP_CACHE, "EXPIRE", "cart:{user}", NULL, 300},
};

static const struct shop_step place_order[] = {
    {-1, FRONTEND, STEP_HTTP_SERVER, "POST", "/checkout", NULL, 3300},
    {0, FRONTEND, STEP_RPC_CLIENT, "PlaceOrder", "shop.v1.Checkout", NULL, 700},
    {1, CHECKOUT, STEP_RPC_SERVER, "PlaceOrder", "shop.v1.Checkout", NULL, 2900},
    {2, CHECKOUT, STEP_RPC_CLIENT, "GetCart", "shop.v1.Cart", NULL, 500},
    {3, CART, STEP_RPC_SERVER, "GetCart", "shop.v1.Cart", NULL, 900},
    {4, CART, STEP_CACHE, "HGETALL", "cart:{user}", NULL, 610},
    {2, CHECKOUT, STEP_RPC_CLIENT, "Charge", "billing.v1.Payments", NULL, 900},
    {6, PAYMENT, STEP_RPC_SERVER, "Charge", "billing.v1.Payments", NULL, 1700},
    {7, PAYMENT, STEP_HTTP_CLIENT, "POST", "/v2/authorizations", NULL, 88000},
    {7, PAYMENT, STEP_SQL, "INSERT", "charges",
     "INSERT INTO charges (order_id, amount_cents, currency, token) VALUES ($1, $2, $3, $4)", 5200},
    {2, CHECKOUT, STEP_SQL, "INSERT", "orders",
     "INSERT INTO orders (id, user_id, total_cents, address_id) VALUES ($1, $2, $3, $4)", 4700},
    {2, CHECKOUT, STEP_PRODUCER, "send", "orders.placed", NULL, 1400},
};

static const struct shop_step quote_shipping[] = {
    {-1, FRONTEND, STEP_HTTP_SERVER, "GET", "/shipping/quote", NULL, 1600},
    {0, FRONTEND, STEP_HTTP_CLIENT, "POST", "/quotes", NULL, 700},
    {1, SHIPPING, STEP_HTTP_SERVER, "POST", "/quotes", NULL, 6400},
};

#define FLOW(steps, weight)                                                                        \
    {                                                                                              \
        steps, sizeof(steps) / sizeof(steps[0]), weight                                            \
    }

const struct shop_flow shop_flows[] = {
    FLOW(browse, 45),      FLOW(search, 20),        FLOW(add_to_cart, 18),
    FLOW(place_order, 10), FLOW(quote_shipping, 7),
};
const size_t shop_flow_count = sizeof(shop_flows) / sizeof(shop_flows[0]);
