#include "base/order.h"

#include <assert.h>

enum order_state { ORDER_NONE, ORDER_OPEN, ORDER_READY };

static bool is_in(const struct order *o, enum order_state state)
{
    return atomic_load_explicit(&o->state, memory_order_acquire) == (int)state;
}

void order_place(struct memory *m, struct order *o, size_t bytes)
{
    assert(bytes > 0 && bytes % PAGES_HUGE == 0);
    if (!is_in(o, ORDER_NONE))
        return;
    o->bytes = bytes;
    o->touched = 0;
    o->pages = NULL;
    atomic_store_explicit(&o->state, ORDER_OPEN, memory_order_relaxed);
    o->next = atomic_load_explicit(&m->placed, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&m->placed, &o->next, o, memory_order_release,
                                                  memory_order_relaxed))
        ;
}

bool order_is_open(const struct order *o)
{
    return is_in(o, ORDER_OPEN);
}

void *order_take(struct memory *m, struct order *o, size_t bytes)
{
    if (!is_in(o, ORDER_READY))
        return NULL;
    if (o->bytes != bytes) {
        order_drop(m, o);
        return NULL;
    }
    atomic_store_explicit(&o->state, ORDER_NONE, memory_order_relaxed);
    return o->pages;
}

void order_drop(struct memory *m, struct order *o)
{
    if (!is_in(o, ORDER_READY))
        return;
    pages_free(m, o->pages, o->bytes);
    atomic_store_explicit(&o->state, ORDER_NONE, memory_order_relaxed);
}

static bool unlink_from(struct order **link, const struct order *o)
{
    for (; *link; link = &(*link)->next)
        if (*link == o) {
            *link = o->next;
            return true;
        }
    return false;
}

void order_fini(struct memory *m, struct order *o)
{
    struct order *placed = atomic_load_explicit(&m->placed, memory_order_acquire);

    if (is_in(o, ORDER_OPEN)) {
        if (!unlink_from(&m->serving, o))
            (void)unlink_from(&placed, o);
        atomic_store_explicit(&m->placed, placed, memory_order_relaxed);
        pages_free(m, o->pages, o->bytes);
    }
    order_drop(m, o);
    *o = (struct order){0};
}

/* False: there is no memory. */
static bool has_pages(struct memory *m, struct order *o)
{
    if (!o->pages && memory_has_intake_room(m, o->bytes))
        o->pages = pages_new(m, o->bytes);
    return o->pages;
}

/* The rest belongs to who placed it, from then on. */
static void end(struct memory *m, struct order *o, enum order_state state)
{
    m->serving = o->next;
    atomic_store_explicit(&o->state, (int)state, memory_order_release);
}

bool order_serve(struct memory *m)
{
    struct order *o = m->serving;

    if (!o && atomic_load_explicit(&m->placed, memory_order_relaxed))
        o = m->serving = atomic_exchange_explicit(&m->placed, NULL, memory_order_acquire);
    if (!o)
        return false;
    if (!has_pages(m, o)) {
        end(m, o, ORDER_NONE);
        return true;
    }
    pages_touch(o->pages + o->touched, PAGES_HUGE);
    o->touched += PAGES_HUGE;
    if (o->touched == o->bytes)
        end(m, o, ORDER_READY);
    return true;
}
