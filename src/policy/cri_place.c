#include "policy/cri_place.h"

#include "base/buf.h"

int cri_place_none(struct diag *d)
{
    struct buf list;
    buf_init(&list, sizeof(d->text));
    for (const char *const *p = cri_places; *p != NULL; p++)
        (void)buf_printf(&list, "%s%s", p == cri_places ? "" : ", ", *p);
    const char *text = buf_cstr(&list);
    diag_set(d, ERR_NOTFOUND, 0,
             "No container runtime is running here (looked for %s): start it, or name its socket "
             "with --runtimeendpoint",
             text != NULL ? text : "its socket");
    buf_release(&list);
    return ERR_NOTFOUND;
}
