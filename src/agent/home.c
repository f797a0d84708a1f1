#include "agent/home.h"

#include <stdlib.h>

#include "base/str.h"

static int default_path(char path[PRIVATE_PATH_SIZE], struct diag *d)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *user = getenv("HOME");
    int r = ERR_NOTFOUND;
    if (!str_is_empty(config) && config[0] == '/')
        r = str_format(path, PRIVATE_PATH_SIZE, "%s/stile", config);
    else if (!str_is_empty(user) && user[0] == '/')
        r = str_format(path, PRIVATE_PATH_SIZE, "%s/.config/stile", user);
    if (r < 0)
        return diag_set(d, r, 0,
                        "There is no home directory to keep profiles in: HOME isn't set; "
                        "give a directory with --home or STILE_HOME");
    return 0;
}

int home_open(const char *path, struct home *ret, struct diag *d)
{
    char chosen[PRIVATE_PATH_SIZE];
    CLEANUP(home_close) struct home home = HOME_NONE;
    if (path == NULL) {
        int r = default_path(chosen, d);
        if (r < 0)
            return r;
        path = chosen;
    }
    int r = private_dir_open(path, true, &home.root, d);
    if (r < 0)
        return r;
    r = private_dir_sub(&home.root, "profiles", true, &home.profiles, d);
    if (r < 0)
        return r;
    r = private_dir_sub(&home.root, "agents", true, &home.agents, d);
    if (r < 0)
        return r;
    *ret = home;
    home = HOME_NONE;
    return 0;
}

void home_close(struct home *home)
{
    private_dir_close(&home->agents);
    private_dir_close(&home->profiles);
    private_dir_close(&home->root);
}
