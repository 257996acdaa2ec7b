/* labels.h: the labels of a series: collected, cleaned, sorted, written. Private to the room.
 *
 * What is collected of a resource and a scope stays for all their points (labels_mark,
 * labels_reset). Slices are borrowed from the body or lie in the set's own text.
 */
#pragma once

#include "base/buf.h"
#include "otlp/metric_view.h"
#include "otlp/value_text.h"

enum { LABELS_MAX = 256 };

/* A name or value: in the body, or (data NULL) at an offset of the text. */
struct label_part {
    const uint8_t *data;
    size_t at, len;
};

struct label {
    struct label_part key;  /* as it came; where it is over the others: the name itself */
    struct label_part name; /* cleaned */
    struct label_part value;
    uint8_t rank; /* of two with one name the higher one counts; equal ones are joined */
};

/* From the weakest to the strongest. */
enum label_rank { LABEL_EXTERNAL, LABEL_ATTRIBUTE, LABEL_IDENTITY, LABEL_SCOPE };

struct label_set {
    struct label items[LABELS_MAX];
    size_t count;
    struct buf text;
    bool is_full; /* there were more than LABELS_MAX */
};

struct label_mark {
    size_t count, text;
    bool is_full;
};

void labels_init(struct label_set *l, struct memory *memory);
void labels_fini(struct label_set *l);
static inline struct label_mark labels_mark(const struct label_set *l)
{
    return (struct label_mark){l->count, l->text.len, l->is_full};
}
void labels_reset(struct label_set *l, struct label_mark mark);

/* A label whose name is good as it is. An empty value is no label, here and in what follows. */
void labels_add(struct label_set *l, enum label_rank rank, const char *name, struct slice value);
/* The same, copied. */
void labels_add_copy(struct label_set *l, enum label_rank rank, struct slice name,
                     struct slice value);
/* An attribute, behind `prefix` ("" or "otel_scope_"). Names that nothing is left of are none. */
void labels_add_attr(struct label_set *l, enum label_rank rank, const char *prefix,
                     struct slice key, const struct value *value);
/* All of them. */
void labels_add_attrs(struct label_set *l, enum label_rank rank, const char *prefix,
                      struct metric_attrs attrs);

/* The labels of a point, in order, one of each name, and as the Label messages (field 1) that all
 * its series have. */
struct label_list {
    struct slice name[LABELS_MAX]; /* borrowed from the set, whose text may grow */
    size_t count;
    struct buf bytes;
    size_t at[LABELS_MAX + 1]; /* where each begins, and where the last one ends */
    struct label_place {
        size_t begin, end;
    } of_name, of_extra; /* where the two go that are not in the list, over one that is */
    const char *extra;   /* of_extra is of this */
};
void label_list_init(struct label_list *l, struct memory *memory);
void label_list_fini(struct label_list *l);
/* Overwrites `to`. */
void labels_finish(struct label_set *from, struct label_list *to);

/* Right after labels_finish. */
bool labels_have(const struct label_list *l, const char *name);

/* Appends the labels of a series: the list, its name, and one more label over those of the list
 * (extra NULL: none), a string that stays, whose name is behind "__name__". */
void labels_put(struct buf *out, struct label_list *l, struct slice name, const char *extra,
                struct slice extra_value);
