/* Memory: a worker without memory dies, and its successor replays. */
#pragma once

#include "state.h"

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

/* Short copies without a call; up to seven bytes more than asked for are read and written. */
static inline void copy_words(uint8_t *to, const uint8_t *from, size_t size) {
    for (size_t i = 0; i < size; i += 8) memcpy(to + i, from + i, 8);
}

static void *arena_take(state *s, chunk **arena, size_t size) {
    size = (size + 7) & ~(size_t)7;
    chunk *top = *arena;
    if (!top || top->size - top->used < size) {
        size_t room = size > CHUNK / 4 ? size : top ? CHUNK : CHUNK / 8;
        chunk *fresh = must(malloc(sizeof(chunk) + room + 8)); /* for copy_words */
        *fresh = (chunk){.before = top, .size = room};
        s->shared.bytes += (int64_t)(sizeof(chunk) + room);
        *arena = top = fresh;
    }
    void *taken = top->bytes + top->used;
    top->used += size;
    return taken;
}
