/* What every unit test includes first: cmocka and the headers that it needs before it. */
#ifndef STILE_TESTS_UNIT_TESTING_H
#define STILE_TESTS_UNIT_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"

#endif
