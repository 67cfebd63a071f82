/*
 * The fold of one Kafka partition, compiled: the twin of streams/core/partition.py, for speed.
 *
 * One call folds one record batch: it parses the records (format v2, uncompressed), scans each value's
 * JSON, validates it, and adds the event to its row. All state of the open panes lives here: rows with
 * their totals, ids, the watermark, and the list of rows that wait to be flushed.
 *
 * The rule that keeps both engines equal: this code folds only what it is sure of. Everything else
 * (escapes, odd numbers, nested values, alphabets that it does not know, refusals, late events, events
 * from the future, broken JSON) is handed over to Python, message by message and in order. Python decodes
 * and decides with the plain engine's own code, and brings valid events back through songlo_add.
 *
 * What a stream looks like (fields and their rules, dimensions, measures) comes as tables at creation;
 * nothing here knows a stream by name. C11 with GCC's and Clang's 128-bit integers; no other dependency.
 */

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

/* ---- the stream's tables, as streams/native/tables.py fills them ---------------------------------- */

enum kind { TEXT, LITERAL, INTEGER, NUMBER, INSTANT, FLAG, OPAQUE };
enum { REQUIRED = 1, NULLABLE = 2, DEFAULT = 4, MEASURED = 8 };
enum { COUNT, SUM, THOUSANDTHS, ELAPSED };
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
    int64_t scale; /* THOUSANDTHS: what the field's number is multiplied by */
    int32_t kind, field, other;
    int32_t conditions; /* how many of the condition table belong to this measure, in order */
} measure_rule;

typedef struct {
    const field_rule *fields;
    const condition_rule *conditions;
    const measure_rule *measures;
    const int32_t *dimensions;
    const int32_t *orders;         /* pairs of fields: the first must not be after the second */
    const int64_t *bounds;         /* histogram: inclusive upper bounds */
    const int64_t *representatives;
    int64_t pane_ms, disorder_ms, skew_ms;
    uint64_t seed;
    int32_t n_fields, n_conditions, n_measures, n_dimensions, n_orders, n_bounds;
    int32_t id_field, time_field, dedupe;
} stream_rule;

/* ---- state ---------------------------------------------------------------------------------------- */

/* What Python reads and sets without a call; the first part of the state. */
typedef struct {
    int64_t position, end;   /* fold offsets from here up to, not including, the end */
    int64_t replaying;       /* the watermark stands still, and late events are stored already */
    int64_t watermark_ms, max_event_ms, max_append_ms;
    int64_t folded, duplicates;
    int64_t waiting, closed, closed_ids, panes;
    int64_t at, index;                          /* where the batch stands: byte, record */
    int64_t offset, value_at, value_size, item; /* the message handed over, from this item of a bundle on */
    int64_t bytes;                              /* memory held */
} shared;

typedef struct {
    union {
        const uint8_t *text;
        int64_t number;
    };
    int64_t length; /* of text, in bytes */
} slot;

/* A scanned event. Behind the slots: its row's key, each dimension's length in two bytes, then its text. */
typedef struct {
    uint64_t present; /* fields that are there, as bits */
    uint64_t id;
    int64_t offset, next, value_at, value_size;
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

typedef struct row {
    const uint8_t *key; /* padded with zeros to whole words */
    uint32_t key_size;
    uint32_t waiting;
    int64_t offset;
    uint64_t events;
    uint64_t totals[]; /* SUM: 2 words; COUNT: 1; a distribution: count, sum (2), max, histogram (2) */
} row;

enum { D_COUNT, D_SUM, D_MAX = 3, D_BUCKETS, D_SIZE, D_WORDS };

typedef struct {
    int64_t start_ms, end_ms, first_offset;
    uint64_t *ids; /* open addressing, 0 is free */
    uint64_t n_ids, ids_mask;
    uint64_t *index; /* rows by key, open addressing: tag << 32 | row number + 1 */
    uint64_t index_size, n_rows;
    row **blocks;
    uint64_t n_blocks;
    chunk *arena; /* keys and histograms */
    uint64_t waiting;
    bool closed;
} pane;

typedef struct {
    int64_t start_ms;
    uint64_t *ids;
    uint64_t n_ids;
} closed_pane;

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

enum { AHEAD = 16, PANE_CACHE = 64, ROWS_PER_BLOCK = 256, CHUNK = 32768, SLICES = 32 };

typedef struct {
    shared shared;
    field *fields;
    condition *conditions;
    measure_rule *measures;
    int32_t *dimensions, *orders, *after;
    int32_t n_fields, n_conditions, n_measures, n_dimensions, n_orders, n_bounds;
    int32_t id_field, time_field;
    bool dedupe;
    uint64_t required, defaults;
    int64_t pane_ms, disorder_ms, skew_ms;
    uint64_t seed;
    int64_t *bounds, *representatives;
    uint16_t slices[64 * SLICES];
    size_t row_size, event_size, key_room;
    uint8_t *ahead; /* AHEAD events, scanned and not yet applied */
    uint8_t *bundle;
    size_t bundle_room;
    pane **panes; /* open, in the order of opening */
    size_t n_panes, panes_room;
    pane *last, *cache[PANE_CACHE];
    int64_t next_end_ms; /* the first end of an open pane */
    struct { pane *pane; row *row; } *waiting;
    size_t waiting_room;
    closed_pane *closed;
    size_t closed_room;
} state;

/* ---- memory: a worker without memory dies, and its successor replays ------------------------------- */

static void *must(void *memory) {
    if (!memory) {
        fputs("songlo: the compiled fold is out of memory\n", stderr);
        abort();
    }
    return memory;
}

static void *grown(void *memory, size_t *room, size_t wanted, size_t each) {
    if (wanted <= *room) return memory;
    size_t size = *room ? *room : 16;
    while (size < wanted) size *= 2;
    *room = size;
    return must(realloc(memory, size * each));
}

static void *copied(const void *bytes, size_t size) {
    void *copy = must(malloc(size ? size : 1));
    if (size) memcpy(copy, bytes, size);
    return copy;
}

static void *arena_take(state *s, chunk **arena, size_t size) {
    size = (size + 7) & ~(size_t)7;
    chunk *top = *arena;
    if (!top || top->size - top->used < size) {
        size_t room = size > CHUNK / 4 ? size : top ? CHUNK : CHUNK / 8;
        chunk *fresh = must(malloc(sizeof(chunk) + room));
        *fresh = (chunk){.before = top, .size = room};
        s->shared.bytes += (int64_t)(sizeof(chunk) + room);
        *arena = top = fresh;
    }
    void *taken = top->bytes + top->used;
    top->used += size;
    return taken;
}

/* ---- hashes ---------------------------------------------------------------------------------------- */

static inline uint64_t read64(const void *p) {
    uint64_t v;
    memcpy(&v, p, 8);
    return v;
}

static inline uint32_t read32(const void *p) {
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static inline uint64_t fold128(uint64_t a, uint64_t b) {
    u128 product = (u128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t rotated(uint64_t v, int by) { return v << by | v >> (64 - by); }

#define XXH_PRIME_1 0x9E3779B185EBCA87ull
#define XXH_PRIME_2 0xC2B2AE3D27D4EB4Full
#define XXH_PRIME_3 0x165667B19E3779F9ull

/* XXH3's default secret, as far as inputs of up to 240 bytes need it. */
static const uint8_t SECRET[144] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
};

static inline uint64_t xxh64_avalanche(uint64_t h) {
    h = (h ^ h >> 33) * XXH_PRIME_2;
    h = (h ^ h >> 29) * XXH_PRIME_3;
    return h ^ h >> 32;
}

static inline uint64_t xxh3_avalanche(uint64_t h) {
    h = (h ^ h >> 37) * 0x165667919E3779F9ull;
    return h ^ h >> 32;
}

static inline uint64_t xxh3_mix(const uint8_t *p, const uint8_t *secret) {
    return fold128(read64(p) ^ read64(secret), read64(p + 8) ^ read64(secret + 8));
}

/* XXH3 of 64 bits with seed 0, for 0 to 240 bytes; after Collet's specification of xxHash. */
static uint64_t xxh3(const uint8_t *p, size_t n) {
    if (n > 16) {
        uint64_t h = n * XXH_PRIME_1;
        if (n <= 128) {
            for (size_t i = (n - 1) / 32;; i--) {
                h += xxh3_mix(p + 16 * i, SECRET + 32 * i);
                h += xxh3_mix(p + n - 16 * (i + 1), SECRET + 32 * i + 16);
                if (!i) return xxh3_avalanche(h);
            }
        }
        for (size_t i = 0; i < 8; i++) h += xxh3_mix(p + 16 * i, SECRET + 16 * i);
        h = xxh3_avalanche(h);
        for (size_t i = 8; i < n / 16; i++) h += xxh3_mix(p + 16 * i, SECRET + 16 * (i - 8) + 3);
        return xxh3_avalanche(h + xxh3_mix(p + n - 16, SECRET + 119));
    }
    if (n > 8) {
        uint64_t low = read64(p) ^ read64(SECRET + 24) ^ read64(SECRET + 32);
        uint64_t high = read64(p + n - 8) ^ read64(SECRET + 40) ^ read64(SECRET + 48);
        return xxh3_avalanche(n + __builtin_bswap64(low) + high + fold128(low, high));
    }
    if (n > 3) {
        uint64_t h = (read32(p + n - 4) + ((uint64_t)read32(p) << 32)) ^ read64(SECRET + 8) ^ read64(SECRET + 16);
        h = (h ^ rotated(h, 49) ^ rotated(h, 24)) * 0x9FB21C651E98DF25ull;
        h = (h ^ ((h >> 35) + n)) * 0x9FB21C651E98DF25ull;
        return h ^ h >> 28;
    }
    if (n) {
        uint32_t h = (uint32_t)p[0] << 16 | (uint32_t)p[n >> 1] << 24 | p[n - 1] | (uint32_t)n << 8;
        return xxh64_avalanche(h ^ (uint64_t)(read32(SECRET) ^ read32(SECRET + 4)));
    }
    return xxh64_avalanche(read64(SECRET + 56) ^ read64(SECRET + 64));
}

/* Never 0, which marks a pane's own row, and here a free place. */
static inline uint64_t id_hash(const uint8_t *p, size_t n) {
    uint64_t h = xxh3(p, n);
    return h ? h : 1;
}

/* Seeded, so that nobody can choose keys that collide; `p` is padded with zeros to 16 bytes. */
static inline uint32_t key_tag(const uint8_t *p, size_t n, uint64_t seed) {
    uint64_t h = seed ^ n;
    for (size_t i = 0; i < n; i += 16) h = fold128(read64(p + i) ^ h, read64(p + i + 8) ^ XXH_PRIME_1 ^ seed);
    return (uint32_t)(fold128(h, XXH_PRIME_2) >> 32);
}

/* ---- scanning JSON: NULL means 'not sure' -------------------------------------------------------- */

typedef const uint8_t *text;

static inline text spaces(text p, text end) {
    if (LIKELY(p < end && *p > ' ')) return p;
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p;
}

/* Whether the pattern stands at `p`; reads no further than `limit`. */
static inline bool stands_at(const pattern *wanted, text p, text end, text limit) {
    if (UNLIKELY(limit - p < 32 || !wanted->words))
        return (size_t)(end - p) >= wanted->size && !memcmp(p, wanted->bytes, wanted->size);
    uint64_t differ = 0;
    for (size_t i = 0; i < wanted->words; i++) differ |= (read64(p + 8 * i) ^ wanted->word[i]) & wanted->mask[i];
    return !differ && (size_t)(end - p) >= wanted->size;
}

static inline bool plain(uint8_t c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; }

/* The first byte that is not plain ASCII within a string; reads no further than `limit`. */
static inline text plain_end(text p, text end, text limit) {
#if defined(__SSE2__)
    while (limit - p >= 16) {
        __m128i c = _mm_loadu_si128((const __m128i *)p);
        __m128i odd = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(c, _mm_set1_epi8('"')), _mm_cmpeq_epi8(c, _mm_set1_epi8('\\'))),
                                   _mm_or_si128(_mm_cmplt_epi8(c, _mm_set1_epi8(0x20)), _mm_cmpeq_epi8(c, _mm_set1_epi8(0x7f))));
        unsigned mask = (unsigned)_mm_movemask_epi8(odd);
        if (mask) {
            p += __builtin_ctz(mask);
            return p < end ? p : end;
        }
        p += 16;
        if (p >= end) return end;
    }
#else
    (void)limit;
#endif
    while (p < end && plain(*p)) p++;
    return p;
}

/* The bytes of a character of the Latin alphabets with their marks, all printable; 0 for any other. */
static inline int latin(text p, text end) {
    if (end - p < 2 || (p[1] & 0xc0) != 0x80) return 0;
    if (p[0] >= 0xc3 && p[0] <= 0xc8) return 2;                                        /* U+00C0 to U+023F */
    if ((p[0] == 0xc9 && p[1] < 0x90) || p[0] == 0xcc || (p[0] == 0xcd && p[1] < 0xb0)) return 2; /* to 024F, 0300 to 036F */
    if (end - p < 3 || (p[2] & 0xc0) != 0x80) return 0;
    return p[0] == 0xe1 && p[1] >= 0xb8 && p[1] <= 0xbb ? 3 : 0; /* U+1E00 to U+1EFF */
}

/* A string from its opening quote; its bytes, and how many code points they are. */
static inline text scan_string(text p, text end, text limit, text *from, int64_t *size, int64_t *points) {
    if (p >= end || *p != '"') return NULL;
    text start = ++p;
    int64_t marks = 0;
    for (;;) {
        p = plain_end(p, end, limit);
        if (UNLIKELY(p >= end)) return NULL;
        if (LIKELY(*p == '"')) break;
        int n = latin(p, end);
        if (!n) return NULL;
        p += n;
        marks += n - 1;
    }
    *from = start;
    *size = p - start;
    *points = *size - marks;
    return p + 1;
}

static inline bool digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

static inline bool ends_number(text p, text end) {
    return p < end && (*p == ',' || *p == '}' || *p == ']' || *p == ' ' || *p == '\n' || *p == '\r' || *p == '\t');
}

/* The number that eight digits are, or -1 when they are no digits. */
static inline int64_t eight_digits(text p) {
    uint64_t v = read64(p);
    if (((v & 0xf0f0f0f0f0f0f0f0) ^ 0x3030303030303030) | (((v + 0x0606060606060606) & 0xf0f0f0f0f0f0f0f0) ^ 0x3030303030303030))
        return -1;
    v = (v & 0x0f0f0f0f0f0f0f0f) * 2561 >> 8;
    v = (v & 0x00ff00ff00ff00ff) * 6553601 >> 16;
    return (int64_t)((v & 0x0000ffff0000ffff) * 42949672960001 >> 32);
}

/* A whole number of at most 18 digits. */
static inline text scan_integer(text p, text end, int64_t *value) {
    bool negative = p < end && *p == '-';
    p += negative;
    text start = p;
    int64_t v = 0;
    if (end - p > 8 && (v = eight_digits(p)) >= 0) p += 8;
    else v = 0;
    while (p < end && digit(*p) && p - start < 18) v = v * 10 + (*p++ - '0');
    if (p == start || !ends_number(p, end) || (*start == '0' && (p - start > 1 || negative))) return NULL;
    *value = negative ? -v : v;
    return p;
}

static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,
                                1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19};

/* The double nearest to m / 10**k, ties to even; 0 < m < 2**64, k <= 19. */
static double decimal(uint64_t m, int k) {
    if (m < 1ull << 53) return (double)m / POWERS[k]; /* both exact, and the division rounds once */
    uint64_t by = 1;
    for (int i = 0; i < k; i++) by *= 10;
    int exponent = -63 - __builtin_clzll(m);
    u128 dividend = (u128)m << -exponent, quotient = dividend / by; /* at least 63 bits */
    bool rest = dividend % by != 0;
    int high = (int)(quotient >> 64 ? 127 - __builtin_clzll((uint64_t)(quotient >> 64)) : 63 - __builtin_clzll((uint64_t)quotient));
    int drop = high - 52;
    u128 dropped = quotient & (((u128)1 << drop) - 1), half = (u128)1 << (drop - 1);
    uint64_t kept = (uint64_t)(quotient >> drop);
    kept += dropped > half || (dropped == half && (rest || (kept & 1)));
    exponent += drop;
    double scale = 1; /* a power of two: exact */
    for (; exponent < 0; exponent++) scale *= 0.5;
    for (; exponent > 0; exponent--) scale *= 2;
    return (double)kept * scale;
}

/* A number >= 0 without an exponent, of at most 19 digits. */
static inline text scan_number(text p, text end, double *value) {
    text start = p;
    uint64_t m = 0;
    int digits = 0, after = 0;
    for (; p < end && digit(*p); p++, digits += m != 0) {
        if (digits == 19) return NULL;
        m = m * 10 + (uint64_t)(*p - '0');
    }
    if (p == start || (*start == '0' && p - start > 1)) return NULL;
    if (p < end && *p == '.') {
        text point = ++p;
        for (; p < end && digit(*p); p++, digits += m != 0) {
            if (digits == 19 || p - point == 19) return NULL;
            m = m * 10 + (uint64_t)(*p - '0');
        }
        after = (int)(p - point);
        if (!after) return NULL;
    }
    if (!ends_number(p, end)) return NULL;
    *value = m ? decimal(m, after) : 0;
    return p;
}

/* As Python's round(x * 1000): the nearest whole number, ties to even; 0 <= x * 1000 < 2**52. */
static inline int64_t thousandths(double x) {
    double shifted = x * 1000.0 + 0x1p52;
    return (int64_t)(shifted - 0x1p52);
}

static inline int two(text p) { return digit(p[0]) && digit(p[1]) ? (p[0] - '0') * 10 + p[1] - '0' : -1000; }

/* "2024-05-13T08:00:00[.fraction of 1 to 6 digits](Z|+hh:mm|-hh:mm)" as epoch milliseconds. */
static text scan_moment(text p, text end, int64_t *ms) {
    static const uint8_t DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (end - p < 22 || *p++ != '"') return NULL;
    int year = two(p) * 100 + two(p + 2), month = two(p + 5), day = two(p + 8);
    int hour = two(p + 11), minute = two(p + 14), second = two(p + 17);
    if (p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':' || p[16] != ':') return NULL;
    if (year < 2000 || year > 2099 || month < 1 || month > 12 || day < 1) return NULL;
    if (day > DAYS[month - 1] + (month == 2 && year % 4 == 0)) return NULL; /* 2000 is a leap year */
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59) return NULL;
    p += 19;
    int fraction = 0;
    if (*p == '.') {
        text point = ++p;
        for (; p < end && digit(*p); p++)
            if (p - point < 3) fraction = fraction * 10 + (*p - '0');
        if (p == point || p - point > 6) return NULL;
        for (int64_t i = p - point; i < 3; i++) fraction *= 10;
    }
    int shift = 0;
    if (p < end && *p == 'Z') {
        p++;
    } else {
        if (end - p < 7 || (*p != '+' && *p != '-') || p[3] != ':') return NULL;
        int hours = two(p + 1), minutes = two(p + 4);
        if (hours < 0 || hours > 14 || minutes < 0 || minutes > 59) return NULL;
        shift = hours * 60 + minutes;
        if (*p == '-' && !shift) return NULL;
        if (*p == '-') shift = -shift;
        p += 6;
    }
    if (p >= end || *p != '"') return NULL;
    int months = month - 1, leaps = (year - 2000 + 3) / 4 + (year % 4 == 0 && months > 1);
    static const int BEFORE[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t days = 10957 + (int64_t)(year - 2000) * 365 + leaps + BEFORE[months] + day - 1;
    *ms = ((days * 24 + hour) * 60 + minute - shift) * 60000 + second * 1000 + fraction;
    return p + 1;
}

static inline text scan_word(text p, text end, const char *word, size_t size) {
    return (size_t)(end - p) > size && !memcmp(p, word, size) ? p + size : NULL;
}

/* A value that is nobody's business, as long as it is plain. */
static text scan_unknown(text p, text end, text limit) {
    if (p >= end) return NULL;
    text from;
    int64_t size, points;
    double number;
    switch (*p) {
    case '"': return scan_string(p, end, limit, &from, &size, &points);
    case 't': return scan_word(p, end, "true", 4);
    case 'f': return scan_word(p, end, "false", 5);
    case 'n': return scan_word(p, end, "null", 4);
    case '-': return p + 1 < end && digit(p[1]) ? scan_number(p + 1, end, &number) : NULL;
    default: return scan_number(p, end, &number);
    }
}

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

/* The key of the event's row, with its hash. */
static inline void make_key(const state *s, event *e) {
    uint8_t *key = (uint8_t *)(e->slots + s->n_fields), *to = key;
    for (int32_t i = 0; i < s->n_dimensions; i++) {
        int32_t f = s->dimensions[i];
        uint16_t length = is_there(e, f) ? (uint16_t)e->slots[f].length : 0;
        memcpy(to, &length, 2);
        if (length) memcpy(to + 2, e->slots[f].text, length);
        to += 2 + length;
    }
    memset(to, 0, 16);
    e->key = key;
    e->key_size = (uint32_t)(to - key);
    e->tag = key_tag(key, e->key_size, s->seed);
    e->guess = NULL;
}

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
    make_key(s, e);
    return p + 1;
}

/* ---- totals ---------------------------------------------------------------------------------------- */

static bool meets(const condition *c, const event *e) {
    if (!is_there(e, c->field)) return false;
    const slot *a = &e->slots[c->field];
    switch (c->kind) {
    case HAS: return true;
    case IS: return (size_t)a->length == c->size && !memcmp(a->text, c->text, c->size);
    default: return is_there(e, c->other) && (a->number > e->slots[c->other].number) == (c->kind == AFTER);
    }
}

static inline void add128(uint64_t *words, int64_t value) {
    i128 sum = (i128)((u128)words[1] << 64 | words[0]) + value;
    words[0] = (uint64_t)sum;
    words[1] = (uint64_t)((u128)sum >> 64);
}

/* Which slice of its power of two holds `value`, to start the search for its bucket near it. */
static inline unsigned slice_of(uint64_t value) {
    unsigned power = 63u - (unsigned)__builtin_clzll(value | 1);
    return power * SLICES + (unsigned)((power >= 5 ? value >> (power - 5) : value << (5 - power)) & (SLICES - 1));
}

static inline uint64_t bucket_of(const state *s, int64_t value) {
    int64_t largest = s->bounds[s->n_bounds - 1];
    if (value >= largest) return (uint64_t)s->n_bounds - 1;
    uint64_t i = s->slices[slice_of((uint64_t)value)];
    while (s->bounds[i] < value) i++;
    return i;
}

/* A histogram is a small table, open addressing: (bucket + 1) << 48 | number. */
static void add_bucket(state *s, pane *p, uint64_t *total, uint64_t bucket) {
    uint64_t *table = (uint64_t *)(uintptr_t)total[D_BUCKETS], used = total[D_SIZE] >> 32, mask = total[D_SIZE] & 0xffffffff;
    if (table) {
        for (uint64_t i = bucket & mask; table[i]; i = (i + 1) & mask)
            if (table[i] >> 48 == bucket + 1) {
                table[i]++;
                return;
            }
    }
    if (!table || (used + 1) * 4 > (mask + 1) * 3) {
        uint64_t size = table ? 2 * (mask + 1) : 4, *wider = arena_take(s, &p->arena, size * 8);
        memset(wider, 0, size * 8);
        for (uint64_t i = 0; table && i <= mask; i++) {
            if (!table[i]) continue;
            uint64_t j = ((table[i] >> 48) - 1) & (size - 1);
            while (wider[j]) j = (j + 1) & (size - 1);
            wider[j] = table[i];
        }
        table = wider;
        mask = size - 1;
        total[D_BUCKETS] = (uint64_t)(uintptr_t)table;
    }
    uint64_t i = bucket & mask;
    while (table[i]) i = (i + 1) & mask;
    table[i] = (bucket + 1) << 48 | 1;
    total[D_SIZE] = (used + 1) << 32 | mask;
}

static void add_event(state *s, pane *p, row *r, const event *e) {
    r->events++;
    uint64_t *total = r->totals;
    const condition *c = s->conditions;
    for (int32_t i = 0; i < s->n_measures; i++) {
        const measure_rule *m = &s->measures[i];
        bool counts = true;
        for (int32_t k = 0; k < m->conditions; k++) counts = counts && meets(&c[k], e);
        c += m->conditions;
        switch (m->kind) {
        case SUM:
            if (is_there(e, m->field)) add128(total, e->slots[m->field].number);
            total += 2;
            break;
        case COUNT:
            *total++ += counts;
            break;
        default: {
            int64_t value = 0;
            counts = counts && is_there(e, m->field);
            if (m->kind == ELAPSED) {
                counts = counts && is_there(e, m->other);
                if (counts) value = e->slots[m->other].number - e->slots[m->field].number;
                if (value < 0) value = 0;
            } else if (counts) {
                value = e->slots[m->field].number * m->scale;
            }
            if (counts) {
                total[D_COUNT]++;
                add128(total + D_SUM, value);
                if ((uint64_t)value > total[D_MAX]) total[D_MAX] = (uint64_t)value;
                add_bucket(s, p, total, bucket_of(s, value));
            }
            total += D_WORDS;
        }
        }
    }
}

/* ---- panes ------------------------------------------------------------------------------------------ */

static inline uint64_t place_of(const state *s, const pane *p, uint64_t id) {
    return (id * s->seed >> 20) & p->ids_mask;
}

static void widen_ids(state *s, pane *p) {
    uint64_t *before = p->ids, size = before ? p->ids_mask + 1 : 0, wider = size ? size * 2 : 256;
    p->ids = must(calloc(wider, 8));
    p->ids_mask = wider - 1;
    s->shared.bytes += (int64_t)(wider - size) * 8;
    for (uint64_t i = 0; i < size; i++) {
        if (!before[i]) continue;
        uint64_t at = place_of(s, p, before[i]);
        while (p->ids[at]) at = (at + 1) & p->ids_mask;
        p->ids[at] = before[i];
    }
    free(before);
}

/* Whether the id is new in this pane; it is remembered. */
static inline bool remember(state *s, pane *p, uint64_t id) {
    if (UNLIKELY((p->n_ids + 1) * 10 > (p->ids ? p->ids_mask + 1 : 0) * 7)) widen_ids(s, p);
    uint64_t at = place_of(s, p, id);
    for (; p->ids[at]; at = (at + 1) & p->ids_mask)
        if (p->ids[at] == id) return false;
    p->ids[at] = id;
    p->n_ids++;
    return true;
}

static inline row *row_at(const state *s, const pane *p, uint64_t n) {
    return (row *)((uint8_t *)p->blocks[n / ROWS_PER_BLOCK] + (n % ROWS_PER_BLOCK) * s->row_size);
}

static inline uint64_t index_place(const pane *p, uint32_t tag) { return tag * p->index_size >> 32; }

static void widen_index(state *s, pane *p) {
    uint64_t *before = p->index, size = p->index_size;
    p->index_size = size ? size * 2 : 128;
    p->index = must(calloc(p->index_size, 8));
    s->shared.bytes += (int64_t)(p->index_size - size) * 8;
    for (uint64_t i = 0; i < size; i++) {
        if (!before[i]) continue;
        uint64_t at = index_place(p, (uint32_t)(before[i] >> 32));
        while (p->index[at]) at = at + 1 == p->index_size ? 0 : at + 1;
        p->index[at] = before[i];
    }
    free(before);
}

static row *new_row(state *s, pane *p, const event *e) {
    if (p->n_rows == p->n_blocks * ROWS_PER_BLOCK) {
        p->blocks = must(realloc(p->blocks, (p->n_blocks + 1) * sizeof *p->blocks));
        p->blocks[p->n_blocks++] = must(malloc(ROWS_PER_BLOCK * s->row_size));
        s->shared.bytes += (int64_t)(ROWS_PER_BLOCK * s->row_size);
    }
    row *r = row_at(s, p, p->n_rows++);
    memset(r, 0, s->row_size);
    uint8_t *key = arena_take(s, &p->arena, e->key_size);
    memcpy(key, e->key, whole_words(e->key_size));
    r->key = key;
    r->key_size = e->key_size;
    return r;
}

static inline bool is_row_of(const row *r, const event *e) {
    if (r->key_size != e->key_size) return false;
    uint64_t differ = 0;
    for (size_t i = 0; i < e->key_size; i += 8) differ |= read64(r->key + i) ^ read64(e->key + i);
    return !differ;
}

/* The first row of the pane with the event's tag, most likely its own; NULL when there is none. */
static inline row *likely_row(const state *s, const pane *p, const event *e) {
    if (!p->index_size) return NULL;
    uint64_t at = index_place(p, e->tag);
    for (; p->index[at]; at = at + 1 == p->index_size ? 0 : at + 1)
        if ((uint32_t)(p->index[at] >> 32) == e->tag) return row_at(s, p, (uint32_t)p->index[at] - 1);
    return NULL;
}

/* The event's row in the pane. */
static row *row_of(state *s, pane *p, const event *e) {
    if (UNLIKELY((p->n_rows + 1) * 3 > p->index_size * 2)) widen_index(s, p);
    uint64_t at = index_place(p, e->tag);
    for (; p->index[at]; at = at + 1 == p->index_size ? 0 : at + 1) {
        if ((uint32_t)(p->index[at] >> 32) != e->tag) continue;
        row *r = row_at(s, p, (uint32_t)p->index[at] - 1);
        if (is_row_of(r, e)) return r;
    }
    row *r = new_row(s, p, e);
    p->index[at] = (uint64_t)e->tag << 32 | p->n_rows;
    return r;
}

static void free_pane(state *s, pane *p) {
    s->shared.bytes -= (int64_t)(sizeof *p + p->index_size * 8 + p->n_blocks * ROWS_PER_BLOCK * s->row_size);
    if (p->ids) s->shared.bytes -= (int64_t)(p->ids_mask + 1) * 8;
    for (chunk *c = p->arena, *before; c; c = before) {
        s->shared.bytes -= (int64_t)(sizeof *c + c->size);
        before = c->before;
        free(c);
    }
    for (uint64_t i = 0; i < p->n_blocks; i++) free(p->blocks[i]);
    free(p->blocks);
    free(p->index);
    free(p->ids);
    free(p);
}

static pane *find_pane(state *s, int64_t at_ms) {
    pane *p = s->last;
    if (LIKELY(p && at_ms >= p->start_ms && at_ms < p->end_ms)) return p;
    int64_t number = at_ms / s->pane_ms, start_ms = number * s->pane_ms;
    pane **cached = &s->cache[number % PANE_CACHE];
    if (*cached && (*cached)->start_ms == start_ms) return s->last = *cached;
    for (size_t i = 0; i < s->n_panes; i++)
        if (s->panes[i]->start_ms == start_ms) return s->last = *cached = s->panes[i];
    return NULL;
}

static pane *open_pane(state *s, int64_t start_ms, int64_t offset) {
    pane *p = must(calloc(1, sizeof *p));
    *p = (pane){.start_ms = start_ms, .end_ms = start_ms + s->pane_ms, .first_offset = offset};
    s->shared.bytes += (int64_t)sizeof *p;
    s->panes = grown(s->panes, &s->panes_room, s->n_panes + 1, sizeof *s->panes);
    s->panes[s->n_panes++] = p;
    s->shared.panes = (int64_t)s->n_panes;
    if (p->end_ms < s->next_end_ms) s->next_end_ms = p->end_ms;
    return s->last = s->cache[start_ms / s->pane_ms % PANE_CACHE] = p;
}

/* Ascending, by radix: eight passes of a byte. */
static void sort_ids(uint64_t *ids, uint64_t n) {
    uint64_t *from = ids, *to = must(malloc(n * 8 + 8));
    for (int shift = 0; shift < 64; shift += 8) {
        uint64_t starts[257] = {0};
        for (uint64_t i = 0; i < n; i++) starts[(from[i] >> shift & 255) + 1]++;
        for (int i = 0; i < 256; i++) starts[i + 1] += starts[i];
        for (uint64_t i = 0; i < n; i++) to[starts[from[i] >> shift & 255]++] = from[i];
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    free(to); /* after an even number of passes the ids are where they were */
}

static void close_pane(state *s, pane *p) {
    p->closed = true;
    if (s->last == p) s->last = NULL;
    for (int i = 0; i < PANE_CACHE; i++)
        if (s->cache[i] == p) s->cache[i] = NULL;
    if (s->dedupe) {
        uint64_t n = 0;
        for (uint64_t i = 0; p->ids && i <= p->ids_mask; i++)
            if (p->ids[i]) p->ids[n++] = p->ids[i];
        sort_ids(p->ids, n);
        s->closed = grown(s->closed, &s->closed_room, (size_t)s->shared.closed + 1, sizeof *s->closed);
        s->closed[s->shared.closed++] = (closed_pane){p->start_ms, must(realloc(p->ids, n * 8 + 8)), n};
        s->shared.closed_ids += (int64_t)n;
        s->shared.bytes += (int64_t)n * 8 - (int64_t)(p->ids_mask + 1) * 8;
        p->ids = NULL;
    }
    if (!p->waiting) free_pane(s, p);
}

/* Move the watermark behind the events seen, and close the panes that it passes. */
EXPORT void songlo_close_panes(state *s) {
    shared *h = &s->shared;
    if (h->replaying) return;
    int64_t now_ms = (h->max_event_ms < h->max_append_ms ? h->max_event_ms : h->max_append_ms) - s->disorder_ms;
    if (now_ms <= h->watermark_ms) return;
    h->watermark_ms = now_ms;
    if (now_ms < s->next_end_ms) return;
    size_t kept = 0;
    s->next_end_ms = INT64_MAX;
    for (size_t i = 0; i < s->n_panes; i++) {
        pane *p = s->panes[i];
        if (p->end_ms <= now_ms) {
            close_pane(s, p);
            continue;
        }
        s->panes[kept++] = p;
        if (p->end_ms < s->next_end_ms) s->next_end_ms = p->end_ms;
    }
    s->n_panes = kept;
    h->panes = (int64_t)kept;
}

static inline void advance(state *s, int64_t at_ms, int64_t append_ms) {
    shared *h = &s->shared;
    if (at_ms <= h->max_event_ms && append_ms <= h->max_append_ms) return;
    if (at_ms > h->max_event_ms) h->max_event_ms = at_ms;
    if (append_ms > h->max_append_ms) h->max_append_ms = append_ms;
    songlo_close_panes(s);
}

enum { FOLDED, LATE, TOO_EARLY };

/* Fold one event; LATE and TOO_EARLY leave everything as it was. */
static int apply(state *s, const event *e, int64_t append_ms) {
    shared *h = &s->shared;
    int64_t at_ms = e->slots[s->time_field].number;
    if (UNLIKELY(at_ms > append_ms + s->skew_ms)) return TOO_EARLY;
    pane *p = find_pane(s, at_ms);
    if (UNLIKELY(!p)) {
        int64_t start_ms = at_ms - at_ms % s->pane_ms;
        if (start_ms + s->pane_ms <= h->watermark_ms) {
            if (!h->replaying) return LATE;
            advance(s, at_ms, append_ms);
            return FOLDED;
        }
        p = open_pane(s, start_ms, e->offset);
    }
    if (s->dedupe && UNLIKELY(!remember(s, p, e->id))) {
        h->duplicates++;
    } else {
        row *r = row_of(s, p, e);
        if (!r->waiting) {
            r->waiting = 1;
            p->waiting++;
            s->waiting = grown(s->waiting, &s->waiting_room, (size_t)h->waiting + 1, sizeof *s->waiting);
            s->waiting[h->waiting].pane = p;
            s->waiting[h->waiting++].row = r;
        }
        r->offset = e->offset;
        add_event(s, p, r, e);
        h->folded++;
    }
    advance(s, at_ms, append_ms);
    return FOLDED;
}

/* ---- record batches --------------------------------------------------------------------------------- */

typedef struct {
    int64_t delta, value_at, value_size, next;
} record;

static bool read_varint(const uint8_t *data, int64_t size, int64_t *at, int64_t *value) {
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (*at >= size) return false;
        uint8_t byte = data[(*at)++];
        v |= (uint64_t)(byte & 127) << shift;
        if (!(byte & 128)) {
            *value = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
            return true;
        }
    }
    return false;
}

static bool read_record(const uint8_t *data, int64_t size, int64_t at, record *r) {
    int64_t length, skipped, key_size;
    if (!read_varint(data, size, &at, &length) || length < 1 || length > size - at) return false;
    r->next = at + length;
    at++; /* attributes */
    if (!read_varint(data, r->next, &at, &skipped) || !read_varint(data, r->next, &at, &r->delta)) return false;
    if (!read_varint(data, r->next, &at, &key_size) || key_size > r->next - at) return false;
    if (key_size > 0) at += key_size;
    if (!read_varint(data, r->next, &at, &r->value_size) || r->value_size > r->next - at) return false;
    r->value_at = at;
    if (r->value_size < 0) r->value_size = -1;
    return true;
}

static inline event *event_at(const state *s, uint8_t *events, size_t i) { return (event *)(events + i * s->event_size); }

static bool scan_message(state *s, const uint8_t *data, int64_t size, const record *r, event *e) {
    text end = data + r->value_at + r->value_size, p = spaces(data + r->value_at, end);
    p = scan_event(s, p, end, data + size, e);
    return p && spaces(p, end) == end;
}

/* The events of a JSON array, all of them valid, in s->bundle; -1: not sure. */
static int64_t scan_bundle(state *s, const uint8_t *data, int64_t size, const record *r) {
    text end = data + r->value_at + r->value_size, p = spaces(data + r->value_at, end);
    if (p >= end || *p != '[') return -1;
    size_t n = 0;
    do {
        s->bundle = grown(s->bundle, &s->bundle_room, n + 1, s->event_size);
        p = scan_event(s, spaces(p + 1, end), end, data + size, event_at(s, s->bundle, n++));
        if (!p) return -1;
        p = spaces(p, end);
    } while (p < end && *p == ',');
    return p < end && *p == ']' && spaces(p + 1, end) == end ? (int64_t)n : -1;
}

enum { DONE = 0, HANDED_OVER = 1, CORRUPT = 2 };

static int hand_over(state *s, const record *r, int64_t offset, int64_t index, int64_t item) {
    shared *h = &s->shared;
    h->offset = offset;
    h->value_at = r->value_at;
    h->value_size = r->value_size;
    h->item = item;
    h->at = r->next;
    h->index = index + 1;
    return HANDED_OVER;
}

/*
 * What an event is going to touch is spread over memory, so it is asked for ahead: first the places of its
 * id and its row's number, when other events have been scanned its row, and then the row's key and histograms.
 */
static inline void ask_for_places(const state *s, const event *e) {
    const pane *p = s->last;
    if (!p || !p->index_size) return;
    if (p->ids) __builtin_prefetch(&p->ids[place_of(s, p, e->id)], 1);
    __builtin_prefetch(&p->index[index_place(p, e->tag)]);
}

static void ask_for_rows(const state *s, size_t n) {
    const pane *p = s->last;
    if (!p || n < 2) return;
    for (size_t i = 0; i < n; i++) {
        event *e = event_at(s, s->ahead, i);
        int64_t at_ms = e->slots[s->time_field].number;
        row *r = at_ms >= p->start_ms && at_ms < p->end_ms ? likely_row(s, p, e) : NULL;
        if (!r) continue;
        e->guess = r;
        for (size_t byte = 0; byte < s->row_size; byte += 64) __builtin_prefetch((uint8_t *)r + byte, 1);
    }
    for (size_t i = 0; i < n; i++) {
        const row *r = event_at(s, s->ahead, i)->guess;
        if (!r) continue;
        __builtin_prefetch(r->key);
        const uint64_t *total = r->totals;
        for (int32_t m = 0; m < s->n_measures; m++) {
            if (s->measures[m].kind >= THOUSANDTHS) __builtin_prefetch((const void *)(uintptr_t)total[D_BUCKETS], 1);
            total += s->measures[m].kind == COUNT ? 1 : s->measures[m].kind == SUM ? 2 : D_WORDS;
        }
    }
}

/*
 * Fold the records of a batch from where it stands. HANDED_OVER: Python folds the message named in
 * `shared`, and calls again. CORRUPT: the bytes from `shared.at` on are no record.
 */
EXPORT int songlo_fold(state *s, const uint8_t *data, int64_t size, int64_t base_offset, int64_t count, int64_t append_ms) {
    shared *h = &s->shared;
    int64_t at = h->at, index = h->index;
    while (index < count) {
        size_t n = 0;
        int64_t numbers[AHEAD];
        bool ok = true, sure = true;
        record r = {0};
        while (n < AHEAD && index < count) {
            ok = read_record(data, size, at, &r);
            if (!ok) break;
            int64_t offset = base_offset + r.delta;
            if (offset >= h->position && offset < h->end) {
                event *e = event_at(s, s->ahead, n);
                sure = r.value_size > 0 && scan_message(s, data, size, &r, e);
                if (!sure) break;
                ask_for_places(s, e);
                e->offset = offset;
                e->value_at = r.value_at;
                e->value_size = r.value_size;
                e->next = r.next;
                numbers[n++] = index;
            }
            at = r.next;
            index++;
        }
        ask_for_rows(s, n);
        for (size_t i = 0; i < n; i++) {
            const event *e = event_at(s, s->ahead, i);
            if (UNLIKELY(apply(s, e, append_ms) != FOLDED)) {
                record again = {.value_at = e->value_at, .value_size = e->value_size, .next = e->next};
                return hand_over(s, &again, e->offset, numbers[i], 0);
            }
        }
        if (!ok) {
            h->at = at;
            h->index = index;
            return CORRUPT;
        }
        if (!sure) {
            int64_t offset = base_offset + r.delta;
            int64_t events = r.value_size > 0 ? scan_bundle(s, data, size, &r) : -1;
            if (events < 0) return hand_over(s, &r, offset, index, 0);
            for (int64_t i = 0; i < events; i++) {
                event *e = event_at(s, s->bundle, (size_t)i);
                e->offset = offset;
                if (apply(s, e, append_ms) != FOLDED) return hand_over(s, &r, offset, index, i);
            }
            at = r.next;
            index++;
        }
    }
    h->at = at;
    h->index = index;
    return at == size ? DONE : CORRUPT;
}

/*
 * Fold an event that Python has decoded. `numbers` holds one value per field: a text's length in bytes
 * (the texts follow each other in `texts`), a number (of a NUMBER the thousandths); 0 where absent.
 * LATE: its row is Python's to make, the watermark has moved. TOO_EARLY: nothing was done.
 */
EXPORT int songlo_add(state *s, int64_t offset, int64_t append_ms, uint64_t id, uint64_t present, const int64_t *numbers,
                      const uint8_t *texts) {
    event *e = event_at(s, s->ahead, 0);
    e->present = present;
    e->id = id;
    e->offset = offset;
    for (int32_t i = 0; i < s->n_fields; i++) {
        if (s->fields[i].rule.kind <= LITERAL) {
            e->slots[i] = (slot){.text = texts, .length = numbers[i]};
            texts += numbers[i];
        } else {
            e->slots[i].number = numbers[i];
        }
    }
    make_key(s, e);
    int how = apply(s, e, append_ms);
    if (how == LATE) advance(s, e->slots[s->time_field].number, append_ms);
    return how;
}

/* ---- what waits to be flushed ------------------------------------------------------------------------ */

/* The lowest offset of an open pane; `otherwise` when none is open. */
EXPORT int64_t songlo_first_offset(const state *s, int64_t otherwise) {
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < s->n_panes; i++)
        if (s->panes[i]->first_offset < first) first = s->panes[i]->first_offset;
    return s->n_panes ? first : otherwise;
}

/* Bytes of each dimension's texts (each with a '\n'), then buckets of each distribution, over all waiting rows. */
EXPORT void songlo_sizes(const state *s, int64_t *sizes) {
    memset(sizes, 0, sizeof *sizes * (size_t)(s->n_dimensions + s->n_measures));
    for (int64_t i = 0; i < s->shared.waiting; i++) {
        const row *r = s->waiting[i].row;
        const uint8_t *key = r->key;
        for (int32_t d = 0; d < s->n_dimensions; d++) {
            uint16_t length;
            memcpy(&length, key, 2);
            sizes[d] += length + 1;
            key += 2 + length;
        }
        const uint64_t *total = r->totals;
        for (int32_t m = 0; m < s->n_measures; m++) {
            if (s->measures[m].kind >= THOUSANDTHS) sizes[s->n_dimensions + m] += (int64_t)(total[D_SIZE] >> 32);
            total += s->measures[m].kind == COUNT ? 1 : s->measures[m].kind == SUM ? 2 : D_WORDS;
        }
    }
}

static int64_t put_histogram(const state *s, const uint64_t *total, int64_t *buckets, int64_t *weights) {
    const uint64_t *table = (const uint64_t *)(uintptr_t)total[D_BUCKETS];
    int64_t n = 0;
    for (uint64_t i = 0; table && i <= (total[D_SIZE] & 0xffffffff); i++) {
        if (!table[i]) continue;
        int64_t at = n++; /* by insertion: most tables are nearly in order */
        for (; at && buckets[at - 1] > (int64_t)table[i]; at--) buckets[at] = buckets[at - 1];
        buckets[at] = (int64_t)table[i];
    }
    for (int64_t i = 0; i < n; i++) {
        uint64_t entry = (uint64_t)buckets[i];
        weights[i] = (int64_t)(entry & 0xffffffffffff);
        buckets[i] = s->representatives[(entry >> 48) - 1];
    }
    return n;
}

/*
 * Write the waiting rows as columns: pane start (seconds), each dimension's texts, offset, events, then of
 * each measure: COUNT: number; SUM: low, high; a distribution: count, sum low, sum high, max, buckets in
 * the row, buckets, weights. The caller gives each column its room (8 bytes a row; texts: songlo_sizes).
 */
EXPORT void songlo_rows(const state *s, void *const *columns) {
    int32_t n_columns = 3 + s->n_dimensions;
    for (int32_t m = 0; m < s->n_measures; m++) n_columns += s->measures[m].kind == COUNT ? 1 : s->measures[m].kind == SUM ? 2 : 7;
    uint8_t **to = copied(columns, sizeof *to * (size_t)n_columns);
    for (int64_t i = 0; i < s->shared.waiting; i++) {
        const row *r = s->waiting[i].row;
        const uint8_t *key = r->key;
        int32_t c = 0;
#define PUT(value) (memcpy(to[c], &(int64_t){(int64_t)(value)}, 8), to[c++] += 8)
        PUT(s->waiting[i].pane->start_ms / 1000);
        for (int32_t d = 0; d < s->n_dimensions; d++) {
            uint16_t length;
            memcpy(&length, key, 2);
            memcpy(to[c], key + 2, length);
            to[c][length] = '\n';
            to[c++] += length + 1;
            key += 2 + length;
        }
        PUT(r->offset);
        PUT(r->events);
        const uint64_t *total = r->totals;
        for (int32_t m = 0; m < s->n_measures; m++) {
            int32_t kind = s->measures[m].kind;
            if (kind <= SUM) {
                PUT(*total++);
                if (kind == SUM) PUT(*total++);
                continue;
            }
            for (int w = 0; w < D_BUCKETS; w++) PUT(total[w]);
            int64_t n = put_histogram(s, total, (int64_t *)(void *)to[c + 1], (int64_t *)(void *)to[c + 2]);
            PUT(n);
            to[c++] += 8 * n;
            to[c++] += 8 * n;
            total += D_WORDS;
        }
#undef PUT
    }
    free(to);
}

/* A closed pane that waits: its start, and its sorted ids; valid until songlo_flushed. */
EXPORT int64_t songlo_closed(const state *s, int64_t i, int64_t *start_ms, const uint64_t **ids) {
    *start_ms = s->closed[i].start_ms;
    *ids = s->closed[i].ids;
    return (int64_t)s->closed[i].n_ids;
}

/* Nothing waits any more. */
EXPORT void songlo_flushed(state *s) {
    for (int64_t i = 0; i < s->shared.waiting; i++) {
        pane *p = s->waiting[i].pane;
        s->waiting[i].row->waiting = 0;
        if (!--p->waiting && p->closed) free_pane(s, p);
    }
    for (int64_t i = 0; i < s->shared.closed; i++) {
        s->shared.bytes -= (int64_t)s->closed[i].n_ids * 8;
        free(s->closed[i].ids);
    }
    s->shared.waiting = s->shared.closed = s->shared.closed_ids = 0;
}

/* ---- creation ---------------------------------------------------------------------------------------- */

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
        to->default_text = copied(from->default_text, to->default_size);
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
    s->representatives = copied(rule->representatives, sizeof *s->representatives * (size_t)rule->n_bounds);
    s->n_bounds = rule->n_bounds;
    int32_t b = 0;
    for (unsigned i = 0; i < 64 * SLICES; i++) {
        unsigned power = i / SLICES, part = i % SLICES; /* the least value of the slice */
        u128 least = ((u128)1 << power) + (((u128)part << power) / SLICES);
        while (b < s->n_bounds - 1 && (power == 0 ? 0 : (u128)s->bounds[b] < least)) b++;
        s->slices[i] = (uint16_t)b;
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
    s->orders = copied(rule->orders, sizeof *s->orders * 2 * (size_t)s->n_orders);
    take_bounds(s, rule);
    s->row_size = sizeof(row);
    for (int32_t i = 0; i < s->n_measures; i++)
        s->row_size += 8 * (size_t)(s->measures[i].kind == COUNT ? 1 : s->measures[i].kind == SUM ? 2 : D_WORDS);
    s->key_room = 16;
    for (int32_t i = 0; i < s->n_dimensions; i++) s->key_room += 2 + widest(&s->fields[s->dimensions[i]]);
    s->event_size = (sizeof(event) + sizeof(slot) * (size_t)s->n_fields + s->key_room + 15) & ~(size_t)15;
    s->ahead = must(calloc(AHEAD, s->event_size));
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
    void *all[] = {s->fields,  s->conditions, s->measures, s->dimensions, s->orders, s->after,   s->bounds, s->representatives,
                   s->ahead,      s->bundle,   s->panes,      s->waiting, s->closed, s};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* The 64-bit XXH3 of up to 240 bytes; for tests. */
EXPORT uint64_t songlo_hash(const uint8_t *bytes, int64_t size) { return xxh3(bytes, (size_t)size); }
