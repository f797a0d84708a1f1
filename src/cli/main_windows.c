/* stile.exe: the commands that Windows has, and its own way to the arguments (UTF-8 inside, UTF-16 only here). */
#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

#include <shellapi.h>

#include "base/mem.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/hcnproxyctl.h"

/* In the order of `stile help`; commands of one group stand together. One row each. */
/* clang-format off */
const struct command *const cli_commands[] = {
    &command_policy_lookup,
    &command_policy_list,
    &command_policy_apply,
    &command_policy_add,
    &command_policy_remove,
    &command_policy_clear,
    &command_policy_reconcile,
    &command_policy_validate,
    &command_policy_version,
    &command_version,
    &command_help,
    NULL,
};
/* clang-format on */

/* Other names under which the program may be started. */
static const struct program programs[] = {
    {"hcnproxyctl", hcnproxyctl_run},
    {"hcnproxyctrl", hcnproxyctl_run}, /* as its repository spells it */
    {NULL, NULL},
};

/* New memory, or NULL. A lone surrogate, which has no UTF-8, fails. */
static char *utf8_of(const wchar_t *text)
{
    int size = WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, text, -1, NULL, 0, NULL, NULL);
    char *out = size > 0 ? mem_alloc((size_t)size) : NULL;
    if (out != NULL)
        (void)WideCharToMultiByte(CP_UTF8, WC_ERR_INVALID_CHARS, text, -1, out, size, NULL, NULL);
    return out;
}

/* They live as long as the process. */
static char **arguments(int *ret_argc)
{
    int argc = 0;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &argc);
    char **argv = wide != NULL ? mem_array((size_t)argc + 1, sizeof(char *)) : NULL;
    for (int i = 0; argv != NULL && i < argc; i++) {
        argv[i] = utf8_of(wide[i]);
        if (argv[i] == NULL)
            return NULL;
    }
    LocalFree((void *)wide);
    *ret_argc = argc;
    return argv;
}

/* The console's, which outlives the program. */
static UINT code_page;

static void restore_console(void)
{
    (void)SetConsoleOutputCP(code_page);
}

static void open_console(void)
{
    /* What is read and printed is the same on every system: JSON that goes to a file has no carriage returns. */
    (void)_setmode(_fileno(stdin), _O_BINARY);
    (void)_setmode(_fileno(stdout), _O_BINARY);
    (void)_setmode(_fileno(stderr), _O_BINARY);
    code_page = GetConsoleOutputCP();
    if (code_page != 0 && SetConsoleOutputCP(CP_UTF8))
        (void)atexit(restore_console);
}

int main(void)
{
    int argc = 0;
    open_console();
    char **argv = arguments(&argc);
    if (argv == NULL) {
        fputs("stile: Failed to read the command line; is it Unicode text?\n", stderr);
        return CLI_USAGE;
    }
    return command_line_main(programs, argc, argv);
}
