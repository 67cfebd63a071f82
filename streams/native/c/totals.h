/* Adding an event to the totals of its row. */
#pragma once

#include "event.h"

static bool meets(const condition *c, const event *e) {
    if (!is_there(e, c->field)) return false;
    const slot *a = &e->slots[c->field];
    switch (c->kind) {
    case HAS: return true;
    case IS: return (size_t)a->length == c->size && !memcmp(a->text, c->text, c->size);
    default: return is_there(e, c->other) && (a->number > e->slots[c->other].number) == (c->kind == AFTER);
    }
}

static inline void add128(uint64_t *words, int64_t value) {
    i128 sum = (i128)((u128)words[1] << 64 | words[0]) + value;
    words[0] = (uint64_t)sum;
    words[1] = (uint64_t)((u128)sum >> 64);
}

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
 * a small table, open addressing, and the first one is where it is. D_SIZE: how many << 32 | the table's mask, 0 for none.
 * `size` counts the buckets of all rows.
 */
static inline bool has_table(const uint64_t *total) { return total[D_SIZE] & 0xffffffff; }

static inline uint64_t *table_of(const uint64_t *total) { return (uint64_t *)(uintptr_t)total[D_BUCKETS]; }

static inline void put_entry(uint64_t *table, uint64_t mask, uint64_t entry) {
    uint64_t i = ((entry >> 48) - 1) & mask;
    while (table[i]) i = (i + 1) & mask;
    table[i] = entry;
}

/* Entries in a new table of twice the room, or in their first one. */
static void widen_histogram(state *s, pane *p, uint64_t *total) {
    uint64_t mask = total[D_SIZE] & 0xffffffff, room = mask ? 2 * (mask + 1) : 2 * (NEAR_BUCKETS + 1);
    uint64_t *wider = arena_take(s, p, room * 8);
    memset(wider, 0, room * 8);
    const uint64_t *before = mask ? table_of(total) : total + D_BUCKETS;
    for (uint64_t i = 0; i < (mask ? mask + 1 : NEAR_BUCKETS); i++)
        if (before[i]) put_entry(wider, room - 1, before[i]);
    total[D_BUCKETS] = (uint64_t)(uintptr_t)wider;
    total[D_SIZE] = (total[D_SIZE] >> 32) << 32 | (room - 1);
}

static void add_bucket(state *s, pane *p, uint64_t *total, uint64_t bucket, int64_t *size) {
    uint64_t used = total[D_SIZE] >> 32, mask = total[D_SIZE] & 0xffffffff, entry = (bucket + 1) << 48 | 1;
    if (!mask) {
        uint64_t *near = total + D_BUCKETS;
        for (uint64_t i = 0; i < used; i++) {
            if (near[i] >> 48 != bucket + 1) continue;
            near[i]++;
            return;
        }
        if (used < NEAR_BUCKETS) {
            near[used] = entry;
            total[D_SIZE] += 1ull << 32;
            ++*size;
            return;
        }
    } else {
        uint64_t *table = table_of(total);
        for (uint64_t i = bucket & mask; table[i]; i = (i + 1) & mask) {
            if (table[i] >> 48 != bucket + 1) continue;
            table[i]++;
            return;
        }
    }
    if ((used + 1) * 4 > (mask + 1) * 3) widen_histogram(s, p, total);
    put_entry(table_of(total), total[D_SIZE] & 0xffffffff, entry);
    total[D_SIZE] += 1ull << 32;
    ++*size;
}

/* Ask ahead for the histograms of a row that is in the cache by now. */
static inline void ask_for_histograms(const state *s, const row *r) {
    const uint64_t *total = r->totals;
    for (int32_t m = 0; m < s->n_measures; m++) {
        int32_t kind = s->measures[m].kind;
        if (kind >= THOUSANDTHS && has_table(total)) __builtin_prefetch(table_of(total), 1);
        total += kind == COUNT ? 1 : kind == SUM ? 2 : D_WORDS;
    }
}

static void add_event(state *s, pane *p, row *r, const event *e) {
    r->events++;
    uint64_t *total = r->totals;
    const condition *c = s->conditions;
    for (int32_t i = 0; i < s->n_measures; i++) {
        const measure_rule *m = &s->measures[i];
        bool counts = true;
        for (int32_t k = 0; k < m->conditions; k++) counts = counts && meets(&c[k], e);
        c += m->conditions;
        switch (m->kind) {
        case SUM:
            if (is_there(e, m->field)) add128(total, e->slots[m->field].number);
            total += 2;
            break;
        case COUNT:
            *total++ += counts;
            break;
        default: {
            int64_t value = 0;
            counts = counts && is_there(e, m->field);
            if (m->kind == ELAPSED) {
                counts = counts && is_there(e, m->other);
                if (counts) value = e->slots[m->other].number - e->slots[m->field].number;
                if (value < 0) value = 0;
            } else if (counts) {
                value = e->slots[m->field].number * m->scale;
            }
            if (counts) {
                total[D_COUNT]++;
                add128(total + D_SUM, value);
                if ((uint64_t)value > total[D_MAX]) total[D_MAX] = (uint64_t)value;
                add_bucket(s, p, total, bucket_of(s, value), &s->sizes[s->n_dimensions + i]);
            }
            total += D_WORDS;
        }
        }
    }
}
