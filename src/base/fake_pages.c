#include "base/fake_pages.h"

#include "base/err.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct fake_page {
    unsigned refs;
    uint8_t bytes[FAKE_PAGE];
};

static void unref(struct fake_page *page)
{
    if (page && --page->refs == 0)
        free(page);
}

void fake_pages_fini(struct fake_pages *p)
{
    for (size_t i = 0; i < p->count; i++)
        unref(p->at[i]);
    free(p->at);
    *p = (struct fake_pages){0};
}

static void make_room(struct fake_pages *p, size_t count)
{
    size_t cap = p->count * 2 > count ? p->count * 2 : count;

    if (count <= p->count)
        return;
    p->at = realloc(p->at, cap * sizeof(struct fake_page *));
    if (!p->at)
        err_no_memory("pages");
    memset(p->at + p->count, 0, (cap - p->count) * sizeof(struct fake_page *));
    p->count = cap;
}

static void set_page(struct fake_pages *p, size_t index, struct fake_page *page)
{
    if (page)
        page->refs++;
    unref(p->at[index]);
    p->at[index] = page;
}

/* The page, for p alone to write to. */
static uint8_t *own_page(struct fake_pages *p, size_t index)
{
    struct fake_page *old = p->at[index], *page;

    if (old && old->refs == 1)
        return old->bytes;
    page = calloc(1, sizeof(*page));
    if (!page)
        err_no_memory("pages");
    page->refs = 1;
    if (old)
        memcpy(page->bytes, old->bytes, FAKE_PAGE);
    unref(old);
    p->at[index] = page;
    return page->bytes;
}

static bool is_zero(const uint8_t *data, size_t len)
{
    return data[0] == 0 && memcmp(data, data + 1, len - 1) == 0;
}

void fake_pages_write(struct fake_pages *p, uint64_t offset, const void *data, size_t len)
{
    const uint8_t *from = data;

    if (len == 0)
        return;
    if (offset + len > p->len)
        p->len = offset + len;
    make_room(p, (size_t)((offset + len - 1) / FAKE_PAGE + 1));
    while (len > 0) {
        size_t index = (size_t)(offset / FAKE_PAGE), start = (size_t)(offset % FAKE_PAGE);
        size_t part = FAKE_PAGE - start < len ? FAKE_PAGE - start : len;

        if ((part == FAKE_PAGE || !p->at[index]) && is_zero(from, part)) {
            unref(p->at[index]); /* files that are zeroed cost nothing */
            p->at[index] = NULL;
        } else {
            memcpy(own_page(p, index) + start, from, part);
        }
        from += part;
        offset += part;
        len -= part;
    }
}

size_t fake_pages_read(const struct fake_pages *p, uint64_t offset, void *data, size_t len)
{
    uint8_t *to = data;
    size_t left;

    if (offset >= p->len)
        return 0;
    if (len > p->len - offset)
        len = (size_t)(p->len - offset);
    for (left = len; left > 0;) {
        size_t index = (size_t)(offset / FAKE_PAGE), start = (size_t)(offset % FAKE_PAGE);
        size_t part = FAKE_PAGE - start < left ? FAKE_PAGE - start : left;

        if (index < p->count && p->at[index])
            memcpy(to, p->at[index]->bytes + start, part);
        else
            memset(to, 0, part);
        to += part;
        offset += part;
        left -= part;
    }
    return len;
}

void fake_pages_resize(struct fake_pages *p, uint64_t len)
{
    size_t keep = (size_t)((len + FAKE_PAGE - 1) / FAKE_PAGE);

    for (size_t i = keep; i < p->count; i++) {
        unref(p->at[i]);
        p->at[i] = NULL;
    }
    if (len < p->len && len % FAKE_PAGE && keep <= p->count && p->at[keep - 1])
        memset(own_page(p, keep - 1) + len % FAKE_PAGE, 0, FAKE_PAGE - len % FAKE_PAGE);
    p->len = len;
}

void fake_pages_share(struct fake_pages *p, const struct fake_pages *from, uint64_t offset,
                      size_t len)
{
    size_t first = (size_t)(offset / FAKE_PAGE);
    size_t end = (size_t)((offset + len + FAKE_PAGE - 1) / FAKE_PAGE);

    if (len == 0)
        return;
    make_room(p, end);
    for (size_t i = first; i < end; i++)
        set_page(p, i, i < from->count ? from->at[i] : NULL);
    if (p->len < offset + len)
        p->len = offset + len < from->len ? offset + len : from->len;
}

void fake_pages_put(struct fake_pages *p, uint64_t offset, const struct fake_pages *from,
                    size_t len)
{
    uint8_t bytes[FAKE_PAGE];
    uint64_t at = offset % FAKE_PAGE;

    if (len == 0)
        return;
    if (offset + len > p->len)
        p->len = offset + len;
    make_room(p, (size_t)((offset + len - 1) / FAKE_PAGE + 1));
    for (uint64_t end = at + len; at < end;) {
        size_t start = (size_t)(at % FAKE_PAGE);
        size_t part = FAKE_PAGE - start < end - at ? FAKE_PAGE - start : (size_t)(end - at);

        if (part == FAKE_PAGE)
            set_page(p, (size_t)(offset / FAKE_PAGE), from->at[at / FAKE_PAGE]);
        else
            fake_pages_write(p, offset, bytes, fake_pages_read(from, at, bytes, part));
        at += part;
        offset += part;
    }
}

void fake_pages_copy(struct fake_pages *p, const struct fake_pages *from)
{
    struct fake_pages copy = {0};

    if (from->len > 0)
        fake_pages_share(&copy, from, 0, (size_t)from->len);
    copy.len = from->len;
    fake_pages_fini(p);
    *p = copy;
}
