/* The ids that an open pane has counted, and how they are sorted when it closes. */
#pragma once

#include "hash.h"

/* Seeded, and of all bits of both: nobody can choose ids that share a place. */
static inline uint64_t place_of(const state *s, const pane *p, uint64_t id) {
    return fold128(id ^ s->seed, XXH_PRIME_2 ^ s->seed) & p->ids_mask;
}

/* The size that a table of ids grows to for so many. */
static uint64_t ids_room(uint64_t n) {
    uint64_t size = LEAST_IDS;
    while (n * 10 > size * 7) size *= 2;
    return size;
}

static void widen_ids(state *s, pane *p) {
    uint64_t *before = p->ids, size = before ? p->ids_mask + 1 : 0;
    uint64_t wider = size ? size * 2 : s->n_panes <= FEW_PANES ? s->likely_ids : LEAST_IDS;
    p->ids = hold_zeros(s, p, wider, 8);
    p->ids_mask = wider - 1;
    for (uint64_t i = 0; i < size; i++) {
        if (!before[i]) continue;
        uint64_t at = place_of(s, p, before[i]);
        while (p->ids[at]) at = (at + 1) & p->ids_mask;
        p->ids[at] = before[i];
    }
    given_back(s, p, before, size * 8);
}

/* Whether the id is new in this pane; it is remembered. */
static inline bool remember(state *s, pane *p, uint64_t id) {
    if (UNLIKELY((p->n_ids + 1) * 10 > (p->ids ? p->ids_mask + 1 : 0) * 7)) widen_ids(s, p);
    uint64_t at = place_of(s, p, id);
    for (; p->ids[at]; at = (at + 1) & p->ids_mask)
        if (p->ids[at] == id) return false;
    p->ids[at] = id;
    p->n_ids++;
    return true;
}

/* Ascending, by radix: eight passes of a byte, after which the ids are where they were. */
static void sort_by_bytes(uint64_t *ids, uint64_t *room, uint64_t n) {
    uint64_t *from = ids, *to = room;
    for (int shift = 0; shift < 64; shift += 8) {
        uint64_t starts[257] = {0};
        for (uint64_t i = 0; i < n; i++) starts[(from[i] >> shift & 255) + 1]++;
        for (int i = 0; i < 256; i++) starts[i + 1] += starts[i];
        for (uint64_t i = 0; i < n; i++) to[starts[from[i] >> shift & 255]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
}

static inline void sort_few(uint64_t *ids, uint64_t n) {
    for (uint64_t i = 1; i < n; i++) {
        uint64_t id = ids[i], at = i;
        for (; at && ids[at - 1] > id; at--) ids[at] = ids[at - 1];
        ids[at] = id;
    }
}

/* Ascending. Ids are hashes: by their first bits into as many heaps as there are ids, where few stand in one. */
static void sort_ids(uint64_t *ids, uint64_t n) {
    enum { FEW = 32 };
    if (n <= FEW) return sort_few(ids, n);
    int bits = 64 - __builtin_clzll(n);
    uint64_t *room = must(malloc(n * 8)), *ends = must(calloc(((size_t)1 << bits) + 1, 8));
    for (uint64_t i = 0; i < n; i++) ends[(ids[i] >> (64 - bits)) + 1]++;
    for (uint64_t h = 0; h < (uint64_t)1 << bits; h++) ends[h + 1] += ends[h];
    for (uint64_t i = 0; i < n; i++) room[ends[ids[i] >> (64 - bits)]++] = ids[i];
    memcpy(ids, room, n * 8);
    for (uint64_t h = 0, from = 0; h < (uint64_t)1 << bits; from = ends[h++]) {
        if (UNLIKELY(ends[h] - from > FEW)) sort_by_bytes(ids + from, room, ends[h] - from);
        else sort_few(ids + from, ends[h] - from);
    }
    free(ends);
    free(room);
}
