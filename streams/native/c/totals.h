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

/* Whether a measure takes something of an event that meets its conditions, and what: of the event itself nothing more. */
static inline bool takes(const measure_rule *m, const event *e, int64_t *value) {
    if (m->value == EVENT) return true;
    if (!is_there(e, m->field)) return false;
    int64_t number = e->slots[m->field].number;
    if (LIKELY(m->value == SCALED)) {
        *value = number * m->scale;
        return true;
    }
    if (!is_there(e, m->other)) return false;
    number = e->slots[m->other].number - number;
    *value = number < 0 ? 0 : number;
    return true;
}

static void add_event(state *s, pane *p, row *r, const event *e, int64_t *sizes) {
    r->events++;
    const condition *c = s->conditions;
    const part *part = s->parts;
    for (const measure_rule *m = s->measures, *end = m + s->n_measures; m < end; m++) {
        int64_t value = 0;
        bool counts = true;
        for (const condition *last = c + m->conditions; c < last; c++) counts = counts && meets(c, e);
        if (counts && takes(m, e, &value))
            for (int32_t k = 0; k < m->parts; k++) add_to_part(s, p, &part[k], r->totals + part[k].at, value, sizes);
        part += m->parts;
    }
}
