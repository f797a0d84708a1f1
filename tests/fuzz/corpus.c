/* Runs a fuzz harness over the files named as arguments: the committed corpus as an ordinary test.
 *
 * Exits 1 if a file can't be read or is too large, or if there is none. A crash or a sanitizer's report is the failure looked
 * for.
 */
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"

#define MAX_INPUT (1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return -1;
    uint8_t *data = mem_alloc(MAX_INPUT);
    size_t size = data == NULL ? 0 : fread(data, 1, MAX_INPUT, file);
    int r = data == NULL || ferror(file) || size == MAX_INPUT ? -1 : 0;
    if (fclose(file) != 0)
        r = -1;
    if (r == 0) {
        /* Exactly sized, so that a sanitizer sees a read past the end. */
        uint8_t *exact = mem_dup(data, size);
        if (exact != NULL)
            (void)LLVMFuzzerTestOneInput(exact, size); /* it may refuse an input: no failure */
        else
            r = -1;
        mem_free(exact);
    }
    mem_free(data);
    return r;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (run_file(argv[i]) < 0) {
            fprintf(stderr, "%s: not read, or too large\n", argv[i]);
            return 1;
        }
    }
    printf("%d inputs\n", argc - 1);
    return argc > 1 ? 0 : 1;
}
