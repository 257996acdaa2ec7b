/* link.h: doubly linked lists whose links lie in the items. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct link {
    struct link *next, *previous;
};

/* The item of type `type` whose member `member` is the link `l`. */
#define LINK_ITEM(l, type, member) ((type *)(void *)((char *)(l)-offsetof(type, member)))

/* An empty list, or an item that is in none. */
static inline void link_init(struct link *l)
{
    l->next = l->previous = l;
}

static inline bool link_is_empty(const struct link *list)
{
    return list->next == list;
}

/* Puts `l`, which is in no list, at the end. */
static inline void link_add(struct link *list, struct link *l)
{
    l->previous = list->previous;
    l->next = list;
    list->previous->next = l;
    list->previous = l;
}

/* Takes `l` out of its list, if it is in one. */
static inline void link_remove(struct link *l)
{
    l->previous->next = l->next;
    l->next->previous = l->previous;
    link_init(l);
}
