/* Comma-separated lists in settings: "80, 443". Pure. */
#ifndef STILE_POLICY_LIST_TEXT_H
#define STILE_POLICY_LIST_TEXT_H

#include "base/err.h"

#define LIST_ITEM_SIZE 128

/* Called for each item, without the spaces around it. */
typedef int list_item_fn(void *arg, const char *item, struct diag *d);

/* Stops at the first error. ERR_FORMAT for an empty item ("80,,443", also the empty list) or one
 * that is too long. */
int list_text_each(const char *list, list_item_fn *on_item, void *arg, struct diag *d);

#endif
