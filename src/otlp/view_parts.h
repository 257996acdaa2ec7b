/* view_parts.h: what the files of the views share. Private to the room. */
#pragma once

#include "otlp/read.h"
#include "otlp/view.h"

enum { KEY_VALUE_KEY = 1, KEY_VALUE_VALUE = 2 };

/* A KeyValue as nearly everybody writes it: a key, a value, both short, and nothing else. */
static inline bool view_is_plain(struct slice key_value)
{
    const uint8_t *at = key_value.data;
    size_t len = key_value.len, value;

    if (len < 4 || at[0] != TAG(KEY_VALUE_KEY, WIRE_LEN) || at[1] >= 0x80 || at[1] + 4U > len)
        return false;
    value = 2U + at[1];
    return at[value] == TAG(KEY_VALUE_VALUE, WIRE_LEN) && at[value + 1] < 0x80 &&
           value + 2 + at[value + 1] == len;
}
