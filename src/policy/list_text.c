#include "policy/list_text.h"

#include <string.h>

#include "base/str.h"
#include "policy/shown.h"

static struct slice trimmed(const char *text, size_t len)
{
    while (len > 0 && text[0] == ' ') {
        text++;
        len--;
    }
    while (len > 0 && text[len - 1] == ' ')
        len--;
    return slice_of(text, len);
}

int list_text_each(const char *list, list_item_fn *on_item, void *arg, struct diag *d)
{
    char item[LIST_ITEM_SIZE];
    const char *next = list;

    for (;;) {
        size_t len = strcspn(next, ",");
        struct slice text = trimmed(next, len);
        if (text.len == 0)
            return diag_set(d, ERR_FORMAT, 0,
                            "there is nothing between two commas, or at an end of the list \"%s\"",
                            shown(list).text);
        if (str_copy_slice(item, sizeof(item), text) < 0)
            return diag_set(d, ERR_FORMAT, 0, "\"%s\" is too long", shown(next).text);
        int r = on_item(arg, item, d);
        if (r < 0)
            return r;
        if (next[len] == '\0')
            return 0;
        next += len + 1;
    }
}
