/* A part of a total that is a histogram: its buckets, and how they grow. */
#pragma once

#include "event.h"

/* Which slice of its power of two holds `value`, to start the search for its bucket near it. */
static inline unsigned slice_of(uint64_t value) {
    unsigned power = 63u - (unsigned)__builtin_clzll(value | 1);
    return power * SLICES + (unsigned)((power >= 5 ? value >> (power - 5) : value << (5 - power)) & (SLICES - 1));
}

static inline uint64_t bucket_of(const state *s, int64_t value) {
    int64_t largest = s->bounds[s->n_bounds - 1];
    if (value >= largest) return (uint64_t)s->n_bounds - 1;
    uint64_t i = s->slices[slice_of((uint64_t)value)];
    while (s->bounds[i] < value) i++;
    return i;
}

/*
 * A histogram's entries are (bucket + 1) << 48 | number. NEAR_BUCKETS of them stand in the total itself; more of them are
 * a small table, open addressing, and the first one is where it is. H_SIZE: how many << 32 | the table's mask, 0 for none.
 * `size` counts the buckets of all rows.
 */
enum { H_SIZE, H_BUCKETS, HISTOGRAM_WORDS = H_BUCKETS + NEAR_BUCKETS };

static inline bool has_table(const uint64_t *held) { return held[H_SIZE] & 0xffffffff; }

static inline uint64_t *table_of(const uint64_t *held) { return (uint64_t *)(uintptr_t)held[H_BUCKETS]; }

static inline void put_entry(uint64_t *table, uint64_t mask, uint64_t entry) {
    uint64_t i = ((entry >> 48) - 1) & mask;
    while (table[i]) i = (i + 1) & mask;
    table[i] = entry;
}

/* Entries in a new table of twice the room, or in their first one. */
static void widen_histogram(state *s, pane *p, uint64_t *held) {
    uint64_t mask = held[H_SIZE] & 0xffffffff, room = mask ? 2 * (mask + 1) : 2 * (NEAR_BUCKETS + 1);
    uint64_t *wider = arena_take(s, p, room * 8);
    memset(wider, 0, room * 8);
    const uint64_t *before = mask ? table_of(held) : held + H_BUCKETS;
    for (uint64_t i = 0; i < (mask ? mask + 1 : NEAR_BUCKETS); i++)
        if (before[i]) put_entry(wider, room - 1, before[i]);
    held[H_BUCKETS] = (uint64_t)(uintptr_t)wider;
    held[H_SIZE] = (held[H_SIZE] >> 32) << 32 | (room - 1);
}

static void add_bucket(state *s, pane *p, uint64_t *held, uint64_t bucket, int64_t *size) {
    uint64_t used = held[H_SIZE] >> 32, mask = held[H_SIZE] & 0xffffffff, entry = (bucket + 1) << 48 | 1;
    if (!mask) {
        uint64_t *near = held + H_BUCKETS;
        for (uint64_t i = 0; i < used; i++) {
            if (near[i] >> 48 != bucket + 1) continue;
            near[i]++;
            return;
        }
        if (used < NEAR_BUCKETS) {
            near[used] = entry;
            held[H_SIZE] += 1ull << 32;
            ++*size;
            return;
        }
    } else {
        uint64_t *table = table_of(held);
        for (uint64_t i = bucket & mask; table[i]; i = (i + 1) & mask) {
            if (table[i] >> 48 != bucket + 1) continue;
            table[i]++;
            return;
        }
    }
    if ((used + 1) * 4 > (mask + 1) * 3) widen_histogram(s, p, held);
    put_entry(table_of(held), held[H_SIZE] & 0xffffffff, entry);
    held[H_SIZE] += 1ull << 32;
    ++*size;
}
