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
    if (s->waiting_room > WAITING_KEPT && (size_t)s->shared.waiting < s->waiting_room / 4) {
        s->waiting = given_back(s, NULL, s->waiting, s->waiting_room * sizeof *s->waiting);
        s->waiting_room = 0;
    }
    if (s->closed_room > WAITING_KEPT && (size_t)s->shared.closed < s->closed_room / 4) {
        s->closed = given_back(s, NULL, s->closed, s->closed_room * sizeof *s->closed);
        s->closed_room = 0;
    }
}

/* Nothing waits any more. */
EXPORT void songlo_flushed(state *s) {
    for (int64_t i = 0; i < s->shared.waiting; i++) {
        pane *p = s->waiting[i].pane;
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
    memset(s->sizes, 0, sizeof *s->sizes * (size_t)(s->n_dimensions + s->n_histograms));
    memset(s->spelled, 0, sizeof *s->spelled * (size_t)s->n_dimensions);
}
