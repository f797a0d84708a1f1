#include "rpc/memory.h"

#include "base/mem.h"

/* Before each block: its size, for the wipe. Keeps the block aligned for any type. */
struct head {
    _Alignas(max_align_t) size_t size;
};

static void *h2_alloc(size_t size, UNUSED void *user)
{
    return mem_alloc(size);
}

static void *h2_zalloc(size_t count, size_t size, UNUSED void *user)
{
    return mem_array(count, size);
}

static void *h2_resize(void *p, size_t size, UNUSED void *user)
{
    return mem_resize(p, size, 1);
}

static void h2_free(void *p, UNUSED void *user)
{
    mem_free(p);
}

nghttp2_mem *rpc_memory_nghttp2(void)
{
    static nghttp2_mem memory = {NULL, h2_alloc, h2_free, h2_zalloc, h2_resize};
    return &memory;
}

static void *unpack_alloc(void *data, size_t size)
{
    struct rpc_budget *budget = data;
    if (budget == NULL || size >= budget->left || budget->left - size < sizeof(struct head))
        return NULL;
    struct head *h = mem_alloc(sizeof(*h) + size);
    if (h == NULL)
        return NULL;
    budget->left -= sizeof(*h) + size;
    h->size = size;
    return h + 1;
}

static void unpack_free(UNUSED void *data, void *p)
{
    if (p == NULL)
        return;
    struct head *h = (struct head *)p - 1;
    mem_free_wiped(h, sizeof(*h) + h->size);
}

ProtobufCAllocator rpc_memory_unpack(struct rpc_budget *budget)
{
    return (ProtobufCAllocator){unpack_alloc, unpack_free, budget};
}

ProtobufCAllocator *rpc_memory_free(void)
{
    static ProtobufCAllocator allocator = {unpack_alloc, unpack_free, NULL};
    return &allocator;
}
