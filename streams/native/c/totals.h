/* Adding an event to the totals of its row. */
#pragma once

#include "parts.h"

static bool meets(const condition *c, const event *e) {
    if (!is_there(e, c->field)) return false;
    const slot *a = &e->slots[c->field];
    switch (c->kind) {
    case HAS: return true;
    case IS: return (size_t)a->length == c->size && !memcmp(a->text, c->text, c->size);
    default: return is_there(e, c->other) && (a->number > e->slots[c->other].number) == (c->kind == AFTER);
    }
}

/* Ask ahead for the histograms of a row that is in the cache by now. */
static inline void ask_for_histograms(const state *s, const row *r) {
    for (int32_t h = 0; h < s->n_histograms; h++) {
        const uint64_t *held = r->totals + s->histograms[h];
        if (has_table(held)) __builtin_prefetch(table_of(held), 1);
    }
}

/* Whether a measure takes something of an event, whose conditions it meets, and what; of the event itself: nothing else. */
static inline bool takes(const measure_rule *m, const event *e, int64_t *value) {
    if (m->value == EVENT) return true;
    if (!is_there(e, m->field)) return false;
    *value = e->slots[m->field].number * m->scale;
    if (m->value == SCALED) return true;
    if (!is_there(e, m->other)) return false;
    *value = e->slots[m->other].number - e->slots[m->field].number;
    if (*value < 0) *value = 0;
    return true;
}

static void add_event(state *s, pane *p, row *r, const event *e) {
    r->events++;
    const condition *c = s->conditions;
    const part *part = s->parts;
    int64_t *size = s->sizes + s->n_dimensions;
    for (int32_t i = 0; i < s->n_measures; i++) {
        const measure_rule *m = &s->measures[i];
        int64_t value = 0;
        bool counts = true;
        for (int32_t k = 0; k < m->conditions; k++) counts = counts && meets(&c[k], e);
        c += m->conditions;
        counts = counts && takes(m, e, &value);
        for (int32_t k = 0; k < m->parts; k++, part++) {
            if (counts) add_to_part(s, p, part->kind, r->totals + part->at, value, size);
            size += part->kind == HISTOGRAM;
        }
    }
}
