/* Memory, all of it counted: a worker without memory dies, and its successor replays. */
#pragma once

#include "state.h"

static void *must(void *memory) {
    if (!memory) {
        fputs("songlo: the compiled fold is out of memory\n", stderr);
        abort();
    }
    return memory;
}

/* What a piece of memory takes of the heap: beside itself a word, in pairs of words. */
static inline int64_t weight(size_t size) { return size < 24 ? 32 : (int64_t)((size + 23) & ~(size_t)15); }

/* From now on so many bytes more are held, by the pane if there is one. */
static inline void charge(state *s, pane *p, int64_t bytes) {
    s->shared.bytes += bytes;
    if (p) p->bytes += bytes;
}

static void *hold(state *s, pane *p, size_t size) {
    charge(s, p, weight(size));
    return must(malloc(size));
}

static void *hold_zeros(state *s, pane *p, size_t number, size_t each) {
    charge(s, p, weight(number * each));
    return must(calloc(number ? number : 1, each));
}

static void *hold_copy(state *s, const void *bytes, size_t size) {
    void *copy = hold(s, NULL, size ? size : 1);
    if (size) memcpy(copy, bytes, size);
    return copy;
}

/* Memory for exactly so many. */
static void *resized(state *s, pane *p, void *memory, size_t *room, size_t wanted, size_t each) {
    charge(s, p, weight(wanted * each) - (memory ? weight(*room * each) : 0));
    *room = wanted;
    return must(realloc(memory, wanted * each));
}

/* Memory for at least so many, the first time for `least`. */
static void *grown(state *s, pane *p, void *memory, size_t *room, size_t wanted, size_t least, size_t each) {
    if (wanted <= *room) return memory;
    size_t size = *room ? *room : least;
    while (size < wanted) size *= 2;
    return resized(s, p, memory, room, size, each);
}

static void *given_back(state *s, pane *p, void *memory, size_t size) {
    if (memory) charge(s, p, -weight(size));
    free(memory);
    return NULL;
}

/* Short copies without a call; up to seven bytes more than asked for are read and written. */
static inline void copy_words(uint8_t *to, const uint8_t *from, size_t size) {
    for (size_t i = 0; i < size; i += 8) memcpy(to + i, from + i, 8);
}

/* A text's length, in seven bits a byte. */
static inline uint8_t *put_length(uint8_t *to, uint32_t length) {
    for (; length > 127; length >>= 7) *to++ = (uint8_t)(length | 128);
    *to++ = (uint8_t)length;
    return to;
}

static size_t chunk_bytes(size_t room) { return sizeof(chunk) + room + 8; /* for copy_words */ }

/* Memory of a pane for as long as it lives, in chunks that grow with it. */
static void *arena_take(state *s, pane *p, size_t size) {
    size = (size + 7) & ~(size_t)7;
    chunk *top = p->arena;
    if (!top || top->size - top->used < size) {
        size_t room = !top ? FIRST_CHUNK : top->size < CHUNK / 2 ? top->size * 2 : CHUNK;
        if (size > room) room = size;
        chunk *fresh = hold(s, p, chunk_bytes(room));
        *fresh = (chunk){.before = top, .size = room};
        p->arena = top = fresh;
    }
    void *taken = top->bytes + top->used;
    top->used += size;
    return taken;
}
