/* Short texts as numbers: most dimensions have few values, and a number is cheaper to hash, compare, keep and send. */
#pragma once

#include "hash.h"

/* All ones, then zeros: from `LONGEST_WORD - length` on, the masks of a text's words. */
static const uint8_t ONES_ZEROS[2 * LONGEST_WORD] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

/* The first of a dimension's words, number 0. */
static void take_no_text(words *w) {
    w->packed = grown(w->packed, &w->packed_room, 1, 1);
    w->packed[w->packed_size++] = 0;
    w->number = 1;
}

static uint8_t new_word(words *w, const word *fresh, uint64_t at) {
    if (w->number > MOST_WORDS) return SPELLED;
    size_t size = w->packed_size + 1 + fresh->length;
    w->packed = grown(w->packed, &w->packed_room, size, 1);
    w->packed[w->packed_size] = (uint8_t)fresh->length;
    memcpy(w->packed + w->packed_size + 1, fresh->part, fresh->length);
    w->packed_size = size;
    w->texts[w->number] = *fresh;
    return w->places[at] = (uint8_t)w->number++;
}

/* Not a hash to rely upon, but a dimension has few words: those that collide cost a little time. */
static inline uint64_t word_place(uint64_t mixed, uint64_t seed) { return ((mixed ^ seed) * XXH_PRIME_1) >> (64 - WORD_BITS); }

static uint8_t number_of_long(words *w, const uint8_t *from, size_t length, uint64_t seed) {
    if (length > LONGEST_WORD) return SPELLED;
    const uint8_t *mask = ONES_ZEROS + LONGEST_WORD - length;
    word it = {.length = length};
    for (size_t i = 0; i < LONGEST_WORD / 8; i++) it.part[i] = read64(from + 8 * i) & read64(mask + 8 * i);
    uint64_t at = word_place(it.part[0] ^ rotated(it.part[1], 23) ^ rotated(it.part[2], 41), seed);
    for (;; at = (at + 1) & (WORD_PLACES - 1)) {
        uint8_t number = w->places[at];
        const word *other = &w->texts[number];
        uint64_t differ = other->length ^ length;
        for (size_t i = 0; i < LONGEST_WORD / 8; i++) differ |= other->part[i] ^ it.part[i];
        if (!differ) return number;
        if (!number) return new_word(w, &it, at);
    }
}

/*
 * The number of a text, 0 for none: for ever the same one, as it is a part of keys. SPELLED: the text is long, or came
 * when there were MOST_WORDS others; so it stays for ever too. Reads LONGEST_WORD bytes of it.
 */
static inline uint8_t number_of(words *w, const uint8_t *from, size_t length, uint64_t seed) {
    if (!length) return 0;
    if (length > 8) return number_of_long(w, from, length, seed);
    word it = {.part = {read64(from) & UINT64_MAX >> 8 * (8 - length)}, .length = length};
    for (uint64_t at = word_place(it.part[0], seed);; at = (at + 1) & (WORD_PLACES - 1)) {
        uint8_t number = w->places[at];
        const word *other = &w->texts[number];
        if (LIKELY(other->part[0] == it.part[0] && other->length == length)) return number;
        if (!number) return new_word(w, &it, at);
    }
}
