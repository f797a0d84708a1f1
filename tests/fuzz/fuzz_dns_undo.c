/* What the D-Bus back-ends noted for undo, from a journal that anything may have happened to: what is accepted is written again as
 * the same bytes. The first byte chooses the back-end. */
#include "netcfg/nm_link.h"
#include "netcfg/resolved_link.h"

static void check(int r, const struct buf *again, struct slice bytes)
{
    if (r < 0 || !slice_eq(buf_slice(again), bytes))
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(resolved_link_release) struct resolved_link resolved;
    CLEANUP(nm_link_release) struct nm_link nm;
    CLEANUP(buf_release) struct buf again;

    resolved_link_init(&resolved);
    nm_link_init(&nm);
    buf_init(&again, 1024 * 1024);
    if (size < 1)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    if (data[0] == 'r' && resolved_link_decode(bytes, &resolved) == 0)
        check(resolved_link_encode(&resolved, &again), &again, bytes);
    if (data[0] == 'n' && nm_link_decode(bytes, &nm) == 0)
        check(nm_link_encode(&nm, &again), &again, bytes);
    return 0;
}
