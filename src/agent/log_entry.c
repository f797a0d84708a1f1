#include "agent/log_entry.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

static const char *const own_names[] = {"time", "level", "component", "message"};

static bool is_own(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(own_names); i++)
        if (str_eq(name, own_names[i]))
            return true;
    return false;
}

static void take_fields(struct log_entry *e)
{
    const char *name;
    json_t *value;
    json_object_foreach(e->json, name, value)
    {
        bool number = json_is_integer(value) && json_integer_value(value) >= 0;
        if (is_own(name) || (!number && !json_is_string(value)) ||
            e->line.field_count == LOG_ENTRY_FIELDS_MAX)
            continue;
        e->fields[e->line.field_count++] = (struct log_field){
            .name = name,
            .text = number ? NULL : json_string_value(value),
            .number = number ? (uint64_t)json_integer_value(value) : 0,
        };
    }
}

static int take_own(struct log_entry *e)
{
    const char *time = json_string_value(json_object_get(e->json, "time"));
    const char *level = json_string_value(json_object_get(e->json, "level"));
    e->line.component = json_string_value(json_object_get(e->json, "component"));
    e->line.message = json_string_value(json_object_get(e->json, "message"));
    if (time == NULL || level == NULL || e->line.component == NULL || e->line.message == NULL ||
        strlen(e->line.component) >= LOG_ENTRY_COMPONENT ||
        clock_parse(time, &e->line.time_us) < 0 || log_level_parse(level, &e->line.level) < 0)
        return ERR_FORMAT;
    return 0;
}

int log_entry_parse(struct slice text, struct log_entry *e)
{
    *e = (struct log_entry){0};
    e->json = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(e->json) || take_own(e) < 0) {
        log_entry_release(e);
        return ERR_FORMAT;
    }
    e->line.fields = e->fields;
    take_fields(e);
    return 0;
}

void log_entry_release(struct log_entry *e)
{
    json_decref(e->json);
    e->json = NULL;
}
