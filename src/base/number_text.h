/* number_text.h: doubles as text: the shortest one that reads back as the same. Pure functions; any
 * thread.
 */
#pragma once

#include <stddef.h>

enum { NUMBER_TEXT = 32, NUMBER_PLAIN = 352 };

/* As JSON writes numbers (ECMA-262, Number::toString): 0.000001, 1e-7, 100000000000000000000,
 * 1e+21; but -0 has its sign. NaN, Infinity, -Infinity. No end is written. Returns the length. */
size_t number_text(char out[NUMBER_TEXT], double number);

/* The same without an exponent. `number` is finite. */
size_t number_plain(char out[NUMBER_PLAIN], double number);
