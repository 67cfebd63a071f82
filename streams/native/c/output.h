/* What waits to be flushed. */
#pragma once

#include "panes.h"

/* The lowest offset of an open pane; `otherwise` when none is open. */
EXPORT int64_t songlo_first_offset(const state *s, int64_t otherwise) {
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < s->n_panes; i++)
        if (s->panes[i]->first_offset < first) first = s->panes[i]->first_offset;
    return s->n_panes ? first : otherwise;
}

static inline uint8_t *put_length(uint8_t *to, uint32_t length) {
    for (; length > 127; length >>= 7) *to++ = (uint8_t)(length | 128);
    *to++ = (uint8_t)length;
    return to;
}

/* Bytes of each dimension's texts with their lengths, then buckets of each distribution, over all waiting rows. */
EXPORT void songlo_sizes(const state *s, int64_t *sizes) {
    memcpy(sizes, s->sizes, sizeof *sizes * (size_t)(s->n_dimensions + s->n_measures));
}

static int64_t put_histogram(const state *s, const uint64_t *total, int64_t *buckets, int64_t *weights) {
    if (!total[D_SIZE]) return 0;
    const uint64_t *table = has_table(total) ? (const uint64_t *)(uintptr_t)total[D_BUCKETS] : total + D_BUCKETS;
    int64_t n = 0;
    for (uint64_t i = 0; i <= (total[D_SIZE] & 0xffffffff); i++) {
        if (!table[i]) continue;
        int64_t at = n++; /* by insertion: most tables are nearly in order */
        for (; at && buckets[at - 1] > (int64_t)table[i]; at--) buckets[at] = buckets[at - 1];
        buckets[at] = (int64_t)table[i];
    }
    for (int64_t i = 0; i < n; i++) {
        uint64_t entry = (uint64_t)buckets[i];
        weights[i] = (int64_t)(entry & 0xffffffffffff);
        buckets[i] = s->representatives[(entry >> 48) - 1];
    }
    return n;
}

/* The rows stand anywhere in a large pane, so they are asked for ahead: first a row, then its key and histograms. */
static inline void ask_ahead(const state *s, int64_t i) {
    enum { ROWS_AHEAD = 16, KEYS_AHEAD = 8 };
    if (i + ROWS_AHEAD >= s->shared.waiting) return;
    const uint8_t *later = (const uint8_t *)s->waiting[i + ROWS_AHEAD].row;
    for (size_t byte = 0; byte < s->row_size; byte += 64) __builtin_prefetch(later + byte);
    const row *r = s->waiting[i + KEYS_AHEAD].row;
    for (size_t byte = 0; byte < r->key_size; byte += 64) __builtin_prefetch(r->key + byte);
    ask_for_histograms(s, r);
}

/*
 * Write the waiting rows as columns, packed as streams/core/packed.py has it: pane start (seconds, 4 bytes),
 * each dimension's texts, version, events, then of each measure: COUNT: number; SUM: sum; a
 * distribution: count, sum, max, where the row's buckets end, buckets, weights. Of sums the low words:
 * true says that one has another high word than 0, which is for songlo_highs then.
 * The caller gives each column its room (8 bytes a row; texts and buckets: songlo_sizes), and a word more.
 */
EXPORT bool songlo_rows(const state *s, int64_t epoch, void *const *columns) {
    int32_t n_columns = 3 + s->n_dimensions;
    for (int32_t m = 0; m < s->n_measures; m++) n_columns += s->measures[m].kind <= SUM ? 1 : 6;
    uint8_t **to = copied(columns, sizeof *to * (size_t)n_columns);
    int64_t *ends = must(calloc((size_t)s->n_measures + 1, sizeof *ends));
    uint64_t highs = 0;
    for (int64_t i = 0; i < s->shared.waiting; i++) {
        ask_ahead(s, i);
        const row *r = s->waiting[i].row;
        const uint8_t *key = r->key;
        int32_t c = 0;
#define PUT(value) (memcpy(to[c], &(int64_t){(int64_t)(value)}, 8), to[c++] += 8)
        memcpy(to[c], &(uint32_t){(uint32_t)(s->waiting[i].pane->start_ms / 1000)}, 4);
        to[c++] += 4;
        for (int32_t d = 0; d < s->n_dimensions; d++) {
            uint16_t length;
            memcpy(&length, key, 2);
            uint8_t *text = put_length(to[c], length);
            copy_words(text, key + 2, length);
            to[c++] = text + length;
            key += 2 + length;
        }
        PUT(epoch | r->offset);
        PUT(r->events);
        const uint64_t *total = r->totals;
        for (int32_t m = 0; m < s->n_measures; m++) {
            int32_t kind = s->measures[m].kind;
            if (kind <= SUM) {
                PUT(*total++);
                if (kind == SUM) highs |= *total++;
                continue;
            }
            PUT(total[D_COUNT]);
            PUT(total[D_SUM]);
            PUT(total[D_MAX]);
            highs |= total[D_SUM + 1];
            int64_t n = put_histogram(s, total, (int64_t *)(void *)to[c + 1], (int64_t *)(void *)to[c + 2]);
            PUT(ends[m] += n);
            to[c++] += 8 * n;
            to[c++] += 8 * n;
            total += D_WORDS;
        }
#undef PUT
    }
    free(ends);
    free(to);
    return highs;
}

/* Write the high words of the waiting rows' sums: a column of 8 bytes a row for each measure that has one. */
EXPORT void songlo_highs(const state *s, uint64_t *const *columns) {
    for (int64_t i = 0; i < s->shared.waiting; i++) {
        const uint64_t *total = s->waiting[i].row->totals;
        for (int32_t m = 0, c = 0; m < s->n_measures; m++) {
            int32_t kind = s->measures[m].kind;
            if (kind != COUNT) columns[c++][i] = total[kind == SUM ? 1 : D_SUM + 1];
            total += kind == COUNT ? 1 : kind == SUM ? 2 : D_WORDS;
        }
    }
}

/* The starts of the waiting rows' panes in seconds, each once; -1: more than there is room for. */
EXPORT int64_t songlo_starts(const state *s, uint32_t *starts, int64_t room) {
    int64_t n = 0;
    const pane *last = NULL;
    for (int64_t i = 0; i < s->shared.waiting; i++) {
        const pane *p = s->waiting[i].pane;
        if (p == last) continue;
        last = p;
        uint32_t start = (uint32_t)(p->start_ms / 1000);
        int64_t k = 0;
        while (k < n && starts[k] != start) k++;
        if (k < n) continue;
        if (n == room) return -1;
        starts[n++] = start;
    }
    return n;
}

/* A closed pane that waits: its start, and its sorted ids; valid until songlo_flushed. */
EXPORT int64_t songlo_closed(const state *s, int64_t i, int64_t *start_ms, const uint64_t **ids) {
    *start_ms = s->closed[i].start_ms;
    *ids = s->closed[i].ids;
    return (int64_t)s->closed[i].n_ids;
}

/* Nothing waits any more. */
EXPORT void songlo_flushed(state *s) {
    for (int64_t i = 0; i < s->shared.waiting; i++) {
        pane *p = s->waiting[i].pane;
        s->waiting[i].row->waiting = 0;
        if (!--p->waiting && p->closed) free_pane(s, p);
    }
    for (int64_t i = 0; i < s->shared.closed; i++) {
        s->shared.bytes -= (int64_t)s->closed[i].n_ids * 8;
        free(s->closed[i].ids);
    }
    s->shared.waiting = s->shared.closed = s->shared.closed_ids = 0;
    memset(s->sizes, 0, sizeof *s->sizes * (size_t)(s->n_dimensions + s->n_measures));
}
