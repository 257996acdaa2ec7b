/* cell_rules.h: what a cell means under its rule; for cell_table.c. Pure functions of the cell and
 * the time; who calls holds the lock that the cell is under.
 */
#pragma once

#include "policy/cell_table.h"

/* What is taken from a limit, and what must be left behind. With a draw one is taken of what the
 * share lets through. */
struct cell_taking {
    double cost, left;
    bool draws;
    uint64_t randomness;
    double share; /* out */
};

/* As if it were not there. */
bool cell_is_over(const struct cell_rule *rule, const struct cell *c, uint64_t now_ns);
/* Of a limit or a set of what was seen: changes *word and returns true, or changes nothing. */
bool cell_add_or_take(const struct cell_rule *rule, uint64_t *word, struct cell_taking *what,
                      uint64_t now_ns);
/* Of a counter. */
void cell_count(const struct cell_rule *rule, struct cell_counter *c, double n, uint64_t now_ns);
double cell_per_second(const struct cell_rule *rule, const struct cell_counter *c, uint64_t now_ns);
