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

static inline const waiting_rows *rows_of(const state *s, bool late) { return late ? &s->late.rows : &s->waiting; }

/*
 * Over all rows that wait, or over the late events': the most bytes that each dimension's texts with their lengths can have, 0 where all of them have
 * numbers, one byte each; then buckets of each histogram.
 */
EXPORT void songlo_sizes(const state *s, bool late, int64_t *sizes) {
    const waiting_rows *w = rows_of(s, late);
    memcpy(sizes, w->sizes, sizeof *sizes * (size_t)(s->n_dimensions + s->n_histograms));
    for (int32_t d = 0; d < s->n_dimensions; d++)
        if (w->spelled[d]) sizes[d] += (w->n - w->spelled[d]) * (1 + LONGEST_WORD);
}

/* The texts of a dimension that have numbers, in their order, as a column; its bytes, and how many they are. */
EXPORT int64_t songlo_words(const state *s, int32_t dimension, const uint8_t **packed, int64_t *size) {
    const words *w = s->words[dimension];
    *packed = w->packed;
    *size = (int64_t)w->packed_size;
    return (int64_t)w->number;
}

/* Where the next value of a column goes, the bytes of one, and the bits that any of them had. */
typedef struct {
    uint8_t *to;
    uint64_t width, seen;
} column;

/* Writes a whole word: the next value, or the room behind the column, takes what is too much. */
static inline void put(column *c, uint64_t value) {
    memcpy(c->to, &value, 8);
    c->to += c->width;
    c->seen |= value;
}

static inline void put_text(column *c, const uint8_t *text, uint32_t length) {
    uint8_t *to = put_length(c->to, length);
    copy_words(to, text, length);
    c->to = to + length;
}

static inline void put_bucket(const state *s, uint64_t entry, column *buckets, column *weights) {
    put(buckets, (uint64_t)s->representatives[entry >> 48]);
    put(weights, entry & 0xffffffffffff);
}

static inline void in_order(uint64_t *a, uint64_t *b) {
    uint64_t low = *a < *b ? *a : *b, high = *a < *b ? *b : *a;
    *a = low;
    *b = high;
}

/*
 * The `n` entries of a histogram without a table, by bucket, and without a branch, since none could be foreseen: free ones, which are
 * 0, come last as 0 - 1, and stand behind the row's own until the next row's come.
 */
static inline void put_near(const state *s, const uint64_t *near, uint64_t n, column *buckets, column *weights) {
    _Static_assert(NEAR_BUCKETS == 3, "as many are put in order here");
    uint64_t a = near[0] - 1, b = near[1] - 1, c = near[2] - 1;
    in_order(&a, &b);
    in_order(&b, &c);
    in_order(&a, &b);
    put_bucket(s, a + 1, buckets, weights);
    put_bucket(s, b + 1, buckets, weights);
    put_bucket(s, c + 1, buckets, weights);
    buckets->to -= (NEAR_BUCKETS - n) * buckets->width;
    weights->to -= (NEAR_BUCKETS - n) * weights->width;
}

/* A table's entries by bucket: each goes to its bucket's place, what is free to place 0, and bits tell which places are taken. */
static inline void put_table(const state *s, const uint64_t *held, column *buckets, column *weights) {
    const uint64_t *table = table_of(held), mask = held[H_SIZE] & 0xffffffff;
    uint64_t highest = 0;
    for (uint64_t i = 0; i <= mask; i++) {
        uint64_t place = table[i] >> 48;
        s->by_bucket[place] = table[i];
        s->met[place / 64] |= 1ull << place % 64;
        if (place > highest) highest = place;
    }
    s->met[0] &= ~1ull;
    for (uint64_t w = 0; w <= highest / 64; w++) {
        for (uint64_t bits = s->met[w]; bits; bits &= bits - 1)
            put_bucket(s, s->by_bucket[w * 64 + (uint64_t)__builtin_ctzll(bits)], buckets, weights);
        s->met[w] = 0;
    }
}

/* The buckets and the weights of a histogram, by bucket; how many. */
static inline uint64_t put_histogram(const state *s, const uint64_t *held, column *to_buckets, column *to_weights) {
    column buckets = *to_buckets, weights = *to_weights; /* copies, which nothing that is written can be */
    uint64_t n = held[H_SIZE] >> 32;
    if (has_table(held)) put_table(s, held, &buckets, &weights);
    else if (n == 1) put_bucket(s, held[H_BUCKETS], &buckets, &weights);
    else put_near(s, held + H_BUCKETS, n, &buckets, &weights);
    *to_buckets = buckets;
    *to_weights = weights;
    return n;
}

/* The rows stand anywhere in a large pane, so they are asked for ahead: first a row, then its key and histograms. */
static inline void ask_ahead(const state *s, const waiting_rows *w, int64_t i) {
    enum { ROWS_AHEAD = 16, KEYS_AHEAD = 8 };
    if (i + ROWS_AHEAD >= w->n) return;
    const uint8_t *later = (const uint8_t *)w->rows[i + ROWS_AHEAD].row;
    for (size_t byte = 0; byte < s->row_size; byte += 64) __builtin_prefetch(later + byte);
    const row *r = w->rows[i + KEYS_AHEAD].row;
    if (r->key_size > NEAR_KEY) __builtin_prefetch(r->key.far);
    ask_for_histograms(s, r);
}

/* One row; true where a sum needs more than 64 bits. */
static inline uint64_t put_row(const state *s, const waiting_rows *w, int64_t i, int64_t epoch, column *c, uint64_t *ends) {
    const pane *p = w->rows[i].pane;
    const row *r = w->rows[i].row;
    put(c++, (uint64_t)(w->starts ? w->starts[i] : p->start_ms) / 1000);
    const uint8_t *key = key_of_row(r), *spelled = key + s->n_dimensions;
    for (int32_t d = 0; d < s->n_dimensions; d++, c++) {
        uint8_t number = key[d];
        if (LIKELY(!w->spelled[d])) {
            *c->to++ = number;
        } else if (number == SPELLED) {
            uint16_t length;
            memcpy(&length, spelled, 2);
            put_text(c, spelled + 2, length);
            spelled += 2 + length;
        } else {
            const word *text = &words_of(s, p->words, d)->texts[number];
            put_text(c, (const uint8_t *)text->part, (uint32_t)text->length);
        }
    }
    put(c++, (uint64_t)(epoch | r->offset));
    put(c++, r->events);
    uint64_t highs = 0;
    for (int32_t i = 0; i < s->n_parts; i++) {
        const uint64_t *held = r->totals + s->parts[i].at;
        switch (s->parts[i].kind) {
        case HISTOGRAM:
            *ends += put_histogram(s, held, c + 1, c + 2);
            put(c, *ends++);
            c += 3;
            break;
        case SUMMED: highs |= held[1]; __attribute__((fallthrough));
        default: put(c++, *held);
        }
    }
    return highs;
}

/* Whether some column was too narrow for what it met; then it is wide enough from now on. */
static bool widened(state *s, const column *columns, uint64_t highs) {
    bool any = false;
    for (int32_t c = 1 + s->n_dimensions; c < s->n_columns; c++) {
        uint64_t seen = highs ? UINT64_MAX : columns[c].seen; /* sums beyond 64 bits are put together of whole words */
        while (s->widths[c] < 8 && seen >> 8 * s->widths[c]) {
            s->widths[c] *= 2;
            any = true;
        }
    }
    return any;
}

/*
 * Write the waiting rows, or the late events', as columns, packed as streams/core/packed.py has it: pane start (seconds), each
 * dimension's texts or their numbers, version, events, then the columns of each part: a number, or of a histogram where
 * the row's buckets end, buckets, weights. The bytes of each column are in `used` then. Of sums the low words: true says that one has another high word than 0, which is for songlo_highs.
 * The caller gives each column its room (texts and buckets: songlo_sizes; numbers: 8 bytes each), and NEAR_BUCKETS words more.
 */
EXPORT bool songlo_rows(state *s, bool late, int64_t epoch, void *const *to, int64_t *used) {
    const waiting_rows *w = rows_of(s, late);
    column *columns = must(malloc(sizeof *columns * (size_t)s->n_columns));
    uint64_t *ends = must(malloc(sizeof *ends * ((size_t)s->n_histograms + 1))), highs;
    do {
        for (int32_t c = 0; c < s->n_columns; c++) columns[c] = (column){to[c], s->widths[c], 0};
        memset(ends, 0, sizeof *ends * ((size_t)s->n_histograms + 1));
        highs = 0;
        for (int64_t i = 0; i < w->n; i++) {
            ask_ahead(s, w, i);
            highs |= put_row(s, w, i, epoch, columns, ends);
        }
    } while (widened(s, columns, highs));
    for (int32_t c = 0; c < s->n_columns; c++) used[c] = columns[c].to - (uint8_t *)to[c];
    free(ends);
    free(columns);
    return highs;
}

/* Write the high words of the sums of the same rows: a column of 8 bytes a row for each part that is one. */
EXPORT void songlo_highs(const state *s, bool late, uint64_t *const *columns) {
    const waiting_rows *w = rows_of(s, late);
    for (int64_t i = 0; i < w->n; i++) {
        const uint64_t *totals = w->rows[i].row->totals;
        for (int32_t k = 0, c = 0; k < s->n_parts; k++)
            if (s->parts[k].kind == SUMMED) columns[c++][i] = totals[s->parts[k].at + 1];
    }
}

/* The starts of the waiting rows' panes in seconds, each once; -1: more than there is room for. */
EXPORT int64_t songlo_starts(state *s, uint32_t *starts, int64_t room) {
    int64_t n = 0;
    s->tellings++;
    for (int64_t i = 0; i < s->shared.waiting; i++) {
        pane *p = s->waiting.rows[i].pane;
        if (p->told == s->tellings) continue;
        p->told = s->tellings;
        if (n == room) return -1;
        starts[n++] = (uint32_t)(p->start_ms / 1000);
    }
    return n;
}

/* The late events by columns of 64 bits, in the order of LATE_START and so on, and their event_ids as a column of texts, whose bytes it returns; valid until songlo_flushed. */
EXPORT int64_t songlo_late(const state *s, const void **columns) {
    for (int c = 0; c < LATE_COLUMNS; c++) columns[c] = s->late.columns[c];
    columns[LATE_COLUMNS] = s->late.event_ids;
    return (int64_t)s->late.event_ids_size;
}
