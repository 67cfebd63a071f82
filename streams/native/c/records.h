/* One record of Kafka's format v2, its numbers read as Kafka reads them. */
#pragma once

#include "log.h"

/* As Kafka's ByteUtils: zigzag, of at most five bytes, of which 32 bits count. */
static inline bool read_varint(const uint8_t *data, int64_t size, int64_t *at, int64_t *value) {
    int64_t i = *at;
    uint32_t v, byte;
    if (UNLIKELY(i >= size)) return false;
    v = data[i++];
    if (v > 127) {
        v &= 127;
        for (int shift = 7;; shift += 7) {
            if (shift > 28 || i >= size) return false;
            byte = data[i++];
            v |= (byte & 127) << shift;
            if (byte < 128) break;
        }
    }
    *at = i;
    *value = (int32_t)(v >> 1 ^ -(v & 1));
    return true;
}

/* Of at most ten bytes. */
static inline bool skip_varlong(const uint8_t *data, int64_t size, int64_t *at) {
    for (int i = 0; i < 10 && *at < size; i++)
        if (!(data[(*at)++] & 128)) return true;
    return false;
}

static bool read_record(const uint8_t *data, int64_t size, int64_t at, record *r) {
    int64_t length;
    if (!read_varint(data, size, &at, &length) || length < 1 || length > size - at) return false;
    r->next = at + length;
    at++; /* attributes; the broker has set one time for the whole batch */
    if (!skip_varlong(data, r->next, &at) || !read_varint(data, r->next, &at, &r->delta)) return false;
    if (!read_varint(data, r->next, &at, &r->key_size) || r->key_size > r->next - at) return false;
    r->key_at = at;
    if (r->key_size < 0) r->key_size = -1;
    else at += r->key_size;
    if (!read_varint(data, r->next, &at, &r->value_size) || r->value_size > r->next - at) return false;
    r->value_at = at;
    if (r->value_size < 0) r->value_size = -1;
    return true;
}
