#include "netcfg/store.h"

void store_close(struct store *s)
{
    if (s != NULL)
        s->ops->close(s);
}
