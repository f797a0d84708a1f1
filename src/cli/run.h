/* What `stile run` and its launcher agree on. */
#ifndef STILE_CLI_RUN_H
#define STILE_CLI_RUN_H

/* Exit statuses beside the program's own, as env(1) and timeout(1) use them. */
enum {
    RUN_FAILED = 125, /* stile itself, before or while the program ran */
    RUN_NOT_EXECUTABLE = 126,
    RUN_NOT_FOUND = 127,
};

/* Of the interface that the program sees; superpackets make it matter little (docs/benchmarks.md). */
#define RUN_MTU 65520

#endif
