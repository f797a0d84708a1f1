#include "cli/autostart.h"

#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

#define FILE_CAP ((size_t)16 * 1024)

/* Options of how it is shown, and of this start alone, aren't kept. */
static const char *const kept[] = {"profile",   "range",     "allow-user",
                                   "ipv4-only", "ipv6-only", "mtu"};

static bool is_kept(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if (str_eq(kept[i], name))
            return true;
    return false;
}

static int put_option(struct buf *b, const struct option_value *v)
{
    char line[512];
    int r = str_format(line, sizeof(line), v->option->kind == OPTION_FLAG ? "--%s\n" : "--%s=%s\n",
                       v->option->name, v->text);
    return r < 0 ? r : buf_put_str(b, line);
}

void autostart_set(const struct home *home, const struct cli *cli)
{
    CLEANUP(buf_release) struct buf b;
    struct diag d = {0};
    int r = 0;
    buf_init(&b, FILE_CAP);
    for (size_t i = 0; r == 0 && i < cli->options.count; i++)
        if (is_kept(cli->options.values[i].option->name))
            r = put_option(&b, &cli->options.values[i]);
    if (r == 0)
        r = private_dir_write(&home->root, AUTOSTART_FILE, buf_slice(&b), &d);
    if (r < 0)
        log_debug("not started at the next log-in: %s", d.text[0] != '\0' ? d.text : err_text(r));
}

bool autostart_clear(const struct home *home)
{
    bool there = private_dir_stamp(&home->root, AUTOSTART_FILE) != 0;
    return private_dir_remove(&home->root, AUTOSTART_FILE, NULL) == 0 && there;
}

/* Lines become arguments; the text lives as long as the process. */
static size_t split(char *text, char *argv[OPTIONS_MAX])
{
    size_t count = 0;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line != NULL && count < OPTIONS_MAX;
         line = strtok_r(NULL, "\n", &save))
        argv[count++] = line;
    return count;
}

int autostart_load(const struct home *home, struct cli *cli, struct diag *d)
{
    static char *argv[OPTIONS_MAX + 1];
    const struct options_spec spec = {.own = cli->command->options};
    struct options loaded;
    struct buf b;
    buf_init(&b, FILE_CAP);
    int r = private_dir_read(&home->root, AUTOSTART_FILE, &b, d);
    char *text = r == 0 ? buf_steal_cstr(&b) : NULL;
    buf_release(&b);
    if (r < 0 || text == NULL)
        return r == ERR_NOTFOUND ? 0 : r;
    r = options_parse(&spec, (int)split(text, argv), argv, &loaded, d);
    if (r < 0)
        return diag_prefix(d, "The options of the last start can't be used; run `stile down`, then "
                              "`stile up`: ");
    for (size_t i = 0; i < loaded.count && cli->options.count < OPTIONS_MAX; i++)
        cli->options.values[cli->options.count++] = loaded.values[i];
    return 0;
}
