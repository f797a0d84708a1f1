#include "gateway/texts.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

int texts_add(struct texts *t, const char *text)
{
    char *copy = mem_strdup(text);
    if (copy == NULL)
        return ERR_NOMEM;
    /* Doubles at the powers of two. */
    if ((t->count & (t->count - 1)) == 0) {
        size_t room = t->count == 0 ? 1 : t->count * 2;
        char **items = mem_resize(t->items, room, sizeof(*items));
        if (items == NULL) {
            mem_free(copy);
            return ERR_NOMEM;
        }
        t->items = items;
    }
    t->items[t->count++] = copy;
    return 0;
}

int texts_copy(struct texts *dst, const struct texts *src)
{
    for (size_t i = 0; i < src->count; i++) {
        int r = texts_add(dst, src->items[i]);
        if (r < 0) {
            texts_release(dst);
            return r;
        }
    }
    return 0;
}

bool texts_have(const struct texts *t, const char *text)
{
    for (size_t i = 0; i < t->count; i++) {
        if (str_eq(t->items[i], text))
            return true;
    }
    return false;
}

void texts_release(struct texts *t)
{
    for (size_t i = 0; i < t->count; i++)
        mem_free(t->items[i]);
    mem_free(t->items);
    *t = (struct texts){0};
}
