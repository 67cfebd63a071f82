/* Hashes of ids and of keys, and the one by which Kafka finds a partition. */
#pragma once

#include "memory.h"

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

/* Kafka's murmur2, as in org.apache.kafka.common.utils.Utils. */
static inline uint32_t murmur2(const uint8_t *p, size_t size) {
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28c ^ (uint32_t)size;
    for (; size >= 4; size -= 4, p += 4) {
        uint32_t k = read32(p) * m;
        h = h * m ^ (k ^ k >> 24) * m;
    }
    if (size > 2) h ^= (uint32_t)p[2] << 16;
    if (size > 1) h ^= (uint32_t)p[1] << 8;
    if (size) h = (h ^ p[0]) * m;
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}
