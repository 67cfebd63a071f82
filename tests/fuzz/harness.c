/*
 * fold.c under libFuzzer, in one library that Python loads: Python is the judge of each input, and its decisions
 * count as coverage beside the edges of the C code.
 */
#include <sanitizer/allocator_interface.h>
#include <stdint.h>
#include <stdlib.h>

/* the bytes that the fold really holds, to be compared with what it says */
static int64_t held;

/* With what the heap of the C library adds: a word, in pairs of words, and four of them at least. */
static int64_t size_of(const void *memory) {
    size_t size = memory ? __sanitizer_get_allocated_size(memory) : 0;
    return !memory ? 0 : size < 24 ? 32 : (int64_t)((size + 23) & ~(size_t)15);
}

static void *taken(void *memory) {
    held += size_of(memory);
    return memory;
}

static void given_up(void *memory) {
    held -= size_of(memory);
    free(memory);
}

static void *taken_again(void *memory, size_t size) {
    held -= size_of(memory);
    return taken(realloc(memory, size));
}

#define malloc(size) taken(malloc(size))
#define calloc(count, size) taken(calloc(count, size))
#define aligned_alloc(line, size) taken(aligned_alloc(line, size))
#define realloc taken_again
#define free given_up
#include "fold.c"
#undef malloc
#undef free

EXPORT int64_t songlo_held(void) { return held; }

typedef int (*judge)(const uint8_t *data, int64_t size);
typedef int64_t (*mutator)(uint8_t *data, int64_t size, int64_t most, uint32_t seed);

int LLVMFuzzerRunDriver(int *count, char ***arguments, int (*one)(const uint8_t *data, size_t size));
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);

/* one for each feature that the judge met in an input; libFuzzer clears them */
EXPORT __attribute__((section("__libfuzzer_extra_counters"))) uint8_t songlo_met[4096];

static judge judged;
static mutator mutated;

static int one(const uint8_t *data, size_t size) { return judged(data, (int64_t)size); }

/* One mutation of five knows what an event is, if it can; the others know only bytes. */
EXPORT size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most, unsigned seed) {
    int64_t made = seed % 5 ? -1 : mutated(data, (int64_t)size, (int64_t)most, seed / 5);
    return made < 0 ? LLVMFuzzerMutate(data, size, most) : (size_t)made;
}

/* libFuzzer's main; returns when its time is over, or doesn't. */
EXPORT int songlo_fuzz(int count, char **arguments, judge by, mutator with) {
    judged = by;
    mutated = with;
    return LLVMFuzzerRunDriver(&count, &arguments, one);
}

/* As songlo_fold, on memory of just that size, so that one byte too many is seen; kept for as long as there is more to fold. */
EXPORT int songlo_fold_copy(state *s, const uint8_t *data, int64_t size) {
    static uint8_t *copy;
    static int64_t copied_size;
    if (!copy || size != copied_size || memcmp(copy, data, (size_t)size)) {
        free(copy);
        copy = must(malloc((size_t)size + !size));
        memcpy(copy, data, (size_t)size);
        copied_size = size;
    }
    int how = songlo_fold(s, copy, size);
    if (how != HANDED_OVER) {
        free(copy);
        copy = NULL;
    }
    return how;
}
