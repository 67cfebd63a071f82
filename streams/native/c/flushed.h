/* Closed panes, and what is let go of once all that waits has been taken. */
#pragma once

#include "strays.h"

/* A closed pane that waits: its start, and its sorted ids; valid until songlo_flushed. */
EXPORT int64_t songlo_closed(const state *s, int64_t i, int64_t *start_ms, const uint64_t **ids) {
    *start_ms = s->closed[i].start_ms;
    *ids = s->closed[i].ids;
    return (int64_t)s->closed[i].n_ids;
}

/* A row has the number of its flush in 32 bits: when there are no more of them, they begin again, and no row has one of before. */
static void begin_flushes_again(state *s) {
    for (size_t i = 0; i < s->n_panes; i++)
        for (uint64_t n = 0; n < s->panes[i]->n_rows; n++) row_at(s, s->panes[i], n)->flush = 0;
    s->shared.flush = 0;
}

/* After a flush of many that wait there may be few for long. */
static void make_less_room(state *s) {
    waiting_rows *w = &s->waiting;
    if (w->room > WAITING_KEPT && (size_t)w->n < w->room / 4) {
        w->rows = given_back(s, NULL, w->rows, w->room * sizeof *w->rows);
        w->room = 0;
    }
    if (s->closed_room > WAITING_KEPT && (size_t)s->shared.closed < s->closed_room / 4) {
        s->closed = given_back(s, NULL, s->closed, s->closed_room * sizeof *s->closed);
        s->closed_room = 0;
    }
}

static void none_waits(const state *s, waiting_rows *w) {
    w->n = 0;
    memset(w->sizes, 0, sizeof *w->sizes * (size_t)(s->n_dimensions + s->n_histograms));
    memset(w->spelled, 0, sizeof *w->spelled * (size_t)s->n_dimensions);
}

/* Most flushes have none, so nothing of them is kept. */
static void forget_late(state *s) {
    late_events *l = &s->late;
    if (!l->pane) return;
    for (int c = 0; c < LATE_COLUMNS; c++) l->columns[c] = given_back(s, NULL, l->columns[c], l->room * sizeof **l->columns);
    l->event_ids = given_back(s, NULL, l->event_ids, l->event_ids_room);
    l->rows.rows = given_back(s, NULL, l->rows.rows, l->rows.room * sizeof *l->rows.rows);
    l->room = l->rows.room = l->event_ids_room = l->event_ids_size = 0;
    free_pane(s, l->pane);
    l->pane = NULL;
    l->rows.starts = NULL;
    none_waits(s, &l->rows);
    s->shared.kept -= l->kept;
    s->shared.late_waiting = l->kept = 0;
}

/* Nothing waits any more. */
EXPORT void songlo_flushed(state *s) {
    for (int64_t i = 0; i < s->shared.waiting; i++) {
        pane *p = s->waiting.rows[i].pane;
        if (!--p->waiting && p->closed) free_pane(s, p);
    }
    for (int64_t i = 0; i < s->shared.closed; i++) {
        int64_t size = weight((size_t)s->closed[i].n_ids * 8 + 8);
        s->shared.bytes -= size;
        s->shared.kept -= size + (int64_t)sizeof *s->closed;
        free(s->closed[i].ids);
    }
    make_less_room(s);
    forget_strays(s);
    if (s->shared.flush == UINT32_MAX) begin_flushes_again(s);
    s->shared.flush++;
    s->shared.waiting = s->shared.closed = s->shared.closed_ids = s->shared.spread = 0;
    none_waits(s, &s->waiting);
    forget_late(s);
}
