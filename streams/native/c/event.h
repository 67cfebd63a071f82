/* Scanning an event: its fields by the stream's table, and the key of its row. */
#pragma once

#include "json.h"

/* A key that was not foreseen: its field, or -1; the position after its colon. */
static text scan_key(const state *s, text p, text end, text limit, int32_t *which) {
    text from;
    int64_t size, points;
    p = scan_string(p, end, limit, &from, &size, &points);
    if (!p) return NULL;
    *which = -1;
    for (int32_t i = 0; i < s->n_fields; i++) {
        const pattern *name = &s->fields[i].name;
        if ((size_t)size + 3 == name->size && !memcmp(from, name->bytes + 1, (size_t)size)) *which = i;
    }
    p = spaces(p, end);
    return p < end && *p == ':' ? p + 1 : NULL;
}

static inline text scan_literal(field *f, text p, text end, text limit, slot *to) {
    int32_t i = f->met;
    if (!stands_at(&f->values[i], p, end, limit)) {
        i = 0;
        while (i < f->n_values && !stands_at(&f->values[i], p, end, limit)) i++;
        if (i == f->n_values) return NULL;
        f->met = i;
    }
    *to = (slot){.text = p + 1, .length = (int64_t)f->values[i].size - 2};
    return p + f->values[i].size;
}

static inline text scan_value(field *f, text p, text end, text limit, slot *to) {
    int64_t points, number;
    double real;
    switch (f->rule.kind) {
    case TEXT:
        p = scan_string(p, end, limit, &to->text, &to->length, &points);
        return p && points >= f->rule.low && points <= f->rule.high ? p : NULL;
    case LITERAL: return scan_literal(f, p, end, limit, to);
    case INTEGER:
        p = scan_integer(p, end, &number);
        break;
    case INSTANT:
        p = p < end && *p == '"' ? scan_moment(p, end, &number) : scan_integer(p, end, &number);
        break;
    case NUMBER:
        p = scan_number(p, end, &real);
        if (!p || !(real >= f->rule.real_low && real <= f->rule.real_high)) return NULL;
        to->number = f->rule.flags & MEASURED ? thousandths(real) : 0;
        return p;
    case FLAG:
        to->number = p < end && *p == 't';
        return to->number ? scan_word(p, end, "true", 4) : scan_word(p, end, "false", 5);
    default: return NULL;
    }
    if (!p || number < f->rule.low || number > f->rule.high) return NULL;
    to->number = number;
    return p;
}

static inline bool is_there(const event *e, int32_t f) { return e->present >> f & 1; }

static inline size_t whole_words(size_t size) { return (size + 7) & ~(size_t)7; }

static inline uint8_t *key_of(const state *s, event *e) { return (uint8_t *)(e->slots + s->n_fields); }

/*
 * The key of the event's row, with its hash, as panes have it that were opened when the state's `alternate` was this.
 * `roomy`: all its texts have LONGEST_WORD bytes to spare behind them.
 */
static inline void make_key(state *s, event *e, uint64_t alternate, bool roomy) {
    uint8_t *key = key_of(s, e), *to = key + s->n_dimensions, near_end[LONGEST_WORD] = {0};
    for (int32_t d = 0; d < s->n_dimensions; d++) {
        int32_t f = s->dimensions[d];
        uint16_t length = is_there(e, f) ? (uint16_t)e->slots[f].length : 0;
        text from = e->slots[f].text;
        if (UNLIKELY(!roomy) && length <= LONGEST_WORD) from = length ? memcpy(near_end, from, length) : near_end;
        key[d] = number_of(s, words_of(s, alternate, d), from, length);
        if (LIKELY(key[d] != SPELLED)) continue;
        memcpy(to, &length, 2);
        memcpy(to + 2, from, length);
        to += 2 + length;
    }
    memset(to, 0, 16);
    e->key = key;
    e->key_size = (uint32_t)(to - key);
    e->tag = key_tag(key, e->key_size, s->seed);
    e->guess = NULL;
    e->renewals = s->renewals;
}

/* Off the hot path. */
__attribute__((noinline)) static void make_key_again(state *s, event *e, uint64_t alternate) { make_key(s, e, alternate, false); }

/* One object from its brace: a valid event, and the position after it. */
static text scan_event(state *s, text p, text end, text limit, event *e) {
    if (p >= end || *p != '{') return NULL;
    p = spaces(p + 1, end);
    uint64_t seen = 0, present = 0;
    int32_t last = s->n_fields, which;
    for (;;) {
        which = s->after[last];
        field *f = &s->fields[which];
        if (LIKELY(stands_at(&f->name, p, end, limit))) {
            p += f->name.size;
        } else {
            p = scan_key(s, p, end, limit, &which);
            if (!p) return NULL;
        }
        p = spaces(p, end);
        if (which < 0) {
            p = scan_unknown(p, end, limit);
        } else {
            uint64_t bit = 1ull << which;
            if (seen & bit) return NULL;
            seen |= bit;
            s->after[last] = which;
            last = which;
            f = &s->fields[which];
            if (UNLIKELY(p < end && *p == 'n' && f->rule.flags & NULLABLE)) {
                p = scan_word(p, end, "null", 4);
            } else {
                present |= bit;
                p = scan_value(f, p, end, limit, &e->slots[which]);
            }
        }
        if (!p) return NULL;
        p = spaces(p, end);
        if (p >= end) return NULL;
        if (*p == '}') break;
        if (*p != ',') return NULL;
        p = spaces(p + 1, end);
    }
    if ((seen & s->required) != s->required) return NULL;
    for (uint64_t missing = s->defaults & ~seen; missing; missing &= missing - 1) {
        int i = __builtin_ctzll(missing);
        const field *f = &s->fields[i];
        present |= 1ull << i;
        if (f->default_text) e->slots[i] = (slot){.text = f->default_text, .length = (int64_t)f->default_size};
        else e->slots[i].number = f->rule.default_number;
    }
    e->present = present;
    for (int32_t i = 0; i < s->n_orders; i++) {
        int32_t a = s->orders[2 * i], b = s->orders[2 * i + 1];
        if (present >> a & present >> b & 1 && e->slots[a].number > e->slots[b].number) return NULL;
    }
    const slot *id = &e->slots[s->id_field];
    if (id->length > 240) return NULL;
    e->id = s->dedupe ? id_hash(id->text, (size_t)id->length) : 1;
    if (LIKELY(limit - p > LONGEST_WORD)) make_key(s, e, s->alternate, true);
    else make_key_again(s, e, s->alternate);
    return p + 1;
}
