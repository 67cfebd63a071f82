/* Folding record batches. */
#pragma once

#include "strays.h"
#include "records.h"

/* Whether a record is where it may be: offsets ascend, each with room for those behind it, and the last record ends the batch. */
static inline bool is_in_place(const batch *b, const record *r, int64_t index, int64_t before) {
    return r->delta > before && r->delta <= b->room + index && (index + 1 < b->count || r->next == b->end);
}

static inline event *event_at(const state *s, uint8_t *events, size_t i) { return (event *)(events + i * s->event_size); }

static bool scan_message(state *s, const uint8_t *data, int64_t size, const record *r, event *e) {
    text end = data + r->value_at + r->value_size, p = spaces(data + r->value_at, end);
    p = scan_event(s, p, end, data + size, e);
    return p && spaces(p, end) == end;
}

/* The events of a JSON array, all of them valid and not too many, in s->bundle; -1: not sure. */
static int64_t scan_bundle(state *s, const uint8_t *data, int64_t size, const record *r) {
    text end = data + r->value_at + r->value_size, p = spaces(data + r->value_at, end);
    if (p >= end || *p != '[') return -1;
    size_t n = 0;
    do {
        if ((int64_t)n == s->bundle_events) return -1;
        s->bundle = grown(s, NULL, s->bundle, &s->bundle_room, n + 1, 16, s->event_size);
        event *e = event_at(s, s->bundle, n++);
        text from = spaces(p + 1, end);
        p = scan_event(s, from, end, data + size, e);
        if (!p) return -1;
        e->from.value_at = from - data;
        e->from.value_size = p - from;
        p = spaces(p, end);
    } while (p < end && *p == ',');
    for (size_t i = 0; i < n; i++) { /* they may have moved while there were more and more of them */
        event *e = event_at(s, s->bundle, i);
        e->key = key_of(s, e);
    }
    return p < end && *p == ']' && spaces(p + 1, end) == end ? (int64_t)n : -1;
}

static void forget_bundle(state *s) {
    s->bundle = given_back(s, NULL, s->bundle, s->bundle_room * s->event_size);
    s->bundle_room = 0;
}

enum { DONE, HANDED_OVER, UNREAD, CORRUPT, ENOUGH };

/* Whether no more may wait: of an open row that was there before, only what it adds to a flush is new. */
static inline bool is_enough(const shared *h) {
    return h->bytes + h->waiting * h->row_bytes + h->spread > h->enough;
}

/* Fold an event, or keep it to be sent home; false: it is Python's. */
static inline bool fold_event(state *s, const uint8_t *data, event *e, int64_t append_ms) {
    int how = apply(s, e, append_ms);
    if (LIKELY(how == FOLDED)) return true;
    if (how != STRAY || e->from.value_size > STRAY_BYTES) return false;
    add_stray(s, data + e->from.value_at, e->from.value_size, s->shared.home, e->slots[s->time_field].number, append_ms);
    return true;
}

static int hand_over(state *s, const batch *b, const record *r, int64_t offset, int64_t index, int64_t item) {
    shared *h = &s->shared;
    h->offset = offset;
    h->append_ms = b->append_ms;
    h->key_at = r->key_at;
    h->key_size = r->key_size;
    h->value_at = r->value_at;
    h->value_size = r->value_size;
    h->item = item;
    h->at = r->next;
    h->index = index + 1;
    h->delta = r->delta;
    return HANDED_OVER;
}

static int unread(shared *h, int64_t at, int64_t index, int64_t delta) {
    h->at = at;
    h->index = index;
    h->delta = delta;
    return UNREAD;
}

/*
 * What an event is going to touch is spread over memory, so it is asked for ahead: first the places of its
 * id and its row's number, when other events have been scanned its row, and then the row's key and histograms.
 */
static inline void ask_for_places(const state *s, const event *e) {
    const pane *p = s->last;
    if (!p || !p->index_size) return;
    if (p->ids) __builtin_prefetch(&p->ids[place_of(s, p, e->id)], 1);
    __builtin_prefetch(&p->index[index_place(p, e->tag)]);
}

static void ask_for_rows(const state *s, size_t n) {
    const pane *p = s->last;
    if (!p || n < 2) return;
    for (size_t i = 0; i < n; i++) {
        event *e = event_at(s, s->ahead, i);
        int64_t at_ms = e->slots[s->time_field].number;
        row *r = at_ms >= p->start_ms && at_ms < p->end_ms ? likely_row(s, p, e) : NULL;
        if (!r) continue;
        e->guess = r;
        for (size_t byte = 0; byte < s->row_size; byte += 64) __builtin_prefetch((uint8_t *)r + byte, 1);
    }
    for (size_t i = 0; i < n; i++) {
        const row *r = event_at(s, s->ahead, i)->guess;
        if (!r) continue;
        if (r->key_size > NEAR_KEY) __builtin_prefetch(r->key.far);
        ask_for_histograms(s, r);
    }
}

/* Fold the records of a batch from where it stands; `size` is that of all the data. */
static int fold_records(state *s, const uint8_t *data, int64_t size, const batch *b) {
    shared *h = &s->shared;
    int64_t at = h->at ? h->at : b->records_at, index = h->index, delta = h->at ? h->delta : -1;
    int64_t stop = b->next_offset < h->end ? b->next_offset : h->end;
    while (index < b->count) {
        size_t n = 0;
        int64_t numbers[AHEAD];
        bool ok = true, sure = true;
        record r = {0};
        while (n < AHEAD && index < b->count) {
            ok = read_record(data, b->end, at, &r) && is_in_place(b, &r, index, delta);
            if (!ok) break;
            int64_t offset = b->base_offset + r.delta;
            if (offset >= h->position && offset < stop) {
                event *e = event_at(s, s->ahead, n);
                sure = r.value_size > 0 && scan_message(s, data, size, &r, e);
                if (!sure) break;
                ask_for_places(s, e);
                e->offset = offset;
                e->index = 0;
                e->from = r;
                numbers[n++] = index;
            }
            at = r.next;
            delta = r.delta;
            index++;
        }
        ask_for_rows(s, n);
        for (size_t i = 0; i < n; i++) {
            event *e = event_at(s, s->ahead, i);
            if (UNLIKELY(!fold_event(s, data, e, b->append_ms))) {
                return hand_over(s, b, &e->from, e->offset, numbers[i], 0);
            }
        }
        if (!ok) return unread(h, at, index, delta);
        if (!sure) {
            int64_t offset = b->base_offset + r.delta;
            int64_t events = r.value_size > 0 ? scan_bundle(s, data, size, &r) : -1;
            int64_t folded = 0;
            for (; folded < events; folded++) {
                event *e = event_at(s, s->bundle, (size_t)folded);
                e->offset = offset;
                e->index = folded;
                if (!fold_event(s, data, e, b->append_ms)) break;
            }
            if (s->bundle_room > BUNDLE_KEPT) forget_bundle(s);
            if (folded != events) return hand_over(s, b, &r, offset, index, events < 0 ? 0 : folded);
            at = r.next;
            delta = r.delta;
            index++;
        }
        if (UNLIKELY(is_enough(h)) && index < b->count) {
            h->position = b->base_offset + delta + 1 < h->position ? h->position : b->base_offset + delta + 1;
            return ENOUGH;
        }
    }
    return at == b->end ? DONE : unread(h, at, index, delta);
}

/*
 * Fold the batches up to byte `size` from where the fold stands. HANDED_OVER: Python folds the message named
 * in `shared`, and calls again. UNREAD: the record at byte `shared.at` is none, or where none may be; Python
 * decides, sets `index` and `at` to the batch's end, and calls again. CORRUPT: no batch is at `shared.batch`. ENOUGH:
 * too much waits to go on now; the rest is folded by another call, from `position` on.
 */
EXPORT int songlo_fold(state *s, const uint8_t *data, int64_t size) {
    shared *h = &s->shared;
    int64_t before = 0;
    while (h->batch < size && h->position < h->end) {
        batch b;
        if (!read_batch(data, size, h->batch, &b) || b.base_offset < before || b.next_offset > h->limit) return CORRUPT;
        before = b.next_offset;
        if (b.next_offset > h->position) {
            int how = fold_records(s, data, size, &b);
            if (how != DONE) return how;
            h->position = b.next_offset < h->end ? b.next_offset : h->end;
            if (UNLIKELY(is_enough(h)) && h->position < h->end) return ENOUGH;
        }
        h->batch = b.end;
        h->at = h->index = 0;
    }
    return DONE;
}

/*
 * Fold an event that Python has decoded. `numbers` holds one value per field: a text's length in bytes
 * (the texts follow each other in `texts`), a number (of a NUMBER the thousandths); 0 where absent.
 * TOO_EARLY: nothing was done. STRAY: nothing was done, songlo_stray is next.
 */
EXPORT int songlo_add(state *s, int64_t offset, int64_t index, int64_t append_ms, uint64_t id, uint64_t present,
                      const int64_t *numbers, const uint8_t *texts) {
    event *e = event_at(s, s->ahead, 0);
    e->present = present;
    e->id = id;
    e->offset = offset;
    e->index = index;
    for (int32_t i = 0; i < s->n_fields; i++) {
        if (s->fields[i].rule.kind <= LITERAL) {
            e->slots[i] = (slot){.text = texts, .length = numbers[i]};
            texts += numbers[i];
        } else {
            e->slots[i].number = numbers[i];
        }
    }
    make_key_again(s, e, s->alternate);
    int how = apply(s, e, append_ms);
    if (how != LATE) return how;
    int64_t at_ms = e->slots[s->time_field].number;
    keep_late(s, e, at_ms - at_ms % s->pane_ms, append_ms);
    advance(s, at_ms, append_ms);
    return FOLDED;
}
