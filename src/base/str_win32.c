#include "base/str.h"

#include <locale.h>
#include <stdlib.h>

#include "base/err.h"

int str_to_double(const char *s, double *ret_v)
{
    _locale_t plain = _create_locale(LC_ALL, "C");

    if (plain == NULL)
        return ERR_NOMEM;
    *ret_v = _strtod_l(s, NULL, plain);
    _free_locale(plain);
    return 0;
}
