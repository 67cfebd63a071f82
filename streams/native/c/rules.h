/* A stream's tables, as streams/native/tables.py fills them; and what all of this needs of C. */
#pragma once

#include <float.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#if !defined(__SIZEOF_INT128__)
#error "needs a 64-bit compiler with __int128"
#endif
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "written for little-endian machines"
#endif
#if FLT_EVAL_METHOD != 0
#error "needs arithmetic in double precision, as Python's"
#endif
typedef unsigned __int128 u128;
typedef __int128 i128;

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define EXPORT __attribute__((visibility("default")))

enum kind { TEXT, LITERAL, INTEGER, NUMBER, INSTANT, FLAG, OPAQUE };
enum { REQUIRED = 1, NULLABLE = 2, DEFAULT = 4, MEASURED = 8 };
enum { EVENT, SCALED, ELAPSED };
enum { IS, HAS, NOT_AFTER, AFTER };

/* Bounds are inclusive. A text's bounds are its length in code points. */
typedef struct {
    const char *name;
    const char *values;       /* LITERAL: the values, each followed by '\n' */
    const char *default_text; /* DEFAULT of TEXT and LITERAL */
    int64_t default_number;   /* DEFAULT of the others; of a NUMBER in thousandths */
    int64_t low, high;
    double real_low, real_high;
    int32_t kind, flags;
} field_rule;

typedef struct {
    const char *text; /* IS: the value wanted */
    int32_t kind, field, other;
} condition_rule;

typedef struct {
    int64_t scale; /* SCALED: what the field's number is multiplied by */
    int32_t value, field, other;
    int32_t conditions, parts; /* how many of the stream's belong to this measure, in order */
} measure_rule;

typedef struct {
    const field_rule *fields;
    const condition_rule *conditions;
    const measure_rule *measures;
    const int32_t *parts; /* the kind of each; see parts.h */
    const int32_t *dimensions;
    const int32_t *orders;         /* pairs of fields: the first must not be after the second */
    const int64_t *bounds;         /* histogram: inclusive upper bounds */
    const int64_t *representatives;
    int64_t pane_ms, disorder_ms, skew_ms, bundle_events;
    uint64_t seed;
    int32_t n_fields, n_conditions, n_measures, n_parts, n_dimensions, n_orders, n_bounds;
    int32_t id_field, time_field, key_field, dedupe;
} stream_rule;
