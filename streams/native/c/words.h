/* Short texts as numbers: most dimensions have few values, and a number is cheaper to hash, compare, keep and send. */
#pragma once

#include "hash.h"

/* All ones, then zeros: from `LONGEST_WORD - length` on, the masks of a text's words. */
static const uint8_t ONES_ZEROS[2 * LONGEST_WORD] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

/* With the first of a dimension's words, number 0, which is no text. */
static words *new_words(state *s, int32_t dimension) {
    words *w = hold_zeros(s, NULL, 1, sizeof *w);
    w->dimension = dimension;
    w->packed = grown(s, NULL, NULL, &w->packed_room, 1, LEAST_PACKED, 1);
    w->packed[w->packed_size++] = 0;
    w->number = 1;
    return w;
}

static void free_words(state *s, words *w) {
    if (!w) return;
    given_back(s, NULL, w->packed, w->packed_room);
    given_back(s, NULL, w, sizeof *w);
}

static uint8_t new_word(state *s, words *w, const word *fresh, uint64_t at) {
    if (w->number > MOST_WORDS) return SPELLED;
    size_t size = w->packed_size + 1 + fresh->length;
    w->packed = grown(s, NULL, w->packed, &w->packed_room, size, LEAST_PACKED, 1);
    w->packed[w->packed_size] = (uint8_t)fresh->length;
    memcpy(w->packed + w->packed_size + 1, fresh->part, fresh->length);
    w->packed_size = size;
    w->texts[w->number] = *fresh;
    if (w->number == MOST_WORDS && w == s->words[w->dimension]) s->looking |= 1ull << w->dimension;
    return w->places[at] = (uint8_t)w->number++;
}

/* Seeded: nobody can choose words that share a place. */
static inline uint64_t word_hash(uint64_t part, uint64_t seed) { return fold128(part ^ seed, XXH_PRIME_1 ^ seed); }

static inline uint64_t word_place(uint64_t hash) { return hash >> (64 - WORD_BITS); }

static uint8_t number_of_long(state *s, words *w, const uint8_t *from, size_t length) {
    if (length > LONGEST_WORD) return SPELLED;
    const uint8_t *mask = ONES_ZEROS + LONGEST_WORD - length;
    word it = {.length = length};
    for (size_t i = 0; i < LONGEST_WORD / 8; i++) it.part[i] = read64(from + 8 * i) & read64(mask + 8 * i);
    uint64_t hash = word_hash(word_hash(word_hash(it.part[0], s->seed) ^ it.part[1], s->seed) ^ it.part[2], s->seed);
    for (uint64_t at = word_place(hash);; at = (at + 1) & (WORD_PLACES - 1)) {
        uint8_t number = w->places[at];
        const word *other = &w->texts[number];
        uint64_t differ = other->length ^ length;
        for (size_t i = 0; i < LONGEST_WORD / 8; i++) differ |= other->part[i] ^ it.part[i];
        if (!differ) return number;
        if (!number) return new_word(s, w, &it, at);
    }
}

/*
 * The number of a text, 0 for none: among these words for ever the same one, as it is a part of keys. SPELLED: the text is
 * long, or came when there were MOST_WORDS others; so it stays for ever too. Reads LONGEST_WORD bytes of it.
 */
static inline uint8_t number_of(state *s, words *w, const uint8_t *from, size_t length) {
    if (!length) return 0;
    if (length > 8) return number_of_long(s, w, from, length);
    word it = {.part = {read64(from) & UINT64_MAX >> 8 * (8 - length)}, .length = length};
    for (uint64_t at = word_place(word_hash(it.part[0], s->seed));; at = (at + 1) & (WORD_PLACES - 1)) {
        uint8_t number = w->places[at];
        const word *other = &w->texts[number];
        if (LIKELY(other->part[0] == it.part[0] && other->length == length)) return number;
        if (!number) return new_word(s, w, &it, at);
    }
}

/*
 * Whoever sends enough nonsense takes all the numbers of a dimension. So once they are taken, some new rows are looked at,
 * and where these have few texts, and one of them without a number, the panes to come get new words. Panes that are open keep
 * theirs, as a text must have one key in a pane. What `few` means is in bits of `seen`: those of 223 texts, of 1024 rows.
 */
enum { ROWS_TO_JUDGE = 1024, FEW_SEEN = 200 };

static void look_at(state *s, words *w, uint8_t number, const slot *text) {
    size_t length = number == SPELLED ? (size_t)text->length : 0;
    uint64_t hash = number == SPELLED ? xxh3(text->text, length < 240 ? length : 240) : xxh64_avalanche(number);
    uint64_t place = word_place(word_hash(hash, s->seed));
    w->seen[place / 64] |= 1ull << place % 64;
    if (number == SPELLED && length <= LONGEST_WORD) w->wanting = true;
    if (++w->rows == ROWS_TO_JUDGE) s->looking &= ~(1ull << w->dimension);
}

/* A pane of the words of now has a new row. */
__attribute__((noinline)) static void look_at_row(state *s, const event *e) {
    for (uint64_t left = s->looking; left; left &= left - 1) {
        int32_t d = __builtin_ctzll(left);
        look_at(s, s->words[d], e->key[d], &e->slots[s->dimensions[d]]);
    }
}

/* The words that a pane's keys are made of. */
static inline words *words_of(const state *s, uint64_t alternate, int32_t d) {
    return UNLIKELY((alternate ^ s->alternate) >> d & 1) ? s->older[d] : s->words[d];
}

/* All these rows have a number of the words before, if any. */
static void spell_all(waiting_rows *w, int32_t d) {
    w->sizes[d] += (w->n - w->spelled[d]) * (1 + LONGEST_WORD);
    w->spelled[d] = w->n;
}

static void renew_words(state *s, int32_t d) {
    words *w = s->words[d];
    s->words[d] = new_words(s, d);
    s->looking &= ~(1ull << d);
    s->alternate ^= 1ull << d;
    s->renewals++;
    if (w->panes) s->older[d] = w;
    else free_words(s, w);
    spell_all(&s->waiting, d);
    spell_all(&s->late.rows, d);
}

/* A pane is opened. */
static void take_words(state *s, pane *p) {
    for (int32_t d = 0; d < s->n_dimensions; d++) {
        words *w = s->words[d];
        if (UNLIKELY(w->rows >= ROWS_TO_JUDGE)) {
            int seen = 0;
            for (size_t i = 0; i < sizeof w->seen / sizeof *w->seen; i++) seen += __builtin_popcountll(w->seen[i]);
            bool few = w->wanting && seen < FEW_SEEN && !s->older[d];
            memset(w->seen, 0, sizeof w->seen);
            w->rows = w->wanting = 0;
            s->looking |= 1ull << d;
            if (few) renew_words(s, d);
        }
        s->words[d]->panes++;
    }
    p->words = s->alternate;
}

/* A pane is freed. */
static void leave_words(state *s, const pane *p) {
    for (int32_t d = 0; d < s->n_dimensions; d++) {
        words *w = words_of(s, p->words, d);
        if (--w->panes || w == s->words[d]) continue;
        free_words(s, w);
        s->older[d] = NULL;
    }
}
