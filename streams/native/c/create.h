/* Making a state from the stream's tables, and freeing it. */
#pragma once

#include "flushed.h"

/* The text between quotes, and what follows them. */
static pattern quoted(state *s, const char *chars, size_t size, const char *then) {
    pattern p = {.size = size + 2 + strlen(then)};
    p.bytes = hold(s, NULL, p.size + 1);
    snprintf((char *)p.bytes, p.size + 1, "\"%.*s\"%s", (int)size, chars, then);
    if (p.size > sizeof p.word) return p;
    p.words = (p.size + 7) / 8;
    memcpy(p.word, p.bytes, p.size);
    memset(p.mask, 0xff, p.size);
    return p;
}

static void take_field(state *s, field *to, const field_rule *from) {
    to->rule = *from;
    to->name = quoted(s, from->name, strlen(from->name), ":");
    if (from->default_text) {
        to->default_size = strlen(from->default_text);
        to->default_text = hold_zeros(s, NULL, to->default_size + LONGEST_WORD, 1); /* for make_key */
        memcpy(to->default_text, from->default_text, to->default_size);
    }
    size_t room = 0;
    for (const char *v = from->values, *stop; v && (stop = strchr(v, '\n')); v = stop + 1) {
        size_t n = (size_t)to->n_values++;
        to->values = resized(s, NULL, to->values, &room, n + 1, sizeof *to->values);
        to->values[n] = quoted(s, v, (size_t)(stop - v), "");
    }
    to->rule.name = to->rule.values = to->rule.default_text = NULL;
}

/* The most bytes of a text; of a LITERAL also those of its values that are not in the table. */
static size_t widest(const field *f) {
    size_t size = (size_t)f->rule.high * 4;
    return size > f->default_size ? size : f->default_size;
}

static void take_bounds(state *s, const stream_rule *rule) {
    s->bounds = hold_copy(s, rule->bounds, sizeof *s->bounds * (size_t)rule->n_bounds);
    s->representatives = hold_zeros(s, NULL, (size_t)rule->n_bounds + 1, sizeof *s->representatives);
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

/* What follows of the parts: where they stand in a row, and a row of no event. */
static void take_parts(state *s, const stream_rule *rule) {
    s->n_parts = rule->n_parts;
    s->parts = hold_zeros(s, NULL, (size_t)s->n_parts + 1, sizeof *s->parts);
    s->histograms = hold_zeros(s, NULL, (size_t)s->n_parts + 1, sizeof *s->histograms);
    int32_t words = 0;
    for (int32_t i = 0; i < s->n_parts; i++) {
        s->parts[i] = (part){rule->parts[i], words, s->n_dimensions + s->n_histograms};
        if (rule->parts[i] == HISTOGRAM) s->histograms[s->n_histograms++] = words;
        words += PART_FORMS[rule->parts[i]].words;
    }
    s->row_size = sizeof(row) + 8 * (size_t)words;
    s->empty = hold_zeros(s, NULL, 1, s->row_size);
    for (int32_t i = 0; i < s->n_parts; i++) s->empty->totals[s->parts[i].at] = PART_FORMS[s->parts[i].kind].nothing;
}

/* Each column of a flush as narrow as it can be; what songlo_rows meets makes them wider. */
static void take_widths(state *s) {
    s->n_columns = 3 + s->n_dimensions;
    for (int32_t i = 0; i < s->n_parts; i++) s->n_columns += PART_FORMS[s->parts[i].kind].columns;
    s->widths = hold(s, NULL, (size_t)s->n_columns);
    memset(s->widths, 1, (size_t)s->n_columns);
    s->widths[0] = 4;
    for (int32_t i = 0, c = 3 + s->n_dimensions; i < s->n_parts; i++) {
        s->widths[c] = PART_FORMS[s->parts[i].kind].width;
        c += PART_FORMS[s->parts[i].kind].columns;
    }
}

static void take_sizes(state *s, waiting_rows *w) {
    w->sizes = hold_zeros(s, NULL, (size_t)(s->n_dimensions + s->n_histograms), sizeof *w->sizes);
    w->spelled = hold_zeros(s, NULL, (size_t)s->n_dimensions, sizeof *w->spelled);
}

EXPORT state *songlo_new(const stream_rule *rule) {
    state *s = must(calloc(1, sizeof *s));
    s->shared.bytes = weight(sizeof *s);
    s->n_fields = rule->n_fields;
    s->n_conditions = rule->n_conditions;
    s->n_measures = rule->n_measures;
    s->n_dimensions = rule->n_dimensions;
    s->n_orders = rule->n_orders;
    s->id_field = rule->id_field;
    s->time_field = rule->time_field;
    s->key_field = rule->key_field;
    s->dedupe = rule->dedupe;
    s->pane_ms = rule->pane_ms;
    s->disorder_ms = rule->disorder_ms;
    s->skew_ms = rule->skew_ms;
    s->bundle_events = rule->bundle_events;
    s->seed = rule->seed & ~1ull; /* even: with it the primes of hashes remain odd */
    s->shared.flush = 1;
    s->likely_ids = LEAST_IDS;
    s->likely_index = LEAST_INDEX;
    s->fields = hold_zeros(s, NULL, (size_t)s->n_fields, sizeof *s->fields);
    s->after = hold_zeros(s, NULL, (size_t)s->n_fields + 1, sizeof *s->after);
    for (int32_t i = 0; i < s->n_fields; i++) {
        take_field(s, &s->fields[i], &rule->fields[i]);
        if (rule->fields[i].flags & REQUIRED) s->required |= 1ull << i;
        if (rule->fields[i].flags & DEFAULT) s->defaults |= 1ull << i;
        s->after[i] = i + 1 < s->n_fields ? i + 1 : 0;
    }
    s->conditions = hold_zeros(s, NULL, (size_t)s->n_conditions + 1, sizeof *s->conditions);
    for (int32_t i = 0; i < s->n_conditions; i++) {
        const condition_rule *c = &rule->conditions[i];
        size_t size = c->text ? strlen(c->text) : 0;
        s->conditions[i] = (condition){c->text ? hold_copy(s, c->text, size) : NULL, size, c->kind, c->field, c->other};
    }
    s->measures = hold_copy(s, rule->measures, sizeof *s->measures * (size_t)s->n_measures);
    s->dimensions = hold_copy(s, rule->dimensions, sizeof *s->dimensions * (size_t)s->n_dimensions);
    s->words = hold_zeros(s, NULL, (size_t)s->n_dimensions, sizeof *s->words);
    s->older = hold_zeros(s, NULL, (size_t)s->n_dimensions, sizeof *s->older);
    for (int32_t d = 0; d < s->n_dimensions; d++) s->words[d] = new_words(s, d);
    s->orders = hold_copy(s, rule->orders, sizeof *s->orders * 2 * (size_t)s->n_orders);
    take_bounds(s, rule);
    take_parts(s, rule);
    s->key_room = 16;
    for (int32_t i = 0; i < s->n_dimensions; i++) s->key_room += 3 + widest(&s->fields[s->dimensions[i]]);
    s->event_size = (sizeof(event) + sizeof(slot) * (size_t)s->n_fields + s->key_room + 15) & ~(size_t)15;
    s->ahead = hold_zeros(s, NULL, AHEAD, s->event_size);
    take_sizes(s, &s->waiting);
    take_sizes(s, &s->late.rows);
    s->by_bucket = hold_zeros(s, NULL, (size_t)s->n_bounds + 1, sizeof *s->by_bucket);
    s->met = hold_zeros(s, NULL, (size_t)s->n_bounds / 64 + 1, sizeof *s->met);
    take_widths(s);
    make_room_for_panes(s, LEAST_PANES);
    return s;
}

EXPORT void songlo_free(state *s) {
    if (!s) return;
    songlo_flushed(s);
    while (s->n_panes) free_pane(s, s->panes[--s->n_panes]);
    for (int32_t i = 0; i < s->n_fields; i++) {
        field *f = &s->fields[i];
        for (int32_t v = 0; v < f->n_values; v++) free(f->values[v].bytes);
        free(f->values);
        free(f->name.bytes);
        free(f->default_text);
    }
    for (int32_t i = 0; i < s->n_conditions; i++) free(s->conditions[i].text);
    for (int32_t d = 0; d < s->n_dimensions; d++) {
        free_words(s, s->words[d]);
        free_words(s, s->older[d]);
    }
    for (int late = 0; late < 2; late++) {
        waiting_rows *w = late ? &s->late.rows : &s->waiting;
        free(w->rows);
        free(w->sizes);
        free(w->spelled);
    }
    void *all[] = {s->fields,  s->conditions, s->measures, s->parts,  s->histograms, s->empty,     s->dimensions, s->orders,
                   s->after,   s->bounds,     s->ahead,    s->bundle, s->panes,      s->places,    s->closed,     s->words,
                   s->older,   s->widths,     s->by_bucket, s->met,   s->strays,     s->stray_text, s->representatives, s};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* The 64-bit XXH3 of up to 240 bytes; for tests. */
EXPORT uint64_t songlo_hash(const uint8_t *bytes, int64_t size) { return xxh3(bytes, (size_t)size); }
