/* What Python and this code must mean alike: streams/native/layout.py compares it, by name, when this is loaded. */
#pragma once

#include <stddef.h>

#include "batches.h"

#if !defined(SONGLO_VERSION)
#error "compile with streams/native/build.py: it says of which version this is"
#endif

/* Floating point, signed and unsigned integers, pointers. */
#define KIND_OF(value) _Generic((value), double: 'f', int32_t: 'i', int64_t: 'i', uint32_t: 'u', uint64_t: 'u', default: 'p')
#define SIZE(of) {.name = #of, .kind = 's', .size = sizeof(of)}
#define FIELD(of, field)                                                                                \
    {.name = #of "." #field,                                                                            \
     .kind = KIND_OF(((of *)0)->field),                                                                 \
     .size = sizeof(((of *)0)->field),                                                                  \
     .at = offsetof(of, field)}
#define VALUE(constant) {.name = #constant, .kind = 'v', .at = constant}
#define PART_VALUE(part, ...) VALUE(part),

typedef struct {
    const char *name;
    char kind;
    size_t size;
    int64_t at; /* of a field its first byte; of a constant its value */
} agreed;

/* A line is missing here? Loading says which one. */
static const agreed AGREED[] = {
    SIZE(shared), FIELD(shared, position), FIELD(shared, end), FIELD(shared, limit), FIELD(shared, enough),
    FIELD(shared, row_bytes), FIELD(shared, late_bytes), FIELD(shared, replaying),
    FIELD(shared, watermark_ms),
    FIELD(shared, max_event_ms), FIELD(shared, max_append_ms), FIELD(shared, folded), FIELD(shared, duplicates),
    FIELD(shared, late), FIELD(shared, waiting), FIELD(shared, late_waiting), FIELD(shared, closed), FIELD(shared, closed_ids), FIELD(shared, panes), FIELD(shared, batch),
    FIELD(shared, at), FIELD(shared, index), FIELD(shared, delta), FIELD(shared, offset), FIELD(shared, append_ms), FIELD(shared, key_at),
    FIELD(shared, key_size), FIELD(shared, value_at), FIELD(shared, value_size), FIELD(shared, item), FIELD(shared, bytes),
    FIELD(shared, kept), FIELD(shared, spread), FIELD(shared, flush),
    FIELD(shared, homes), FIELD(shared, partition), FIELD(shared, forward), FIELD(shared, strays), FIELD(shared, away),
    FIELD(shared, straying), FIELD(shared, stray_bytes), FIELD(shared, home),

    SIZE(field_rule), FIELD(field_rule, name), FIELD(field_rule, values), FIELD(field_rule, default_text),
    FIELD(field_rule, default_number), FIELD(field_rule, low), FIELD(field_rule, high), FIELD(field_rule, real_low),
    FIELD(field_rule, real_high), FIELD(field_rule, kind), FIELD(field_rule, flags),

    SIZE(condition_rule), FIELD(condition_rule, text), FIELD(condition_rule, kind), FIELD(condition_rule, field),
    FIELD(condition_rule, other),

    SIZE(measure_rule), FIELD(measure_rule, scale), FIELD(measure_rule, value), FIELD(measure_rule, field),
    FIELD(measure_rule, other), FIELD(measure_rule, conditions), FIELD(measure_rule, parts),

    SIZE(stream_rule), FIELD(stream_rule, fields), FIELD(stream_rule, conditions), FIELD(stream_rule, measures),
    FIELD(stream_rule, parts), FIELD(stream_rule, dimensions), FIELD(stream_rule, orders), FIELD(stream_rule, bounds),
    FIELD(stream_rule, representatives), FIELD(stream_rule, pane_ms), FIELD(stream_rule, disorder_ms),
    FIELD(stream_rule, skew_ms), FIELD(stream_rule, bundle_events), FIELD(stream_rule, seed), FIELD(stream_rule, n_fields), FIELD(stream_rule, n_conditions),
    FIELD(stream_rule, n_measures), FIELD(stream_rule, n_parts), FIELD(stream_rule, n_dimensions), FIELD(stream_rule, n_orders),
    FIELD(stream_rule, n_bounds), FIELD(stream_rule, id_field), FIELD(stream_rule, time_field), FIELD(stream_rule, key_field), FIELD(stream_rule, dedupe),

    VALUE(TEXT), VALUE(LITERAL), VALUE(INTEGER), VALUE(NUMBER), VALUE(INSTANT), VALUE(FLAG), VALUE(OPAQUE),
    VALUE(REQUIRED), VALUE(NULLABLE), VALUE(DEFAULT), VALUE(MEASURED),
    VALUE(EVENT), VALUE(SCALED), VALUE(ELAPSED),
    PARTS(PART_VALUE)
    VALUE(IS), VALUE(HAS), VALUE(NOT_AFTER), VALUE(AFTER),
    VALUE(DONE), VALUE(HANDED_OVER), VALUE(UNREAD), VALUE(CORRUPT), VALUE(ENOUGH),
    VALUE(LATE_START), VALUE(LATE_ID), VALUE(LATE_OFFSET), VALUE(LATE_INDEX), VALUE(LATE_OCCURRED), VALUE(LATE_APPEND),
    VALUE(LATE_COLUMNS),
    VALUE(FOLDED), VALUE(LATE), VALUE(TOO_EARLY), VALUE(STRAY),
    VALUE(MESSAGE_BYTES), VALUE(MESSAGE_EVENTS), VALUE(STRAY_BYTES),
    VALUE(OFFSET_BITS),
};

/* The version of the source, then all of AGREED, a line each: name, kind, size, place or value. The bytes that all of it needs. */
EXPORT int64_t songlo_layout(char *to, int64_t room) {
    int64_t size = snprintf(to, (size_t)room, "%s\n", SONGLO_VERSION);
    for (size_t i = 0; i < sizeof AGREED / sizeof *AGREED; i++) {
        const agreed *a = &AGREED[i];
        int64_t left = size < room ? room - size : 0;
        size += snprintf(left ? to + size : NULL, (size_t)left, "%s %c %zu %lld\n", a->name, a->kind, a->size, (long long)a->at);
    }
    return size;
}
