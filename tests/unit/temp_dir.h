/* A directory that a test makes and removes with everything in it. */
#ifndef STILE_TESTS_TEMP_DIR_H
#define STILE_TESTS_TEMP_DIR_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "testing.h"

#define TEMP_DIR_SIZE 64

static inline void temp_dir_make(char dir[TEMP_DIR_SIZE])
{
    assert_int_equal(str_copy(dir, TEMP_DIR_SIZE, "/tmp/stile-test-XXXXXX"), 0);
    assert_non_null(mkdtemp(dir));
}

static inline void temp_dir_remove(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        char path[512];
        if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
            continue;
        assert_int_equal(str_format(path, sizeof(path), "%s/%s", dir, e->d_name), 0);
        if (e->d_type == DT_DIR)
            temp_dir_remove(path);
        else
            unlink(path);
    }
    if (d != NULL)
        closedir(d);
    rmdir(dir);
}

#endif
