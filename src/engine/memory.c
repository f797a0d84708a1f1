#include "engine/memory.h"

#include <malloc.h>

#include "base/mem.h"

#define KEEP_BYTES (64 * 1024 * 1024) /* unused, at the end of an arena */
#define MAP_BYTES  (4 * 1024 * 1024)  /* larger ones are mapped, each by itself */
#define TRIM_BYTES (64 * 1024)
#define ARENAS_MAX 17 /* one per worker, and the first */

void memory_keep(void)
{
    (void)mallopt(M_ARENA_MAX, ARENAS_MAX);
    (void)mallopt(M_MMAP_THRESHOLD, MAP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
}

/* Small free pieces stay where a burst left them, each holding a page, until others of its size are asked for and given back: that
 * merges them with their neighbours.
 */
static void merge_pieces(void)
{
    enum { SIZES = 64, FIRST = 24, STEP = 16, COUNT = 14 };
    void *pieces[SIZES][COUNT];

    for (size_t i = 0; i < SIZES; i++)
        for (size_t k = 0; k < COUNT; k++)
            pieces[i][k] = mem_alloc(FIRST + i * STEP);
    for (size_t i = 0; i < SIZES; i++)
        for (size_t k = 0; k < COUNT; k++)
            mem_free(pieces[i][COUNT - 1 - k]);
}

/* glibc trims an arena's end only when something large is freed in that arena; malloc_trim leaves it alone in all but the first. */
void memory_give_back_own(void)
{
    merge_pieces();
    (void)mallopt(M_TRIM_THRESHOLD, TRIM_BYTES);
    mem_free(mem_alloc((size_t)4 * TRIM_BYTES));
    (void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
}

void memory_give_back_all(void)
{
    merge_pieces();
    (void)malloc_trim(0);
}
