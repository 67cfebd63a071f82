/* Scanning values of JSON. NULL means 'not sure'. */
#pragma once

#include "words.h"

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

/* The number that two digits are; below -900 where they are none. */
static inline int two(text p) { return digit(p[0]) && digit(p[1]) ? (p[0] - '0') * 10 + p[1] - '0' : -1000; }

/* "2024-05-13T08:00:00[.fraction of 1 to 6 digits](Z|+hh:mm|-hh:mm)" as epoch milliseconds. */
static text scan_moment(text p, text end, int64_t *ms) {
    static const uint8_t DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (end - p < 22 || *p++ != '"') return NULL;
    int year = two(p) == 20 ? 2000 + two(p + 2) : 0, month = two(p + 5), day = two(p + 8);
    int hour = two(p + 11), minute = two(p + 14), second = two(p + 17);
    if (p[4] != '-' || p[7] != '-' || p[10] != 'T' || p[13] != ':' || p[16] != ':') return NULL;
    if (year < 2000 || month < 1 || month > 12 || day < 1) return NULL;
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
