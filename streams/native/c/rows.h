/* The rows of a pane: where they stand, how an event finds its own, and which wait to be flushed. */
#pragma once

#include "totals.h"

/* A pane's rows stand in blocks of 1, 2, 4, up to 128, and then 256: many panes have few rows. Rows never move. */
static inline uint64_t block_size(uint64_t block) { return block < 8 ? 1u << block : ROWS_PER_BLOCK; }

static inline row *row_at(const state *s, const pane *p, uint64_t n) {
    uint64_t block, first;
    if (n < SMALL_BLOCKS_ROWS) {
        block = 63 - (uint64_t)__builtin_clzll(n + 1);
        first = (1u << block) - 1;
    } else {
        block = 8 + (n - SMALL_BLOCKS_ROWS) / ROWS_PER_BLOCK;
        first = SMALL_BLOCKS_ROWS + (block - 8) * ROWS_PER_BLOCK;
    }
    return (row *)((uint8_t *)p->blocks[block] + (n - first) * s->row_size);
}

static inline uint64_t index_place(const pane *p, uint32_t tag) { return tag * p->index_size >> 32; }

static void widen_index(state *s, pane *p) {
    uint64_t *before = p->index, size = p->index_size;
    p->index_size = size ? size * 2 : s->n_panes <= FEW_PANES ? s->likely_index : LEAST_INDEX;
    p->index = hold_zeros(s, p, p->index_size, 8);
    for (uint64_t i = 0; i < size; i++) {
        if (!before[i]) continue;
        uint64_t at = index_place(p, (uint32_t)(before[i] >> 32));
        while (p->index[at]) at = at + 1 == p->index_size ? 0 : at + 1;
        p->index[at] = before[i];
    }
    given_back(s, p, before, size * 8);
}

/* Of few rows a block begins anywhere: to begin it at a line takes up to a line more. */
static void new_block(state *s, pane *p) {
    enum { FEW_ROWS = 8 };
    size_t rows = block_size(p->n_blocks), size = rows * s->row_size, lines = (size + LINE - 1) / LINE * LINE;
    p->blocks = grown(s, p, p->blocks, &p->blocks_room, p->n_blocks + 1, 1, sizeof *p->blocks);
    if (rows >= FEW_ROWS) charge(s, p, weight(lines + LINE));
    p->blocks[p->n_blocks++] = rows < FEW_ROWS ? hold(s, p, size) : must(aligned_alloc(LINE, lines));
    p->rows_room += rows;
}

static row *new_row(state *s, pane *p, const event *e) {
    if (p->n_rows == p->rows_room) new_block(s, p);
    row *r = row_at(s, p, p->n_rows++);
    memcpy(r, s->empty, s->row_size);
    uint8_t *key = r->key.near;
    if (e->key_size > NEAR_KEY) r->key.far = key = arena_take(s, p, e->key_size);
    copy_words(key, e->key, e->key_size);
    r->key_size = e->key_size;
    if (UNLIKELY(s->looking && p->words == s->alternate)) look_at_row(s, e);
    return r;
}

static inline const uint8_t *key_of_row(const row *r) { return r->key_size > NEAR_KEY ? r->key.far : r->key.near; }

static inline bool is_row_of(const row *r, const event *e) {
    if (r->key_size != e->key_size) return false;
    const uint8_t *key = key_of_row(r);
    uint64_t differ = 0;
    for (size_t i = 0; i < e->key_size; i += 8) differ |= read64(key + i) ^ read64(e->key + i);
    return !differ;
}

/* The first row of the pane with the event's tag, most likely its own; NULL when there is none. */
static inline row *likely_row(const state *s, const pane *p, const event *e) {
    if (!p->index_size) return NULL;
    uint64_t at = index_place(p, e->tag);
    for (; p->index[at]; at = at + 1 == p->index_size ? 0 : at + 1)
        if ((uint32_t)(p->index[at] >> 32) == e->tag) return row_at(s, p, (uint32_t)p->index[at] - 1);
    return NULL;
}

/* The event's row in the pane. */
static row *row_of(state *s, pane *p, const event *e) {
    if (UNLIKELY((p->n_rows + 1) * 3 > p->index_size * 2)) widen_index(s, p);
    uint64_t at = index_place(p, e->tag);
    for (; p->index[at]; at = at + 1 == p->index_size ? 0 : at + 1) {
        if ((uint32_t)(p->index[at] >> 32) != e->tag) continue;
        row *r = row_at(s, p, (uint32_t)p->index[at] - 1);
        if (is_row_of(r, e)) return r;
    }
    row *r = new_row(s, p, e);
    p->index[at] = (uint64_t)e->tag << 32 | p->n_rows;
    return r;
}

/* From here on the event's row waits to be flushed, among others. */
static void let_wait(state *s, waiting_rows *w, pane *p, row *r, const event *e) {
    shared *h = &s->shared;
    r->flush = (uint32_t)h->flush;
    p->waiting++;
    w->rows = grown(s, NULL, w->rows, &w->room, (size_t)w->n + 1, 16, sizeof *w->rows);
    w->rows[w->n].pane = p;
    w->rows[w->n++].row = r;
    for (int32_t d = 0; d < s->n_dimensions; d++) {
        bool before = (p->words ^ s->alternate) >> d & 1;
        if (LIKELY(e->key[d] != SPELLED && !before)) continue;
        int64_t length = e->key[d] == SPELLED ? e->slots[s->dimensions[d]].length : LONGEST_WORD;
        w->sizes[d] += length + 1 + (length > 127) + (length > 16383);
        h->spread += length;
        w->spelled[d]++;
    }
    if (!r->events) return; /* a new row has no buckets */
    for (int32_t i = 0; i < s->n_histograms; i++) {
        int64_t buckets = (int64_t)(r->totals[s->histograms[i] + H_SIZE] >> 32);
        w->sizes[s->n_dimensions + i] += buckets;
        h->spread += buckets * 16;
    }
}
