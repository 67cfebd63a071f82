/* What everything here is about: an event, a row, a pane, the state of a partition. */
#pragma once

#include "rules.h"

/* What Python reads and sets without a call; the first part of the state. */
typedef struct {
    int64_t position, end;   /* fold offsets from here up to, not including, the end */
    int64_t limit;           /* the offset behind the last batch */
    int64_t enough;          /* bytes held, and row_bytes of each waiting row, above which the fold stops */
    int64_t row_bytes, late_bytes; /* what a row, and a late event beside its row, weighs once it is captured */
    int64_t replaying;       /* the watermark stands still, and late events are stored already */
    int64_t watermark_ms, max_event_ms, max_append_ms;
    int64_t folded, duplicates, late;
    int64_t waiting, late_waiting, closed, closed_ids, panes;
    int64_t batch, at, index; /* where the fold stands: the batch's first byte, then byte (0: its first record), record */
    int64_t delta;            /* the offset of the record before that one, from the batch's on; -1: there is none */
    int64_t offset, append_ms, key_at, key_size, value_at, value_size, item; /* the message handed over, from this item of a bundle on */
    int64_t bytes, kept;      /* memory held; of it what closed panes and late events hold until they are flushed */
    int64_t spread;           /* what of waiting rows has no fixed size, when it is packed: texts, and buckets; and all of late events */
    int64_t flush;            /* the number of the one to come, from 1 to UINT32_MAX */
    int64_t homes, partition, forward; /* homes are reckoned by so many (0: not at all), from here; strays are kept to be sent */
    int64_t strays, away;     /* found so far; counted although they are at home elsewhere */
    int64_t straying, stray_bytes, home; /* strays that wait, and their bytes; the home of an event that is STRAY */
} shared;

typedef struct {
    union {
        const uint8_t *text;
        int64_t number;
    };
    int64_t length; /* of text, in bytes */
} slot;

/* Where a message stands in the data; sizes of -1 are nulls. */
typedef struct {
    int64_t delta, key_at, key_size, value_at, value_size, next;
} record;

/*
 * A scanned event. Behind the slots: its row's key, a byte for each dimension, the number of its text among the
 * dimension's words; then of each text that is SPELLED its length in two bytes, and itself.
 */
typedef struct {
    uint64_t present; /* fields that are there, as bits */
    uint64_t id;
    uint64_t renewals; /* of words, when its key was made */
    int64_t offset, index; /* of its message, and in it */
    record from;
    uint32_t tag, key_size; /* of the key; the tag is its hash */
    uint8_t *key;           /* padded with zeros to whole words */
    struct row *guess;      /* where its row most likely is; only to be asked for ahead */
    slot slots[];
} event;

typedef struct chunk {
    struct chunk *before;
    size_t size, used;
    _Alignas(16) uint8_t bytes[];
} chunk;

enum { LINE = 64, NEAR_KEY = 24, NEAR_BUCKETS = 3 };

/* All that most rows need is in one place, of two lines at best: among many keys an event waits for memory. */
typedef struct row {
    int64_t offset;
    uint64_t events;
    uint32_t key_size;
    uint32_t flush; /* the one that it last waited for */
    union {
        uint8_t near[NEAR_KEY];
        const uint8_t *far; /* a longer one */
    } key;                  /* padded with zeros to whole words */
    uint64_t totals[]; /* the words of each part */
} row;

/* A part, and where it stands among the words of a total; of a histogram also which place of `sizes` is its. */
typedef struct {
    int32_t kind, at, sizes;
} part;

typedef struct pane {
    int64_t start_ms, end_ms, first_offset;
    uint64_t *ids; /* open addressing, 0 is free */
    uint64_t n_ids, ids_mask;
    uint64_t *index; /* rows by key, open addressing: tag << 32 | row number + 1 */
    uint64_t index_size, n_rows;
    row **blocks;
    size_t n_blocks, blocks_room, rows_room;
    chunk *arena; /* keys and histograms */
    uint64_t waiting;
    uint64_t words; /* the state's `alternate` when it was opened: of which words its keys are made */
    uint64_t told;  /* the last songlo_starts that met it */
    int64_t bytes;  /* memory held */
    struct pane *next; /* with the same place */
    bool closed;
} pane;

/* Of strays: how many bytes it has, and where it belongs. */
typedef struct {
    int64_t size, home;
} stray;

typedef struct {
    int64_t start_ms;
    uint64_t *ids;
    uint64_t n_ids;
} closed_pane;

/* Rows that wait to be flushed. */
typedef struct {
    struct { pane *pane; row *row; } *rows;
    size_t room;
    int64_t n;
    const int64_t *starts; /* of the windows that they are of; NULL: those of their panes */
    int64_t *spelled; /* how many have a text of a dimension without a number among the words of now */
    int64_t *sizes;   /* bytes of these texts with their lengths; then buckets of each histogram over all rows */
} waiting_rows;

enum { LATE_START, LATE_ID, LATE_OFFSET, LATE_INDEX, LATE_OCCURRED, LATE_APPEND, LATE_COLUMNS };

/* Late events by columns, until they are flushed; their rows stand in a pane that is none, and is freed with them. */
typedef struct {
    waiting_rows rows;
    pane *pane;
    int64_t *columns[LATE_COLUMNS];
    size_t room;
    uint8_t *event_ids; /* as a column of texts */
    size_t event_ids_size, event_ids_room;
    int64_t kept; /* memory held */
} late_events;

/* Bytes to be met in a message, also as words: comparing these costs a third of a call of memcmp. */
typedef struct {
    uint8_t *bytes;
    size_t size, words; /* no words: too long for them */
    uint64_t word[4], mask[4];
} pattern;

typedef struct {
    pattern name;    /* with its quotes and colon */
    pattern *values; /* LITERAL: with their quotes */
    int32_t n_values, met; /* how many, and which one was met last */
    uint8_t *default_text;
    size_t default_size;
    field_rule rule;
} field;

typedef struct {
    uint8_t *text;
    size_t size;
    int32_t kind, field, other;
} condition;

enum { LONGEST_WORD = 24, MOST_WORDS = 254, SPELLED = 255, WORD_BITS = 10, WORD_PLACES = 1 << WORD_BITS };

typedef struct {
    uint64_t part[LONGEST_WORD / 8]; /* padded with zeros */
    uint64_t length;
} word;

/*
 * The texts of a dimension that have numbers, and where by hash each number is; number 0 is no text. Once all numbers are
 * taken, `rows` new rows have been looked at: which texts they have (bits, by hash), and whether one could have a number.
 */
typedef struct {
    word texts[MOST_WORDS + 1];
    uint64_t number; /* of them, with no text */
    uint8_t places[WORD_PLACES];
    uint8_t *packed; /* all of them as a column of texts */
    size_t packed_size, packed_room;
    uint64_t panes; /* that have keys of these */
    uint64_t rows, seen[WORD_PLACES / 64];
    bool wanting;
    int32_t dimension;
} words;

enum { OFFSET_BITS = 48, AHEAD = 16, ROWS_PER_BLOCK = 256, SMALL_BLOCKS_ROWS = 255, CHUNK = 32768, FIRST_CHUNK = 128, SLICES = 32,
       LEAST_IDS = 8, LEAST_INDEX = 4, LEAST_PACKED = 256, LEAST_LATE = 16, LEAST_PANES = 64, FEW_PANES = 4, BUNDLE_KEPT = 512, WAITING_KEPT = 1024 };

typedef struct {
    shared shared;
    field *fields;
    condition *conditions;
    measure_rule *measures;
    part *parts;
    int32_t *histograms; /* where the parts stand that are histograms */
    int32_t *dimensions, *orders, *after;
    words **words, **older;       /* of each dimension; the words before these, while a pane has keys of them */
    uint64_t looking, alternate, renewals; /* a bit of each dimension: its new rows are looked at; turned over with new words; how often */
    int32_t n_fields, n_conditions, n_measures, n_parts, n_histograms, n_dimensions, n_orders, n_bounds;
    int32_t id_field, time_field, key_field;
    bool dedupe;
    uint64_t required, defaults;
    int64_t pane_ms, disorder_ms, skew_ms, bundle_events;
    uint64_t seed;
    int64_t *bounds, *representatives; /* the latter by bucket + 1 */
    uint16_t slices[64 * SLICES];
    size_t row_size, event_size, key_room;
    row *empty; /* a row of no event */
    uint8_t *ahead; /* AHEAD events, scanned and not yet applied */
    uint8_t *bundle; /* the events of one */
    size_t bundle_room;
    pane **panes, **places; /* open: as a heap, the first to end on top; and by start, chained where they share a place */
    size_t n_panes, panes_room; /* of both: a power of two */
    pane *last;
    uint64_t likely_ids, likely_index; /* sizes of tables for what the panes had that closed of late */
    uint64_t tellings;                 /* calls of songlo_starts */
    waiting_rows waiting;
    late_events late;
    int32_t n_columns; /* of a flush */
    uint8_t *widths;   /* bytes of a number in each of them */
    uint64_t *by_bucket, *met; /* a histogram's entries by bucket + 1, and bits, 0 between histograms, of the places taken */
    closed_pane *closed;
    size_t closed_room;
    stray *strays; /* that wait, and their bytes, one behind the other */
    uint8_t *stray_text;
    size_t strays_room, stray_text_room;
} state;
