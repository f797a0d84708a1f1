/* What a runtime gives the CNI plugin: the first line is CNI_ARGS, its first byte the command, the rest the configuration. Whatever
 * it is, it is read, or refused with a code and words; and what is refused is told as JSON. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "policy/cni_conf.h"

static void look(const struct cni_request *r)
{
    const struct watch_subject subject = {r->labels, r->annotations, r->label_count,
                                          r->annotation_count};
    size_t index;
    if (r->rules != NULL)
        (void)watch_rules_match(r->rules, &subject, &index);
    if (r->command == CNI_ADD && (r->prev_result == NULL || r->rules == NULL || r->netns == NULL))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const commands[] = {"VERSION", "ADD",    "CHECK", "DEL",
                                           "GC",      "STATUS", "NONE"};
    const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
    if (line == NULL || line == data)
        return 0;
    CLEANUP(mem_freep) char *args = mem_strndup((const char *)data + 1, (size_t)(line - data) - 1);
    struct cni_env env = {
        .command = commands[data[0] % ARRAY_LEN(commands)],
        .container_id = "c0",
        .netns = "/run/netns/blue",
        .ifname = "eth0",
        .args = args,
    };
    struct diag d = {0};
    struct cni_request r;
    cni_request_init(&r);
    int err =
        cni_conf_read(&env, slice_from(slice_of(data, size), (size_t)(line - data) + 1), &r, &d);
    if (err < 0 && (r.code == 0 || r.msg == NULL || d.text[0] == '\0'))
        abort();
    if (err == 0)
        look(&r);
    cni_request_release(&r);
    return 0;
}
