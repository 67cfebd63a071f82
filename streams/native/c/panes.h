/* Panes: the ids of a window while it is open, the watermark, and folding one event. */
#pragma once

#include "late.h"

/* Seeded, and of all bits of both: nobody can choose ids that share a place. */
static inline uint64_t place_of(const state *s, const pane *p, uint64_t id) {
    return fold128(id ^ s->seed, XXH_PRIME_2 ^ s->seed) & p->ids_mask;
}

/* The sizes that tables grow to for so many. */
static uint64_t ids_room(uint64_t n) {
    uint64_t size = LEAST_IDS;
    while (n * 10 > size * 7) size *= 2;
    return size;
}

static uint64_t index_room(uint64_t n) {
    uint64_t size = LEAST_INDEX;
    while (n * 3 > size * 2) size *= 2;
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

static void free_pane(state *s, pane *p) {
    s->shared.bytes -= p->bytes;
    if (p->closed) s->shared.kept -= p->bytes;
    leave_words(s, p);
    for (chunk *c = p->arena, *before; c; c = before) {
        before = c->before;
        free(c);
    }
    for (size_t i = 0; i < p->n_blocks; i++) free(p->blocks[i]);
    free(p->blocks);
    free(p->index);
    free(p->ids);
    free(p);
}

/* Where the chain of the panes begins that share a start's place. */
static inline pane **chain_of(const state *s, int64_t start_ms) {
    return &s->places[word_hash((uint64_t)start_ms, s->seed) & (s->panes_room - 1)];
}

static pane *find_pane(state *s, int64_t at_ms) {
    pane *p = s->last;
    if (LIKELY(p && at_ms >= p->start_ms && at_ms < p->end_ms)) return p;
    int64_t start_ms = at_ms - at_ms % s->pane_ms;
    for (p = *chain_of(s, start_ms); p; p = p->next)
        if (p->start_ms == start_ms) return s->last = p;
    return NULL;
}

static void make_room_for_panes(state *s, size_t room) {
    given_back(s, NULL, s->places, s->panes_room * sizeof *s->places);
    s->panes = resized(s, NULL, s->panes, &s->panes_room, room, sizeof *s->panes);
    s->places = hold_zeros(s, NULL, room, sizeof *s->places);
    for (size_t i = 0; i < s->n_panes; i++) {
        pane **chain = chain_of(s, s->panes[i]->start_ms);
        s->panes[i]->next = *chain;
        *chain = s->panes[i];
    }
}

static pane *open_pane(state *s, int64_t start_ms, int64_t offset) {
    if (s->n_panes == s->panes_room) make_room_for_panes(s, s->panes_room * 2);
    pane *p = hold_zeros(s, NULL, 1, sizeof *p), **chain = chain_of(s, start_ms);
    *p = (pane){.start_ms = start_ms, .end_ms = start_ms + s->pane_ms, .first_offset = offset, .next = *chain};
    p->bytes = weight(sizeof *p);
    take_words(s, p);
    size_t at = s->n_panes++;
    for (; at && s->panes[(at - 1) / 2]->start_ms > start_ms; at = (at - 1) / 2) s->panes[at] = s->panes[(at - 1) / 2];
    s->panes[at] = p;
    s->shared.panes = (int64_t)s->n_panes;
    return *chain = s->last = p;
}

/* The open pane that ends first, which is no longer among them. */
static pane *first_pane(state *s) {
    pane *first = s->panes[0], *moved = s->panes[--s->n_panes], **link = chain_of(s, first->start_ms);
    size_t at = 0;
    for (size_t next; (next = 2 * at + 1) < s->n_panes; at = next) {
        if (next + 1 < s->n_panes && s->panes[next + 1]->start_ms < s->panes[next]->start_ms) next++;
        if (s->panes[next]->start_ms >= moved->start_ms) break;
        s->panes[at] = s->panes[next];
    }
    s->panes[at] = moved;
    while (*link != first) link = &(*link)->next;
    *link = first->next;
    if (s->last == first) s->last = NULL;
    s->shared.panes = (int64_t)s->n_panes;
    return first;
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

/* Its ids, sorted, are all that is asked of a closed pane, beside the rows that wait. */
static void keep_ids(state *s, pane *p) {
    uint64_t n = 0;
    for (uint64_t i = 0; p->ids && i <= p->ids_mask; i++) {
        uint64_t id = p->ids[i];
        p->ids[n] = id; /* without a branch: whether a place is free can't be foretold */
        n += id != 0;
    }
    sort_ids(p->ids, n);
    if (p->ids) charge(s, p, -weight((p->ids_mask + 1) * 8));
    size_t room = (size_t)n * 8 + 8;
    s->closed = grown(s, NULL, s->closed, &s->closed_room, (size_t)s->shared.closed + 1, 16, sizeof *s->closed);
    s->closed[s->shared.closed++] = (closed_pane){p->start_ms, must(realloc(p->ids, room)), n};
    s->shared.closed_ids += (int64_t)n;
    s->shared.bytes += weight(room);
    s->shared.kept += weight(room) + (int64_t)sizeof *s->closed;
    p->ids = NULL;
}

/* Panes to come get tables for as much as this one had, or, so that a small one among them costs little, for half as before. */
static void close_pane(state *s, pane *p) {
    uint64_t ids = ids_room(p->n_ids), rows = index_room(p->n_rows);
    s->likely_ids = ids > s->likely_ids / 2 ? ids : s->likely_ids / 2;
    s->likely_index = rows > s->likely_index / 2 ? rows : s->likely_index / 2;
    p->index = given_back(s, p, p->index, p->index_size * 8);
    if (s->dedupe) keep_ids(s, p);
    p->closed = true;
    s->shared.kept += p->bytes;
    if (!p->waiting) free_pane(s, p);
}

/* Move the watermark to this time, and close the panes that it passes. */
EXPORT void songlo_close_until(state *s, int64_t now_ms) {
    s->shared.watermark_ms = now_ms;
    while (s->n_panes && s->panes[0]->end_ms <= now_ms) close_pane(s, first_pane(s));
    size_t room = s->panes_room;
    while (room > LEAST_PANES && s->n_panes * 8 <= room) room /= 2;
    if (room < s->panes_room) make_room_for_panes(s, room);
}

/* Move the watermark behind the events seen. */
EXPORT void songlo_close_panes(state *s) {
    shared *h = &s->shared;
    if (h->replaying) return;
    int64_t now_ms = (h->max_event_ms < h->max_append_ms ? h->max_event_ms : h->max_append_ms) - s->disorder_ms;
    if (now_ms > h->watermark_ms) songlo_close_until(s, now_ms);
}

static inline void advance(state *s, int64_t at_ms, int64_t append_ms) {
    shared *h = &s->shared;
    if (at_ms <= h->max_event_ms && append_ms <= h->max_append_ms) return;
    if (at_ms > h->max_event_ms) h->max_event_ms = at_ms;
    if (append_ms > h->max_append_ms) h->max_append_ms = append_ms;
    songlo_close_panes(s);
}

enum { FOLDED, LATE, TOO_EARLY, STRAY };

/* Whether an event belongs to another partition, which is in `home` then. */
static inline bool is_away(const state *s, const event *e, int64_t *home) {
    const slot *key = &e->slots[s->key_field];
    uint32_t hash = murmur2(key->text, is_there(e, s->key_field) ? (size_t)key->length : 0) & 0x7fffffff;
    *home = hash % (uint32_t)s->shared.homes;
    return *home != s->shared.partition;
}

/*
 * Fold one event. TOO_EARLY, STRAY and LATE leave everything as it was; the last is an event of a stream without ids, which Python
 * gives one.
 */
static int apply(state *s, event *e, int64_t append_ms) {
    shared *h = &s->shared;
    int64_t at_ms = e->slots[s->time_field].number;
    if (UNLIKELY(at_ms - s->skew_ms > append_ms)) return TOO_EARLY;
    bool away = h->homes && is_away(s, e, &h->home);
    if (UNLIKELY(away && h->forward)) {
        if (!h->replaying) return STRAY;
        advance(s, at_ms, append_ms);
        return FOLDED;
    }
    pane *p = find_pane(s, at_ms);
    if (UNLIKELY(!p)) {
        int64_t start_ms = at_ms - at_ms % s->pane_ms;
        if (start_ms + s->pane_ms <= h->watermark_ms) {
            if (!h->replaying) {
                if (!s->dedupe) return LATE;
                keep_late(s, e, start_ms, append_ms);
            }
            h->away += away;
            advance(s, at_ms, append_ms);
            return FOLDED;
        }
        p = open_pane(s, start_ms, e->offset);
    }
    if (s->dedupe && UNLIKELY(!remember(s, p, e->id))) {
        h->duplicates++;
    } else {
        if (UNLIKELY(e->renewals != s->renewals || p->words != s->alternate)) make_key_again(s, e, p->words);
        row *r = row_of(s, p, e);
        if (r->flush != (uint32_t)h->flush) {
            let_wait(s, &s->waiting, p, r, e);
            h->waiting++;
        }
        r->offset = e->offset;
        add_event(s, p, r, e, s->waiting.sizes);
        h->folded++;
    }
    h->away += away;
    advance(s, at_ms, append_ms);
    return FOLDED;
}
