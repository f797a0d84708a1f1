/* Rules: any text is read or refused with words; what was read can be matched, and names nothing but texts of its own. */
#include <stdlib.h>

#include "policy/watch_rules.h"

static void match(const struct watch_rules *rules)
{
    size_t index = SIZE_MAX;
    for (size_t i = 0; i < rules->count; i++) {
        const struct watch_rule *rule = &rules->items[i];
        const struct watch_subject same = {rule->labels, rule->annotations, rule->label_count,
                                           rule->annotation_count};
        /* What a rule asks for, it matches; unless one before it does. */
        if (!watch_rules_match(rules, &same, &index) || index > i)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diag d = {0};
    struct watch_rules *rules = NULL;
    int r = watch_rules_read(slice_of(data, size), &rules, &d);
    if (r < 0 ? rules != NULL || d.text[0] == '\0' : rules == NULL)
        abort();
    if (rules != NULL)
        match(rules);
    watch_rules_free(rules);
    return 0;
}
