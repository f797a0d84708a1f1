#include "policy/watch_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "policy/json_text.h"
#include "policy/l4_check.h"

#define CHUNK     4096
#define WHAT_SIZE 64

#define RULES_FORM "{\"Rules\": [{\"Labels\": { … }, \"Policies\": [ … ]}]}"

static void release_rule(struct watch_rule *rule)
{
    mem_free(rule->labels);
    mem_free(rule->annotations);
    l4_policies_release(&rule->policies);
}

void watch_rules_free(struct watch_rules *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->count; i++)
        release_rule(&r->items[i]);
    mem_free(r->items);
    json_decref(r->document);
    mem_free(r);
}

static void free_rules(struct watch_rules **r)
{
    watch_rules_free(*r);
}

static int no_memory(struct diag *d)
{
    return diag_set(d, ERR_NOMEM, 0, "Out of memory while reading the rules");
}

/* ---- one rule ---- */

static int read_selector(json_t *value, const char *what, const char *member,
                         struct runtime_label **ret, size_t *ret_count, struct diag *d)
{
    const char *key;
    json_t *text;
    size_t count = 0;
    if (value == NULL)
        return 0;
    if (!json_is_object(value))
        return diag_set(d, ERR_FORMAT, 0, "%s, %s: an object of texts is expected", what, member);
    if (json_object_size(value) > WATCH_SELECTORS_MAX)
        return diag_set(d, ERR_LIMIT, 0, "%s, %s: more than %d", what, member, WATCH_SELECTORS_MAX);
    CLEANUP(mem_freep)
    struct runtime_label *labels = mem_array(json_object_size(value), sizeof(*labels));
    if (labels == NULL)
        return no_memory(d);
    json_object_foreach(value, key, text)
    {
        if (!json_is_string(text))
            return diag_set(d, ERR_FORMAT, 0, "%s, %s.%.100s: a text is expected", what, member,
                            key);
        labels[count++] = (struct runtime_label){key, json_string_value(text)};
    }
    *ret = STEAL(labels);
    *ret_count = count;
    return 0;
}

static int add_policy(const json_t *value, const char *rule, size_t number,
                      struct l4_policies *policies, struct diag *d)
{
    char what[WHAT_SIZE];
    CLEANUP(mem_freep) struct l4_policy *policy = NEW(struct l4_policy);
    if (policy == NULL)
        return no_memory(d);
    (void)str_format(what, sizeof(what), "%s, policy %zu", rule, number);
    int r = l4_json_read_policy(value, what, policy, d);
    if (r < 0)
        return r;
    r = l4_policies_add(policies, policy);
    return r < 0 ? diag_set(d, r, 0, "%s: %s", what, err_text(r)) : 0;
}

static int read_policies(const json_t *value, const char *what, struct l4_policies *policies,
                         struct diag *d)
{
    if (value == NULL)
        return diag_set(d, ERR_FORMAT, 0,
                        "%s: Policies is missing (an empty list says that there shall be none)",
                        what);
    if (!json_is_array(value))
        return diag_set(d, ERR_FORMAT, 0, "%s, Policies: an array of policies is expected", what);
    for (size_t i = 0; i < json_array_size(value); i++) {
        int r = add_policy(json_array_get(value, i), what, i + 1, policies, d);
        if (r < 0)
            return r;
    }
    l4_policies_sort(policies);
    int r = l4_check(policies, l4_system_here(), d);
    return r < 0 ? diag_prefix(d, "%s: ", what) : 0;
}

static int check_members(json_t *value, const char *what, struct diag *d)
{
    const char *key;
    json_t *member;
    if (!json_is_object(value))
        return diag_set(d, ERR_FORMAT, 0, "%s: an object is expected", what);
    if (json_object_get(value, "Type") != NULL)
        return diag_set(d, ERR_FORMAT, 0,
                        "%s: this is a policy, which a rule has in its Policies: " RULES_FORM,
                        what);
    json_object_foreach(value, key, member)
    {
        if (!str_eq(key, "Labels") && !str_eq(key, "Annotations") && !str_eq(key, "Policies"))
            return diag_set(d, ERR_FORMAT, 0,
                            "%s: unknown member \"%.100s\"; a rule has Labels, Annotations and "
                            "Policies",
                            what, key);
    }
    return 0;
}

static int read_rule(json_t *value, size_t number, struct watch_rule *rule, struct diag *d)
{
    char what[WHAT_SIZE];
    (void)str_format(what, sizeof(what), "rule %zu", number);
    l4_policies_init(&rule->policies);
    int r = check_members(value, what, d);
    if (r == 0)
        r = read_selector(json_object_get(value, "Labels"), what, "Labels", &rule->labels,
                          &rule->label_count, d);
    if (r == 0)
        r = read_selector(json_object_get(value, "Annotations"), what, "Annotations",
                          &rule->annotations, &rule->annotation_count, d);
    if (r == 0)
        r = read_policies(json_object_get(value, "Policies"), what, &rule->policies, d);
    return r;
}

/* ---- all ---- */

/* The array of rules in a document of either form. */
static int find_rules(json_t *value, json_t **ret, struct diag *d)
{
    const char *key;
    json_t *member;
    if (json_is_array(value)) {
        *ret = value;
        return 0;
    }
    json_t *rules = json_object_get(value, "Rules");
    if (!json_is_array(rules))
        return diag_set(d, ERR_FORMAT, 0, "Rules are expected, as " RULES_FORM);
    json_object_foreach(value, key, member) if (!str_eq(key, "Rules")) return diag_set(
        d, ERR_FORMAT, 0, "Unknown member \"%.100s\" beside Rules", key);
    *ret = rules;
    return 0;
}

int watch_rules_read_value(json_t *value, struct watch_rules **ret, struct diag *d)
{
    json_t *array = NULL;
    int r = find_rules(value, &array, d);
    if (r < 0)
        return r;
    size_t count = json_array_size(array);
    if (count > WATCH_RULES_MAX)
        return diag_set(d, ERR_LIMIT, 0, "%zu rules; at most %d are taken", count, WATCH_RULES_MAX);
    CLEANUP(free_rules) struct watch_rules *rules = NEW(struct watch_rules);
    if (rules == NULL || (rules->items = mem_array(count, sizeof(*rules->items))) == NULL)
        return no_memory(d);
    rules->document = json_incref(value);
    while (r == 0 && rules->count < count) {
        size_t i = rules->count++;
        r = read_rule(json_array_get(array, i), i + 1, &rules->items[i], d);
    }
    if (r == 0)
        *ret = STEAL(rules);
    return r;
}

static bool is_blank(struct slice text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.data[0]) != NULL && text.data[0] != '\0')
        text = slice_from(text, 1);
    return text.len == 0;
}

int watch_rules_read(struct slice text, struct watch_rules **ret, struct diag *d)
{
    json_t *value = NULL;
    if (text.len > WATCH_RULES_TEXT_MAX)
        return diag_set(d, ERR_TOOBIG, 0, "The rules are longer than %zu bytes",
                        WATCH_RULES_TEXT_MAX);
    if (is_blank(text))
        return diag_set(d, ERR_FORMAT, 0,
                        "There is nothing in it. No rules at all are {\"Rules\": []}");
    int r = json_text_read(text, 0, &value, d);
    if (r < 0)
        return r;
    r = watch_rules_read_value(value, ret, d);
    json_decref(value);
    return r;
}

/* ---- the file ---- */

static int check_owner(const char *path, int fd, struct diag *d)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to look at %s: %s", path,
                        strerror(errno));
    if (!S_ISREG(st.st_mode))
        return diag_set(d, ERR_INVAL, 0, "%s is not a file", path);
    if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022) != 0)
        return diag_set(d, ERR_PERM, 0,
                        "Others than root may write %s (uid %u, mode %04o), and so decide where "
                        "containers' traffic goes. Do: chown root:root %s && chmod 0644 %s",
                        path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777, path, path);
    return 0;
}

static int read_all(const char *path, int fd, struct buf *b, struct diag *d)
{
    for (;;) {
        uint8_t *space = NULL;
        int r = buf_reserve(b, CHUNK, &space);
        if (r < 0)
            return diag_set(d, r, 0, "%s: %s", path, err_text(r));
        ssize_t n = read(fd, space, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return diag_set(d, err_from_errno(errno), errno, "Failed to read %s: %s", path,
                            strerror(errno));
        if (n == 0)
            return 0;
        buf_commit(b, (size_t)n);
    }
}

int watch_rules_load(const char *path, struct watch_rules **ret, struct diag *d)
{
    CLEANUP(buf_release) struct buf text;
    buf_init(&text, WATCH_RULES_TEXT_MAX + CHUNK);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return diag_set(d, err_from_errno(errno), errno, "Failed to open %s: %s", path,
                        strerror(errno));
    int r = check_owner(path, fd, d);
    if (r == 0)
        r = read_all(path, fd, &text, d);
    (void)close(fd);
    if (r < 0)
        return r;
    r = watch_rules_read(buf_slice(&text), ret, d);
    return r < 0 ? diag_prefix(d, "%s: ", path) : 0;
}

/* ---- the match ---- */

static bool has_all(const struct runtime_label *wanted, size_t wanted_count,
                    const struct runtime_label *there, size_t there_count)
{
    for (size_t i = 0; i < wanted_count; i++) {
        size_t k = 0;
        while (k < there_count &&
               !(str_eq(there[k].key, wanted[i].key) && str_eq(there[k].value, wanted[i].value)))
            k++;
        if (k == there_count)
            return false;
    }
    return true;
}

bool watch_rules_match(const struct watch_rules *r, const struct watch_subject *s,
                       size_t *ret_index)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct watch_rule *rule = &r->items[i];
        if (has_all(rule->labels, rule->label_count, s->labels, s->label_count) &&
            has_all(rule->annotations, rule->annotation_count, s->annotations,
                    s->annotation_count)) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}
