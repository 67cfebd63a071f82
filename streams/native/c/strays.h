/* Strays: events that belong to another partition, kept as they came until they are sent there. */
#pragma once

#include "panes.h"

/* streams/core/strays.py has the same; a longer event is Python's, which writes it anew. */
enum { MESSAGE_BYTES = 64 * 1024, MESSAGE_EVENTS = 1000, STRAY_BYTES = 16 * 1024, STRAYS_KEPT = 1024 };

/* Keep a stray by its bytes; its times count as those of any event that is valid. */
static void add_stray(state *s, const uint8_t *bytes, int64_t size, int64_t home, int64_t at_ms, int64_t append_ms) {
    shared *h = &s->shared;
    s->strays = grown(s, NULL, s->strays, &s->strays_room, (size_t)h->straying + 1, 16, sizeof *s->strays);
    s->stray_text = grown(s, NULL, s->stray_text, &s->stray_text_room, (size_t)(h->stray_bytes + size), 4096, 1);
    memcpy(s->stray_text + h->stray_bytes, bytes, (size_t)size);
    s->strays[h->straying++] = (stray){size, home};
    h->stray_bytes += size;
    h->strays++;
    h->kept += size + (int64_t)sizeof *s->strays;
    advance(s, at_ms, append_ms);
}

/* The stray that Python has decoded, of which songlo_add has said STRAY. */
EXPORT void songlo_stray(state *s, const uint8_t *bytes, int64_t size, int64_t at_ms, int64_t append_ms) {
    add_stray(s, bytes, size, s->shared.home, at_ms, append_ms);
}

/* Where each stray's bytes begin, in the order of their homes; of one home in the order of the log. The caller frees both. */
static int64_t *by_home(const state *s, int64_t **starts) {
    const shared *h = &s->shared;
    size_t n = (size_t)h->straying;
    int64_t *order = must(malloc(n * sizeof *order)), *ends = must(calloc((size_t)h->homes + 1, sizeof *ends));
    *starts = must(malloc(n * sizeof **starts));
    for (size_t i = 0; i < n; i++) ends[s->strays[i].home + 1]++;
    for (int64_t home = 0; home < h->homes; home++) ends[home + 1] += ends[home];
    for (int64_t i = 0, at = 0; i < h->straying; at += s->strays[i++].size) {
        order[ends[s->strays[i].home]++] = i;
        (*starts)[i] = at;
    }
    free(ends);
    return order;
}

/*
 * Write the strays as messages, JSON arrays of one home each, one behind the other: `to` has room for their bytes and two more for
 * each, `homes`, `ends` and `events` for as many messages as there are strays. How many messages there are.
 */
EXPORT int64_t songlo_strays(const state *s, uint8_t *to, int64_t *homes, int64_t *ends, int64_t *events) {
    const shared *h = &s->shared;
    int64_t most = s->bundle_events < MESSAGE_EVENTS ? s->bundle_events : MESSAGE_EVENTS, n = 0, size = 0, *starts;
    if (!h->straying) return 0;
    int64_t *order = by_home(s, &starts);
    uint8_t *at = to;
    for (int64_t i = 0; i < h->straying; i++) {
        const stray *one = &s->strays[order[i]];
        bool more = n && homes[n - 1] == one->home && size + one->size <= MESSAGE_BYTES && events[n - 1] < most;
        if (more) {
            at[-1] = ',';
        } else {
            homes[n] = one->home;
            events[n++] = size = 0;
            *at++ = '[';
        }
        memcpy(at, s->stray_text + starts[order[i]], (size_t)one->size);
        at += one->size;
        *at++ = ']';
        size += one->size + 1;
        events[n - 1]++;
        ends[n - 1] = at - to;
    }
    free(order);
    free(starts);
    return n;
}

/* None waits any more. */
static void forget_strays(state *s) {
    shared *h = &s->shared;
    h->kept -= h->stray_bytes + h->straying * (int64_t)sizeof *s->strays;
    h->straying = h->stray_bytes = 0;
    if (s->strays_room > STRAYS_KEPT) {
        s->strays = given_back(s, NULL, s->strays, s->strays_room * sizeof *s->strays);
        s->stray_text = given_back(s, NULL, s->stray_text, s->stray_text_room);
        s->strays_room = s->stray_text_room = 0;
    }
}
