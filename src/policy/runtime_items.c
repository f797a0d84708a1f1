#include "policy/runtime_items.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/str.h"
#include "policy/cri_object.h"

void runtime_items_init(struct runtime_items *l)
{
    uint8_t secret[16];
    random_bytes(secret, sizeof(secret));
    table_init(&l->by_id, secret);
    list_init(&l->all);
    l->listing = 0;
}

void runtime_items_release(struct runtime_items *l)
{
    LIST_FOR_EACH (node, &l->all)
        mem_free(LIST_ENTRY(node, struct runtime_item, node));
    list_init(&l->all);
    table_release(&l->by_id);
}

void runtime_items_begin(struct runtime_items *l)
{
    l->listing++;
}

struct runtime_item *runtime_items_find(const struct runtime_items *l, const char *id)
{
    return table_get(&l->by_id, slice_str(id));
}

static int add(struct runtime_items *l, const char *id, struct runtime_item **ret)
{
    CLEANUP(mem_freep) struct runtime_item *item = NEW(struct runtime_item);
    if (item == NULL)
        return ERR_NOMEM;
    (void)str_format(item->id, sizeof(item->id), "%s", id);
    int r = table_put(&l->by_id, slice_str(item->id), item);
    if (r < 0)
        return r;
    list_push_back(&l->all, &item->node);
    *ret = STEAL(item);
    return 0;
}

int runtime_items_saw(struct runtime_items *l, const char *id, const char *sandbox_id, bool sandbox)
{
    if (!cri_id_ok(id))
        return 0;
    struct runtime_item *item = runtime_items_find(l, id);
    if (item == NULL) {
        int r = add(l, id, &item);
        if (r < 0)
            return r;
    }
    item->sandbox = sandbox;
    item->seen = l->listing;
    (void)str_format(item->sandbox_id, sizeof(item->sandbox_id), "%s",
                     cri_id_ok(sandbox_id) ? sandbox_id : "");
    return 0;
}

static bool is_due(const struct runtime_items *l, const struct runtime_item *item)
{
    if (item->seen != l->listing || item->told || item->tried == l->listing || item->look != NULL)
        return false;
    const struct runtime_item *sandbox =
        item->sandbox ? NULL : runtime_items_find(l, item->sandbox_id);
    return sandbox == NULL || sandbox->look == NULL;
}

struct runtime_item *runtime_items_next(const struct runtime_items *l)
{
    struct runtime_item *container = NULL;
    LIST_FOR_EACH (node, &l->all) {
        struct runtime_item *item = LIST_ENTRY(node, struct runtime_item, node);
        if (!is_due(l, item))
            continue;
        if (item->sandbox)
            return item;
        if (container == NULL)
            container = item;
    }
    return container;
}

void runtime_items_put_last(struct runtime_items *l, struct runtime_item *item)
{
    list_remove(&item->node);
    list_push_back(&l->all, &item->node);
}

struct runtime_item *runtime_items_next_gone(const struct runtime_items *l)
{
    LIST_FOR_EACH (node, &l->all) {
        struct runtime_item *item = LIST_ENTRY(node, struct runtime_item, node);
        if (item->seen != l->listing)
            return item;
    }
    return NULL;
}

void runtime_items_remove(struct runtime_items *l, struct runtime_item *item)
{
    (void)table_remove(&l->by_id, slice_str(item->id));
    list_remove(&item->node);
    mem_free(item);
}

size_t runtime_items_problems(const struct runtime_items *l)
{
    size_t count = 0;
    LIST_FOR_EACH (node, &l->all)
        count += LIST_ENTRY(node, struct runtime_item, node)->problem;
    return count;
}

void runtime_items_forget_told(struct runtime_items *l)
{
    LIST_FOR_EACH (node, &l->all) {
        struct runtime_item *item = LIST_ENTRY(node, struct runtime_item, node);
        item->told = false;
        item->problem = false;
    }
}
