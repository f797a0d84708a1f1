#include "diag/seen.h"

#include "base/mem.h"
#include "base/str.h"

void seen_init(struct seen *s)
{
    *s = (struct seen){.items = NULL};
}

void seen_release(struct seen *s)
{
    mem_free(s->items);
    seen_init(s);
}

static struct seen_finding *look_up(struct seen *s, size_t check, const struct finding *f)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].check == check && finding_same(&s->items[i].finding, f))
            return &s->items[i];
    return NULL;
}

static void tell_new(const struct finding *f, seen_tell_fn *tell, void *arg)
{
    char text[SEEN_TEXT_SIZE];
    (void)str_format(text, sizeof(text), "%s: %s%s%s",
                     f->severity == SEVERITY_PROBLEM ? "Problem" : "Notice", f->title,
                     f->remedy[0] != '\0' ? ". What to do: " : "", f->remedy);
    tell(arg, text);
}

static void take(struct seen *s, size_t check, const struct finding *f, seen_tell_fn *tell,
                 void *arg)
{
    struct seen_finding *known = look_up(s, check, f);
    if (known != NULL) {
        known->still = true;
        known->finding = *f; /* numbers in it may be others */
        return;
    }
    if (s->count == SEEN_MAX)
        return;
    s->items[s->count++] = (struct seen_finding){.check = check, .finding = *f, .still = true};
    tell_new(f, tell, arg);
}

static void take_all(struct seen *s, const struct findings found[CHECKS_COUNT],
                     enum severity severity, seen_tell_fn *tell, void *arg)
{
    for (size_t check = 0; check < CHECKS_COUNT; check++)
        for (size_t i = 0; i < found[check].count && checks[check] != &check_run; i++)
            if (found[check].items[i].severity == severity)
                take(s, check, &found[check].items[i], tell, arg);
}

static void drop_gone(struct seen *s, const struct findings found[CHECKS_COUNT], seen_tell_fn *tell,
                      void *arg)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        char text[SEEN_TEXT_SIZE];
        if (s->items[i].still || found[s->items[i].check].count == 0) {
            s->items[kept++] = s->items[i];
            continue;
        }
        (void)str_format(text, sizeof(text), "No more: %s", s->items[i].finding.title);
        tell(arg, text);
    }
    s->count = kept;
}

void seen_update(struct seen *s, const struct findings found[CHECKS_COUNT], seen_tell_fn *tell,
                 void *arg)
{
    if (s->items == NULL)
        s->items = mem_array(SEEN_MAX, sizeof(*s->items));
    if (s->items == NULL)
        return; /* the next run may have more luck */
    for (size_t i = 0; i < s->count; i++)
        s->items[i].still = false;
    take_all(s, found, SEVERITY_PROBLEM, tell, arg);
    take_all(s, found, SEVERITY_NOTICE, tell, arg);
    drop_gone(s, found, tell, arg);
}
