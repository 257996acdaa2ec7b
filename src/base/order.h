/* order.h: pages that another thread touches before they are needed.
 *
 * Where a virtual machine gives its free pages back to its host, a huge page takes some 7 ms when
 * it is touched first, and a table that grows touches many at once. A thread that must not stand
 * still places an order ahead of need; the journal thread serves orders, a huge page in a turn.
 * Orders lie in what needs them, one at a time each, and belong to one thread but for order_serve.
 */
#pragma once

#include "base/pages.h"

struct order {
    struct order *next;
    _Atomic int state; /* zeros: nothing is ordered */
    size_t bytes, touched;
    uint8_t *pages;
};

/* Orders `bytes`, a multiple of PAGES_HUGE, unless something is ordered already. */
void order_place(struct memory *m, struct order *o, size_t bytes);
/* True: it is on its way. */
bool order_is_open(const struct order *o);
/* What was ordered, zeroed and counted, as from pages_new; NULL: it is not there (yet), or there
 * was no memory for it, or it is not of so many bytes (then it is given back). */
void *order_take(struct memory *m, struct order *o, size_t bytes);
/* Gives back what is there and not needed. */
void order_drop(struct memory *m, struct order *o);
/* The end, when no other thread runs. */
void order_fini(struct memory *m, struct order *o);

/* Touches the next pages, PAGES_HUGE bytes at most. Returns whether there is more to do. One thread
 * at a time. */
bool order_serve(struct memory *m);
