/* Kafka's log: record batches of format v2, their headers and checksums. */
#pragma once

#include "hash.h"

/* Where a batch's records stand, and what its header says of them. */
typedef struct {
    int64_t base_offset, next_offset, append_ms, count;
    int64_t at, records_at, end;
    int64_t room; /* offsets that have no record */
    uint32_t crc;
    uint16_t attributes;
} batch;

/* Positions in a batch's header; the length counts what follows it, the checksum is of what follows that. */
enum { LENGTH_AT = 8, MAGIC_AT = 16, CRC_AT = 17, ATTRIBUTES_AT = 21, LAST_AT = 23, APPEND_AT = 35, COUNT_AT = 57, RECORDS_AT = 61 };

static inline uint32_t big32(const uint8_t *p) { return __builtin_bswap32(read32(p)); }

static inline int64_t big64(const uint8_t *p) { return (int64_t)__builtin_bswap64(read64(p)); }

/* The whole batch that begins at byte `at`; false where none of format v2 does. */
static bool read_batch(const uint8_t *data, int64_t size, int64_t at, batch *b) {
    if (size - at < RECORDS_AT) return false;
    const uint8_t *p = data + at;
    int64_t length = (int64_t)(int32_t)big32(p + LENGTH_AT) + LENGTH_AT + 4, last = (int32_t)big32(p + LAST_AT);
    b->base_offset = big64(p);
    if (p[MAGIC_AT] != 2 || length < RECORDS_AT || length > size - at || b->base_offset < 0) return false;
    if (b->base_offset >> OFFSET_BITS || last < 0) return false;
    b->next_offset = b->base_offset + last + 1;
    b->append_ms = big64(p + APPEND_AT);
    b->count = (int32_t)big32(p + COUNT_AT);
    b->room = last + 1 - b->count;
    b->at = at;
    b->records_at = at + RECORDS_AT;
    b->end = at + length;
    b->crc = big32(p + CRC_AT);
    b->attributes = (uint16_t)(p[ATTRIBUTES_AT] << 8 | p[ATTRIBUTES_AT + 1]);
    return b->count >= 0 && b->count <= last + 1;
}

#if defined(__x86_64__)
#include <nmmintrin.h>

static bool can_check(void) { return __builtin_cpu_supports("sse4.2"); }

/* Check as many batches at once as the processor computes checksums side by side; how many are right from the first on. */
enum { ABREAST = 3 };

__attribute__((target("sse4.2"))) static size_t check(const uint8_t *data, const batch *batches, size_t n) {
    uint64_t crc[ABREAST] = {0xffffffff, 0xffffffff, 0xffffffff};
    const uint8_t *p[ABREAST];
    size_t common = SIZE_MAX;
    for (size_t i = 0; i < ABREAST; i++) { /* of fewer batches the last one is computed again */
        const batch *b = &batches[i < n ? i : n - 1];
        size_t size = (size_t)(b->end - b->at - ATTRIBUTES_AT);
        p[i] = data + b->at + ATTRIBUTES_AT;
        if (size < common) common = size;
    }
    for (; common >= 8; common -= 8)
        for (size_t i = 0; i < ABREAST; i++, p[i - 1] += 8) crc[i] = _mm_crc32_u64(crc[i], read64(p[i]));
    for (size_t i = 0; i < n; i++) {
        const uint8_t *end = data + batches[i].end;
        for (; end - p[i] >= 8; p[i] += 8) crc[i] = _mm_crc32_u64(crc[i], read64(p[i]));
        for (; p[i] < end; p[i]++) crc[i] = _mm_crc32_u8((uint32_t)crc[i], *p[i]);
        if (((uint32_t)crc[i] ^ 0xffffffff) != batches[i].crc) return i;
    }
    return n;
}
#else
enum { ABREAST = 1 };
static bool can_check(void) { return false; }
static size_t check(const uint8_t *data, const batch *batches, size_t n) { return (void)data, (void)batches, n * 0; }
#endif

/*
 * From byte `at` on, the end of the batches that can be folded as they stand: whole, with the right
 * checksum, none of the attributes `stops`, each before the next one's offset (which no checksum covers),
 * and together at most `most` bytes, or one batch. `at` where there are none. Sets the offset after the last one.
 */
EXPORT int64_t songlo_run(const uint8_t *data, int64_t size, int64_t at, int64_t most, int64_t stops, int64_t *next_offset) {
    if (!can_check()) return at;
    int64_t end = at;
    for (;;) {
        batch some[ABREAST];
        size_t n = 0;
        for (int64_t next = end; n < ABREAST && read_batch(data, size, next, &some[n]); next = some[n++].end) {
            if (some[n].attributes & stops || (next > at && some[n].end - at > most)) break;
            if (size - some[n].end >= 8 && big64(data + some[n].end) < some[n].next_offset) break;
        }
        size_t right = n ? check(data, some, n) : 0;
        if (right) {
            end = some[right - 1].end;
            *next_offset = some[right - 1].next_offset;
        }
        if (right < ABREAST) return end;
    }
}
