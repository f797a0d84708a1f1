#include "policy/watch_container.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* ---- containers ---- */

static size_t labels_size(const struct runtime_label *labels, size_t count)
{
    size_t size = count * sizeof(*labels);
    for (size_t i = 0; i < count; i++)
        size += strlen(labels[i].key) + strlen(labels[i].value) + 2;
    return size;
}

static const char *put(char **at, const char *text)
{
    char *start = *at;
    size_t size = strlen(text) + 1;
    memcpy(start, text, size);
    *at += size;
    return start;
}

/* One block: the array, and its texts after it. */
static struct runtime_label *copy_labels(const struct runtime_label *labels, size_t count)
{
    struct runtime_label *copy = mem_alloc(labels_size(labels, count));
    if (copy == NULL)
        return NULL;
    char *at = (char *)(copy + count);
    for (size_t i = 0; i < count; i++) {
        copy[i].key = put(&at, labels[i].key);
        copy[i].value = put(&at, labels[i].value);
    }
    return copy;
}

static void release(struct watch_container *c)
{
    mem_free(c->name);
    mem_free(c->network_path);
    mem_free(c->network_problem);
    mem_free(c->labels);
    mem_free(c->annotations);
}

int watch_container_update(struct watch_container *c, const struct runtime_container *told)
{
    struct watch_container new = *c;
    new.name = mem_strdup(told->name);
    new.network_path = mem_strdup(told->network_path);
    new.network_problem = mem_strdup(told->network_problem);
    new.labels = copy_labels(told->labels, told->label_count);
    new.annotations = copy_labels(told->annotations, told->annotation_count);
    if (new.name == NULL || new.network_path == NULL || new.network_problem == NULL ||
        new.labels == NULL || new.annotations == NULL) {
        release(&new);
        return ERR_NOMEM;
    }
    new.label_count = told->label_count;
    new.annotation_count = told->annotation_count;
    new.host_network = told->host_network;
    new.stale = false;
    release(c);
    *c = new;
    return 0;
}

int watch_container_new(const struct runtime_container *told, struct watch_container **ret)
{
    struct watch_container *c = NEW(struct watch_container);
    if (c == NULL)
        return ERR_NOMEM;
    list_init(&c->node);
    int r = str_copy(c->id, sizeof(c->id), told->id);
    if (r == 0)
        r = watch_container_update(c, told);
    if (r < 0) {
        mem_free(c);
        return r;
    }
    *ret = c;
    return 0;
}

void watch_container_free(struct watch_container *c)
{
    list_remove(&c->node);
    release(c);
    mem_free(c);
}

static struct watch_subject subject_of(const struct watch_container *c)
{
    return (struct watch_subject){c->labels, c->annotations, c->label_count, c->annotation_count};
}

/* ---- sandboxes ---- */

int watch_sandbox_new(struct watch_care *care, const char *id, struct watch_sandbox **ret)
{
    struct watch_sandbox *s = NEW(struct watch_sandbox);
    if (s == NULL)
        return ERR_NOMEM;
    list_init(&s->node);
    list_init(&s->containers);
    s->care = care;
    s->rule = NO_RULE;
    int r = str_copy(s->id, sizeof(s->id), id);
    if (r < 0) {
        mem_free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void watch_sandbox_free(struct watch_sandbox *s)
{
    list_remove(&s->node);
    mem_free(s);
}

const char *watch_sandbox_name(const struct watch_sandbox *s)
{
    const char *name = "";
    LIST_FOR_EACH (node, &s->containers) {
        const struct watch_container *c = LIST_ENTRY(node, struct watch_container, node);
        if (name[0] == '\0' || str_eq(c->id, s->id))
            name = c->name;
    }
    return name;
}

const struct watch_container *watch_sandbox_entry(const struct watch_sandbox *s)
{
    const struct watch_container *entry = NULL;
    LIST_FOR_EACH (node, &s->containers) {
        const struct watch_container *c = LIST_ENTRY(node, struct watch_container, node);
        if (c->network_path[0] != '\0' &&
            (entry == NULL || (c->network_path[0] == '/' && entry->network_path[0] != '/')))
            entry = c;
    }
    return entry;
}

bool watch_sandbox_is_host(const struct watch_sandbox *s)
{
    LIST_FOR_EACH (node, &s->containers)
        if (LIST_ENTRY(node, struct watch_container, node)->host_network)
            return true;
    return false;
}

size_t watch_sandbox_match(const struct watch_sandbox *s, const struct watch_rules *rules)
{
    size_t first = NO_RULE;
    LIST_FOR_EACH (node, &s->containers) {
        const struct watch_subject subject =
            subject_of(LIST_ENTRY(node, struct watch_container, node));
        size_t rule;
        if (watch_rules_match(rules, &subject, &rule) && rule < first)
            first = rule;
    }
    return first;
}
