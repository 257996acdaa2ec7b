/* spare.h: small blocks that a Lua state freed, kept by their size for when it asks again. Internal
 * to lua.
 *
 * A state frees what it collects in runs of thousands of blocks and asks for as many again at once:
 * given to malloc they are joined with their neighbours and cut up again, which took as long as
 * what the script did. Each block is malloc's and has the size of its class, so that realloc and
 * free take it too. Belongs to one thread, as its state does.
 */
#pragma once

#include <stddef.h>

enum {
    SPARE_FINE = 512,     /* up to here a class each 16 bytes, then each 128 */
    SPARE_LARGEST = 4096, /* larger blocks are malloc's business */
    SPARE_CLASSES = SPARE_FINE / 16 + (SPARE_LARGEST - SPARE_FINE) / 128 + 1
};

struct spare {
    void *first[SPARE_CLASSES]; /* of each class; a block's first word is the next one */
    size_t bytes;               /* that are kept */
    size_t max;                 /* no more than this is kept; 0: nothing */
};

/* Frees what is kept. */
void spare_drain(struct spare *s);
/* As realloc with the size that the block has: NULL for a `size` of 0, or without memory. */
void *spare_resize(struct spare *s, void *p, size_t old, size_t size);
