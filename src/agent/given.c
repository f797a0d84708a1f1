#include "agent/given.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/random.h"

/* Over the packed form, which has unknown fields too: nothing can be added unseen. */
static int digest_of(const ProtobufCMessage *message, uint8_t digest[GIVEN_DIGEST])
{
    size_t size = protobuf_c_message_get_packed_size(message);
    CLEANUP(mem_freep) uint8_t *packed = mem_alloc(size);
    if (packed == NULL)
        return ERR_NOMEM;
    protobuf_c_message_pack(message, packed);
    return EVP_Digest(packed, size, digest, NULL, EVP_sha256(), NULL) == 1 ? 0 : ERR_INTERNAL;
}

int given_init(struct given *g)
{
    uint8_t secret[16];
    random_bytes(secret, sizeof(secret));
    table_init(&g->table, secret);
    g->digests = mem_array(GIVEN_MAX, GIVEN_DIGEST);
    g->count = 0;
    g->next = 0;
    return g->digests == NULL ? ERR_NOMEM : 0;
}

void given_release(struct given *g)
{
    table_release(&g->table);
    mem_free(g->digests);
    g->digests = NULL;
}

int given_add(struct given *g, const ProtobufCMessage *message)
{
    uint8_t digest[GIVEN_DIGEST];
    int r = digest_of(message, digest);
    if (r < 0)
        return r;
    if (table_get(&g->table, slice_of(digest, sizeof(digest))) != NULL)
        return 0;
    uint8_t *slot = g->digests[g->next];
    if (g->count == GIVEN_MAX)
        table_remove(&g->table, slice_of(slot, GIVEN_DIGEST));
    memcpy(slot, digest, GIVEN_DIGEST);
    r = table_put(&g->table, slice_of(slot, GIVEN_DIGEST), slot);
    if (r < 0)
        return r;
    g->next = (g->next + 1) % GIVEN_MAX;
    g->count = MIN(g->count + 1, (size_t)GIVEN_MAX);
    return 0;
}

bool given_has(const struct given *g, const ProtobufCMessage *message)
{
    uint8_t digest[GIVEN_DIGEST];
    return digest_of(message, digest) == 0 &&
           table_get(&g->table, slice_of(digest, sizeof(digest))) != NULL;
}
