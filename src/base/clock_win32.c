#include "base/clock.h"

#include <windows.h>

#define UNIX_EPOCH_US INT64_C(11644473600000000) /* from 1601-01-01, where FILETIME begins */

uint64_t clock_mono_ns(void)
{
    LARGE_INTEGER ticks;
    LARGE_INTEGER per_s;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&per_s);
    uint64_t t = (uint64_t)ticks.QuadPart;
    uint64_t f = (uint64_t)per_s.QuadPart;
    return t / f * NS_PER_S + t % f * NS_PER_S / f; /* in two parts: t * NS_PER_S would overflow */
}

int64_t clock_wall_us(void)
{
    FILETIME now; /* 100 ns units */
    GetSystemTimePreciseAsFileTime(&now);
    uint64_t units = (uint64_t)now.dwHighDateTime << 32 | now.dwLowDateTime;
    return (int64_t)(units / 10) - UNIX_EPOCH_US;
}
