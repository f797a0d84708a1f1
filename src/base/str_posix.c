#include "base/str.h"

#include <locale.h>
#include <stdlib.h>

#include "base/err.h"

int str_to_double(const char *s, double *ret_v)
{
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);

    if (plain == (locale_t)0)
        return ERR_NOMEM;
    *ret_v = strtod_l(s, NULL, plain);
    freelocale(plain);
    return 0;
}
