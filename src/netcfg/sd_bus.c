#include "netcfg/sd_bus.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#define LIBRARY "libsystemd.so.0"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct sd_bus_library library;
static const char *missing; /* the library or function that isn't there; NULL: all are */

static void find(void *handle, const char *name, void *ret_function)
{
    void *symbol = dlsym(handle, name);

    if (symbol == NULL)
        missing = name;
    else
        memcpy(ret_function, &symbol, sizeof(symbol));
}

static void load(void)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);

    if (handle == NULL) {
        missing = LIBRARY;
        return;
    }
#define SD_BUS_FIND(name) find(handle, #name, &library.name);
    SD_BUS_FUNCTIONS(SD_BUS_FIND)
#undef SD_BUS_FIND
}

int sd_bus_library(const struct sd_bus_library **ret, struct diag *d)
{
    pthread_once(&once, load);
    if (missing != NULL)
        return diag_set(d, ERR_NOTFOUND, 0,
                        "Failed to use the system bus: %s is not there (install libsystemd)",
                        missing);
    *ret = &library;
    return 0;
}
