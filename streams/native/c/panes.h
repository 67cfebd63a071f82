/* Panes: the ids of a window while it is open, the watermark, and folding one event. */
#pragma once

#include "rows.h"

static inline uint64_t place_of(const state *s, const pane *p, uint64_t id) {
    return (id * s->seed >> 20) & p->ids_mask;
}

static void widen_ids(state *s, pane *p) {
    uint64_t *before = p->ids, size = before ? p->ids_mask + 1 : 0;
    uint64_t wider = size ? size * 2 : s->n_panes <= FEW_PANES ? s->likely_ids : LEAST_IDS;
    p->ids = must(calloc(wider, 8));
    p->ids_mask = wider - 1;
    s->shared.bytes += (int64_t)(wider - size) * 8;
    for (uint64_t i = 0; i < size; i++) {
        if (!before[i]) continue;
        uint64_t at = place_of(s, p, before[i]);
        while (p->ids[at]) at = (at + 1) & p->ids_mask;
        p->ids[at] = before[i];
    }
    free(before);
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

static void free_pane(state *s, pane *p) {
    s->shared.bytes -= (int64_t)(sizeof *p + p->index_size * 8 + p->rows_room * s->row_size);
    if (p->ids) s->shared.bytes -= (int64_t)(p->ids_mask + 1) * 8;
    for (chunk *c = p->arena, *before; c; c = before) {
        s->shared.bytes -= (int64_t)(sizeof *c + c->size);
        before = c->before;
        free(c);
    }
    for (uint64_t i = 0; i < p->n_blocks; i++) free(p->blocks[i]);
    free(p->blocks);
    free(p->index);
    free(p->ids);
    free(p);
}

static pane *find_pane(state *s, int64_t at_ms) {
    pane *p = s->last;
    if (LIKELY(p && at_ms >= p->start_ms && at_ms < p->end_ms)) return p;
    int64_t number = at_ms / s->pane_ms, start_ms = number * s->pane_ms;
    pane **cached = &s->cache[number % PANE_CACHE];
    if (*cached && (*cached)->start_ms == start_ms) return s->last = *cached;
    for (size_t i = 0; i < s->n_panes; i++)
        if (s->panes[i]->start_ms == start_ms) return s->last = *cached = s->panes[i];
    return NULL;
}

static pane *open_pane(state *s, int64_t start_ms, int64_t offset) {
    pane *p = must(calloc(1, sizeof *p));
    *p = (pane){.start_ms = start_ms, .end_ms = start_ms + s->pane_ms, .first_offset = offset};
    s->shared.bytes += (int64_t)sizeof *p;
    s->panes = grown(s->panes, &s->panes_room, s->n_panes + 1, sizeof *s->panes);
    s->panes[s->n_panes++] = p;
    s->shared.panes = (int64_t)s->n_panes;
    if (p->end_ms < s->next_end_ms) s->next_end_ms = p->end_ms;
    return s->last = s->cache[start_ms / s->pane_ms % PANE_CACHE] = p;
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

/* Ascending. Ids are hashes: by their first bits into as many heaps as there are ids, where few stand in one. */
static void sort_ids(uint64_t *ids, uint64_t n) {
    enum { FEW = 32 };
    if (n < 2) return;
    int bits = 64 - __builtin_clzll(n);
    uint64_t *room = must(malloc(n * 8)), *ends = must(calloc(((size_t)1 << bits) + 1, 8));
    for (uint64_t i = 0; i < n; i++) ends[(ids[i] >> (64 - bits)) + 1]++;
    for (uint64_t h = 0; h < (uint64_t)1 << bits; h++) ends[h + 1] += ends[h];
    for (uint64_t i = 0; i < n; i++) room[ends[ids[i] >> (64 - bits)]++] = ids[i];
    memcpy(ids, room, n * 8);
    for (uint64_t h = 0, from = 0; h < (uint64_t)1 << bits; from = ends[h++]) {
        if (UNLIKELY(ends[h] - from > FEW)) sort_by_bytes(ids + from, room, ends[h] - from);
        else
            for (uint64_t i = from + 1; i < ends[h]; i++) {
                uint64_t id = ids[i], at = i;
                for (; at > from && ids[at - 1] > id; at--) ids[at] = ids[at - 1];
                ids[at] = id;
            }
    }
    free(ends);
    free(room);
}

static void close_pane(state *s, pane *p) {
    p->closed = true;
    s->likely_index = p->index_size ? p->index_size : LEAST_INDEX;
    s->likely_ids = p->ids ? p->ids_mask + 1 : LEAST_IDS;
    if (s->last == p) s->last = NULL;
    for (int i = 0; i < PANE_CACHE; i++)
        if (s->cache[i] == p) s->cache[i] = NULL;
    if (s->dedupe) {
        uint64_t n = 0;
        for (uint64_t i = 0; p->ids && i <= p->ids_mask; i++) {
            uint64_t id = p->ids[i];
            p->ids[n] = id; /* without a branch: whether a place is free can't be foretold */
            n += id != 0;
        }
        sort_ids(p->ids, n);
        s->closed = grown(s->closed, &s->closed_room, (size_t)s->shared.closed + 1, sizeof *s->closed);
        s->closed[s->shared.closed++] = (closed_pane){p->start_ms, must(realloc(p->ids, n * 8 + 8)), n};
        s->shared.closed_ids += (int64_t)n;
        s->shared.bytes += (int64_t)n * 8 - (int64_t)(p->ids_mask + 1) * 8;
        p->ids = NULL;
    }
    if (!p->waiting) free_pane(s, p);
}

/* Move the watermark behind the events seen, and close the panes that it passes. */
EXPORT void songlo_close_panes(state *s) {
    shared *h = &s->shared;
    if (h->replaying) return;
    int64_t now_ms = (h->max_event_ms < h->max_append_ms ? h->max_event_ms : h->max_append_ms) - s->disorder_ms;
    if (now_ms <= h->watermark_ms) return;
    h->watermark_ms = now_ms;
    if (now_ms < s->next_end_ms) return;
    size_t kept = 0;
    s->next_end_ms = INT64_MAX;
    for (size_t i = 0; i < s->n_panes; i++) {
        pane *p = s->panes[i];
        if (p->end_ms <= now_ms) {
            close_pane(s, p);
            continue;
        }
        s->panes[kept++] = p;
        if (p->end_ms < s->next_end_ms) s->next_end_ms = p->end_ms;
    }
    s->n_panes = kept;
    h->panes = (int64_t)kept;
}

static inline void advance(state *s, int64_t at_ms, int64_t append_ms) {
    shared *h = &s->shared;
    if (at_ms <= h->max_event_ms && append_ms <= h->max_append_ms) return;
    if (at_ms > h->max_event_ms) h->max_event_ms = at_ms;
    if (append_ms > h->max_append_ms) h->max_append_ms = append_ms;
    songlo_close_panes(s);
}

enum { FOLDED, LATE, TOO_EARLY };

/* Fold one event; LATE and TOO_EARLY leave everything as it was. */
static int apply(state *s, const event *e, int64_t append_ms) {
    shared *h = &s->shared;
    int64_t at_ms = e->slots[s->time_field].number;
    if (UNLIKELY(at_ms - s->skew_ms > append_ms)) return TOO_EARLY;
    pane *p = find_pane(s, at_ms);
    if (UNLIKELY(!p)) {
        int64_t start_ms = at_ms - at_ms % s->pane_ms;
        if (start_ms + s->pane_ms <= h->watermark_ms) {
            if (!h->replaying) return LATE;
            advance(s, at_ms, append_ms);
            return FOLDED;
        }
        p = open_pane(s, start_ms, e->offset);
    }
    if (s->dedupe && UNLIKELY(!remember(s, p, e->id))) {
        h->duplicates++;
    } else {
        row *r = row_of(s, p, e);
        if (r->flush != s->flush) let_wait(s, p, r, e);
        r->offset = e->offset;
        add_event(s, p, r, e);
        h->folded++;
    }
    advance(s, at_ms, append_ms);
    return FOLDED;
}
