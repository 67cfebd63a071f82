/* Late events: each a row of its own, and what registers it, kept until they are flushed. */
#pragma once

#include "rows.h"

static void open_late(state *s) {
    pane *p = s->late.pane = hold_zeros(s, NULL, 1, sizeof *p);
    p->bytes = weight(sizeof *p);
    take_words(s, p);
}

/* Room for one more in each column. */
static void widen_late(state *s) {
    late_events *l = &s->late;
    size_t before = l->room, room = before ? before * 2 : LEAST_LATE;
    for (int c = 0; c < LATE_COLUMNS; c++) {
        l->room = before;
        l->columns[c] = resized(s, NULL, l->columns[c], &l->room, room, sizeof **l->columns);
    }
    l->rows.starts = l->columns[LATE_START];
}

static void put_event_id(state *s, const slot *id) {
    enum { LONGEST_LENGTH = 5 };
    late_events *l = &s->late;
    size_t size = l->event_ids_size + LONGEST_LENGTH + (size_t)id->length;
    l->event_ids = grown(s, NULL, l->event_ids, &l->event_ids_room, size, LEAST_PACKED, 1);
    uint8_t *to = put_length(l->event_ids + l->event_ids_size, (uint32_t)id->length);
    memcpy(to, id->text, (size_t)id->length);
    l->event_ids_size = (size_t)(to - l->event_ids) + (size_t)id->length;
}

/* Keep an event whose pane has closed. */
__attribute__((noinline)) static void keep_late(state *s, event *e, int64_t start_ms, int64_t append_ms) {
    shared *h = &s->shared;
    late_events *l = &s->late;
    const slot *id = &e->slots[s->id_field];
    if (!l->pane) open_late(s);
    pane *p = l->pane;
    if (UNLIKELY(e->renewals != s->renewals || p->words != s->alternate)) make_key_again(s, e, p->words);
    int64_t before = h->bytes;
    if ((size_t)l->rows.n == l->room) widen_late(s);
    const int64_t entry[LATE_COLUMNS] = {
        [LATE_START] = start_ms,          [LATE_ID] = (int64_t)e->id, [LATE_OFFSET] = e->offset, [LATE_INDEX] = e->index,
        [LATE_OCCURRED] = e->slots[s->time_field].number, [LATE_APPEND] = append_ms};
    for (int c = 0; c < LATE_COLUMNS; c++) l->columns[c][l->rows.n] = entry[c];
    put_event_id(s, id);
    row *r = new_row(s, p, e);
    let_wait(s, &l->rows, p, r, e);
    r->offset = e->offset;
    add_event(s, p, r, e, l->rows.sizes);
    h->late++;
    h->late_waiting = l->rows.n;
    h->spread += h->row_bytes + h->late_bytes + id->length;
    l->kept += h->bytes - before;
    h->kept += h->bytes - before;
}
