/* cells_world.h: the inside of a world of cells, for cells.c and cells_file.c. */
#pragma once

#include "policy/cell_table.h"

struct cells {
    pthread_mutex_t lock; /* of the list; taken before those of a table */
    struct memory *memory;
    struct hash_key key;
    struct cell_table *tables[CELL_TABLES_MAX];
    size_t count;
};

/* A new table, held by the world alone; the world is locked. NULL: no room or no memory. */
struct cell_table *cells_add_locked(struct cells *c, const char *component, const char *name,
                                    const struct cell_rule *rule);
