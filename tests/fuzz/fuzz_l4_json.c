/* Any text: what is read as policies is written so that it reads back the same, and what is refused is told in printable words. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "policy/l4_check.h"
#include "policy/l4_json.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_text(void *arg, size_t policy, const char *text)
{
    const struct l4_policies *l = arg;

    require(policy < l->count && text[0] != '\0' && str_is_printable(slice_str(text)));
}

static void count_text(void *arg, size_t policy, const char *text)
{
    size_t *count = arg;

    require(policy < L4_POLICIES_MAX && text[0] != '\0' && str_is_printable(slice_str(text)));
    ++*count;
}

static void check_policy(const struct l4_policy *p)
{
    CLEANUP(buf_release) struct buf line;

    require(p->protocols != 0 && (p->protocols & ~(unsigned)(L4_TCP | L4_UDP)) == 0);
    require(p->local_ports.count <= PORT_SET_MAX && p->local_addresses.count <= PREFIX_SET_MAX);
    buf_init(&line, SIZE_MAX);
    require(l4_policy_format(p, &line) == 0);
    require(str_is_printable(buf_slice(&line)));
}

static void check_round_trip(const struct l4_policies *l)
{
    CLEANUP(buf_release) struct buf once, twice;
    struct l4_policies again;

    buf_init(&once, SIZE_MAX);
    buf_init(&twice, SIZE_MAX);
    require(l4_json_write(l, &once) == 0);
    if (buf_len(&once) > L4_JSON_MAX)
        return;
    require(l4_json_read(buf_slice(&once), &again, NULL) == 0);
    require(l4_policies_eq(l, &again));
    require(l4_json_write(&again, &twice) == 0);
    require(slice_eq(buf_slice(&once), buf_slice(&twice)));
    l4_policies_release(&again);
}

/* Also with what can't be read in the list, everything that is wrong can be said. */
static void check_all(struct slice text, int err)
{
    struct l4_policies l;
    struct diag d = {0};
    size_t problems = 0;

    int r = l4_json_read_all(text, &l, count_text, &problems, &d);
    if (r < 0) {
        require(err == r && problems == 0 && d.text[0] != '\0');
        return;
    }
    require((err == 0) == (problems == 0));
    (void)l4_check_all(&l, L4_LINUX, require_text, &l);
    (void)l4_check_all(&l, L4_WINDOWS, require_text, &l);
    (void)l4_check_warnings(&l, L4_WINDOWS, require_text, &l);
    l4_policies_release(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct l4_policies l;
    struct diag d = {0};
    int r = l4_json_read(slice_of(data, size), &l, &d);

    check_all(slice_of(data, size), r);
    if (r < 0) {
        require(d.err == r && d.text[0] != '\0' && str_is_printable(slice_str(d.text)));
        return 0;
    }
    for (size_t i = 0; i < l.count; i++)
        check_policy(&l.items[i]);
    check_round_trip(&l);
    require((l4_check(&l, L4_LINUX, NULL) == 0) ==
            (l4_check_all(&l, L4_LINUX, require_text, &l) == 0));
    require((l4_check(&l, L4_WINDOWS, NULL) == 0) ==
            (l4_check_all(&l, L4_WINDOWS, require_text, &l) == 0));
    (void)l4_check_warnings(&l, L4_LINUX, require_text, &l);
    l4_policies_release(&l);
    return 0;
}
