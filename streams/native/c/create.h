/* Making a state from the stream's tables, and freeing it. */
#pragma once

#include "output.h"

/* The text between quotes, and what follows them. */
static pattern quoted(const char *chars, size_t size, const char *then) {
    pattern p = {.size = size + 2 + strlen(then)};
    p.bytes = must(malloc(p.size + 1));
    snprintf((char *)p.bytes, p.size + 1, "\"%.*s\"%s", (int)size, chars, then);
    if (p.size > sizeof p.word) return p;
    p.words = (p.size + 7) / 8;
    memcpy(p.word, p.bytes, p.size);
    memset(p.mask, 0xff, p.size);
    return p;
}

static void take_field(field *to, const field_rule *from) {
    to->rule = *from;
    to->name = quoted(from->name, strlen(from->name), ":");
    if (from->default_text) {
        to->default_size = strlen(from->default_text);
        to->default_text = must(calloc(1, to->default_size + LONGEST_WORD)); /* for make_key */
        memcpy(to->default_text, from->default_text, to->default_size);
    }
    for (const char *v = from->values, *stop; v && (stop = strchr(v, '\n')); v = stop + 1) {
        size_t n = (size_t)to->n_values++;
        to->values = must(realloc(to->values, (n + 1) * sizeof *to->values));
        to->values[n] = quoted(v, (size_t)(stop - v), "");
    }
    to->rule.name = to->rule.values = to->rule.default_text = NULL;
}

static size_t widest(const field *f) {
    size_t size = f->rule.kind == TEXT ? (size_t)f->rule.high * 4 : 0;
    for (int32_t i = 0; i < f->n_values; i++)
        if (f->values[i].size > size) size = f->values[i].size;
    return size > f->default_size ? size : f->default_size;
}

static void take_bounds(state *s, const stream_rule *rule) {
    s->bounds = copied(rule->bounds, sizeof *s->bounds * (size_t)rule->n_bounds);
    s->representatives = must(calloc((size_t)rule->n_bounds + 1, sizeof *s->representatives));
    memcpy(s->representatives + 1, rule->representatives, sizeof *s->representatives * (size_t)rule->n_bounds);
    s->n_bounds = rule->n_bounds;
    int32_t b = 0;
    for (unsigned i = 0; i < 64 * SLICES; i++) {
        unsigned power = i / SLICES, part = i % SLICES; /* the least value of the slice */
        u128 least = ((u128)1 << power) + (((u128)part << power) / SLICES);
        while (b < s->n_bounds - 1 && (power == 0 ? 0 : (u128)s->bounds[b] < least)) b++;
        s->slices[i] = (uint16_t)b;
    }
}

/* Each column of a flush as narrow as it can be; what songlo_rows meets makes them wider. */
static void take_widths(state *s) {
    s->n_columns = 3 + s->n_dimensions;
    for (int32_t m = 0; m < s->n_measures; m++) s->n_columns += s->measures[m].kind <= SUM ? 1 : DISTRIBUTION_COLUMNS;
    s->widths = must(malloc((size_t)s->n_columns));
    memset(s->widths, 1, (size_t)s->n_columns);
    s->widths[0] = 4;
    for (int32_t m = 0, c = 3 + s->n_dimensions; m < s->n_measures; m++) {
        if (s->measures[m].kind > SUM) s->widths[c + ENDS_COLUMN] = 8;
        c += s->measures[m].kind <= SUM ? 1 : DISTRIBUTION_COLUMNS;
    }
}

EXPORT state *songlo_new(const stream_rule *rule) {
    state *s = must(calloc(1, sizeof *s));
    s->n_fields = rule->n_fields;
    s->n_conditions = rule->n_conditions;
    s->n_measures = rule->n_measures;
    s->n_dimensions = rule->n_dimensions;
    s->n_orders = rule->n_orders;
    s->id_field = rule->id_field;
    s->time_field = rule->time_field;
    s->dedupe = rule->dedupe;
    s->pane_ms = rule->pane_ms;
    s->disorder_ms = rule->disorder_ms;
    s->skew_ms = rule->skew_ms;
    s->seed = rule->seed | 1;
    s->next_end_ms = INT64_MAX;
    s->flush = 1;
    s->likely_ids = LEAST_IDS;
    s->likely_index = LEAST_INDEX;
    s->fields = must(calloc((size_t)s->n_fields, sizeof *s->fields));
    s->after = must(calloc((size_t)s->n_fields + 1, sizeof *s->after));
    for (int32_t i = 0; i < s->n_fields; i++) {
        take_field(&s->fields[i], &rule->fields[i]);
        if (rule->fields[i].flags & REQUIRED) s->required |= 1ull << i;
        if (rule->fields[i].flags & DEFAULT) s->defaults |= 1ull << i;
        s->after[i] = i + 1 < s->n_fields ? i + 1 : 0;
    }
    s->conditions = must(calloc((size_t)s->n_conditions + 1, sizeof *s->conditions));
    for (int32_t i = 0; i < s->n_conditions; i++) {
        const condition_rule *c = &rule->conditions[i];
        size_t size = c->text ? strlen(c->text) : 0;
        s->conditions[i] = (condition){c->text ? copied(c->text, size) : NULL, size, c->kind, c->field, c->other};
    }
    s->measures = copied(rule->measures, sizeof *s->measures * (size_t)s->n_measures);
    s->dimensions = copied(rule->dimensions, sizeof *s->dimensions * (size_t)s->n_dimensions);
    s->words = must(calloc((size_t)s->n_dimensions, sizeof *s->words));
    for (int32_t d = 0; d < s->n_dimensions; d++) take_no_text(&s->words[d]);
    s->orders = copied(rule->orders, sizeof *s->orders * 2 * (size_t)s->n_orders);
    take_bounds(s, rule);
    s->row_size = sizeof(row);
    for (int32_t i = 0; i < s->n_measures; i++)
        s->row_size += 8 * (size_t)(s->measures[i].kind == COUNT ? 1 : s->measures[i].kind == SUM ? 2 : D_WORDS);
    s->key_room = 16;
    for (int32_t i = 0; i < s->n_dimensions; i++) s->key_room += 3 + widest(&s->fields[s->dimensions[i]]);
    s->event_size = (sizeof(event) + sizeof(slot) * (size_t)s->n_fields + s->key_room + 15) & ~(size_t)15;
    s->ahead = must(calloc(AHEAD, s->event_size));
    s->sizes = must(calloc((size_t)(s->n_dimensions + s->n_measures), sizeof *s->sizes));
    s->spelled = must(calloc((size_t)s->n_dimensions, sizeof *s->spelled));
    s->by_bucket = must(calloc((size_t)s->n_bounds + 1, sizeof *s->by_bucket));
    s->met = must(calloc((size_t)s->n_bounds / 64 + 1, sizeof *s->met));
    take_widths(s);
    return s;
}

EXPORT void songlo_free(state *s) {
    if (!s) return;
    songlo_flushed(s);
    for (size_t i = 0; i < s->n_panes; i++) free_pane(s, s->panes[i]);
    for (int32_t i = 0; i < s->n_fields; i++) {
        field *f = &s->fields[i];
        for (int32_t v = 0; v < f->n_values; v++) free(f->values[v].bytes);
        free(f->values);
        free(f->name.bytes);
        free(f->default_text);
    }
    for (int32_t i = 0; i < s->n_conditions; i++) free(s->conditions[i].text);
    for (int32_t d = 0; d < s->n_dimensions; d++) free(s->words[d].packed);
    void *all[] = {s->fields,  s->conditions, s->measures, s->dimensions, s->orders, s->after,   s->bounds, s->representatives,
                   s->ahead,      s->bundle,   s->panes,      s->waiting, s->closed, s->sizes, s->spelled, s->words, s->widths, s->by_bucket,
                   s->met,        s};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* The 64-bit XXH3 of up to 240 bytes; for tests. */
EXPORT uint64_t songlo_hash(const uint8_t *bytes, int64_t size) { return xxh3(bytes, (size_t)size); }
