/* Any settings, one NAME=VALUE per line: what makes a policy makes the same one again from its JSON. User and group names are left
 * out, they ask the host. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "policy/l4_json.h"
#include "policy/l4_options.h"

#define SETTINGS_MAX 32

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool asks_the_host(const struct l4_setting *s)
{
    return (str_eq(s->name, "uid") || str_eq(s->name, "gid")) &&
           (s->value[0] < '0' || s->value[0] > '9');
}

/* Cuts the text, which must be the caller's own. */
static size_t split(char *text, struct l4_setting settings[SETTINGS_MAX])
{
    size_t count = 0;

    while (*text != '\0' && count < SETTINGS_MAX) {
        size_t len = strcspn(text, "\n");
        char *next = text + len + (text[len] != '\0');
        text[len] = '\0';
        char *value = strchr(text, '=');
        if (value != NULL) {
            *value = '\0';
            settings[count] = (struct l4_setting){text, value + 1};
            count += !asks_the_host(&settings[count]);
        }
        text = next;
    }
    return count;
}

static void check_round_trip(const struct l4_policy *p)
{
    json_t *json = l4_json_policy(p);
    struct l4_policy again;

    require(json != NULL);
    require(l4_json_read_policy(json, NULL, &again, NULL) == 0);
    require(l4_policy_eq(p, &again));
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct l4_setting settings[SETTINGS_MAX];
    struct l4_policy p;
    struct diag d = {0};
    char *text = mem_strndup(size > 0 ? (const char *)data : "", size);

    if (text == NULL)
        return 0;
    size_t count = split(text, settings);
    int r = l4_options_read(settings, count, &p, &d);
    if (r == 0)
        check_round_trip(&p);
    else
        require(d.err == r && d.text[0] != '\0' && str_is_printable(slice_str(d.text)));
    mem_free(text);
    return 0;
}
