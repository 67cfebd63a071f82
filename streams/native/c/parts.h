/*
 * The parts that measures are made of: one table, of which follow a row's size, what an event adds and what a flush writes.
 * Python's side of it, by the same names, is streams/core/parts.py.
 */
#pragma once

#include "histogram.h"

/* Of each kind: words of a total, columns of a flush, least bytes of a number in the first of them, the first word of no value. */
#define PARTS(EACH)                                                                                 \
    EACH(COUNTED, 1, 1, 1, 0)                                                                       \
    EACH(SUMMED, 2, 1, 1, 0)                                                                        \
    EACH(HIGHEST, 1, 1, 1, 0)                                                                       \
    EACH(HISTOGRAM, HISTOGRAM_WORDS, 3, 8, 0) /* where the row's buckets end, buckets, weights */   \
    EACH(MAXIMUM, 1, 1, 8, INT64_MIN)                                                               \
    EACH(MINIMUM, 1, 1, 8, INT64_MAX)

#define PART_KIND(kind, words, columns, width, nothing) kind,
enum { PARTS(PART_KIND) };

typedef struct {
    int32_t words, columns;
    uint8_t width;
    uint64_t nothing;
} part_form;

#define PART_FORM(kind, words, columns, width, nothing) {words, columns, width, (uint64_t)(nothing)},
static const part_form PART_FORMS[] = {PARTS(PART_FORM)};

static inline void add128(uint64_t *held, int64_t value) {
    i128 sum = (i128)((u128)held[1] << 64 | held[0]) + value;
    held[0] = (uint64_t)sum;
    held[1] = (uint64_t)((u128)sum >> 64);
}

/* Add one value to a part of a total; `sizes` are those of the rows that its row waits among. */
static inline void add_to_part(state *s, pane *p, const part *to, uint64_t *held, int64_t value, int64_t *sizes) {
    switch (to->kind) {
    case COUNTED: ++*held; break;
    case SUMMED: add128(held, value); break;
    case HIGHEST:
        if ((uint64_t)value > *held) *held = (uint64_t)value;
        break;
    case MAXIMUM:
        if (value > (int64_t)*held) *held = (uint64_t)value;
        break;
    case MINIMUM:
        if (value < (int64_t)*held) *held = (uint64_t)value;
        break;
    default: add_bucket(s, p, held, bucket_of(s, value), &sizes[to->sizes]);
    }
}
