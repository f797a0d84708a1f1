#include "policy/cni_conf.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "policy/json_text.h"

const char *const cni_versions[] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", CNI_VERSION};
const size_t cni_version_count = ARRAY_LEN(cni_versions);

#define IFNAME_SIZE 16
#define ARGS_MAX    65536

void cni_request_init(struct cni_request *r)
{
    *r = (struct cni_request){.version = CNI_VERSION};
}

void cni_request_release(struct cni_request *r)
{
    watch_rules_free(r->rules);
    mem_free(r->annotations);
    mem_free(r->args);
    json_decref(r->conf);
}

static int fail(struct cni_request *r, enum cni_code code, const char *msg, int err)
{
    r->code = code;
    r->msg = msg;
    return err;
}

/* ---- the environment ---- */

static int fail_variable(struct cni_request *r, struct diag *d, const char *name, const char *value)
{
    if (str_is_empty(value))
        (void)diag_set(d, ERR_INVAL, 0, "%s is not set", name);
    else
        (void)diag_set(d, ERR_INVAL, 0, "%s may not be \"%.100s\"", name, value);
    return fail(r, CNI_CODE_ENVIRONMENT, "Invalid variable of the environment", ERR_INVAL);
}

static int read_command(const struct cni_env *env, struct cni_request *r, struct diag *d)
{
    static const char *const words[] = {"VERSION", "ADD", "CHECK", "DEL", "GC", "STATUS"};
    for (size_t i = 0; env->command != NULL && i < ARRAY_LEN(words); i++)
        if (str_eq(env->command, words[i])) {
            r->command = (enum cni_command)i;
            return 0;
        }
    return fail_variable(r, d, "CNI_COMMAND", env->command);
}

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_id(const char *s)
{
    if (str_is_empty(s) || !is_alphanumeric(s[0]))
        return false;
    while (is_alphanumeric(*s) || *s == '_' || *s == '.' || *s == '-')
        s++;
    return *s == '\0';
}

static bool is_interface_name(const char *s)
{
    return !str_is_empty(s) && strlen(s) < IFNAME_SIZE && !str_eq(s, ".") && !str_eq(s, "..") &&
           strpbrk(s, "/: \t\n\v\f\r") == NULL;
}

static bool concerns_a_container(enum cni_command command)
{
    return command == CNI_ADD || command == CNI_CHECK || command == CNI_DEL;
}

static int check_variables(const struct cni_env *env, struct cni_request *r, struct diag *d)
{
    if (!concerns_a_container(r->command))
        return 0;
    if (!is_id(env->container_id))
        return fail_variable(r, d, "CNI_CONTAINERID", env->container_id);
    if (!is_interface_name(env->ifname))
        return fail_variable(r, d, "CNI_IFNAME", env->ifname);
    if (!str_is_empty(env->netns))
        r->netns = env->netns;
    /* Only at the end may there be no namespace any more. */
    if (r->netns == NULL ? r->command != CNI_DEL : r->netns[0] != '/')
        return fail_variable(r, d, "CNI_NETNS", env->netns);
    return 0;
}

static const char *label_of_argument(const char *key)
{
    static const char *const known[][2] = {
        {"K8S_POD_NAMESPACE", "io.kubernetes.pod.namespace"},
        {"K8S_POD_NAME", "io.kubernetes.pod.name"},
        {"K8S_POD_UID", "io.kubernetes.pod.uid"},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_eq(key, known[i][0]))
            return known[i][1];
    return NULL;
}

/* "KEY=VALUE;KEY=VALUE". The last one counts, as for the runtime's own parser. */
static void add_argument(struct cni_request *r, const char *key, const char *value)
{
    const char *label = label_of_argument(key);
    size_t i = 0;
    if (label == NULL)
        return;
    while (i < r->label_count && !str_eq(r->labels[i].key, label))
        i++;
    r->labels[i] = (struct runtime_label){label, value};
    r->label_count = MAX(r->label_count, i + 1);
}

static int read_arguments(const struct cni_env *env, struct cni_request *r, struct diag *d)
{
    if (str_is_empty(env->args))
        return 0;
    if (strlen(env->args) > ARGS_MAX)
        return fail_variable(r, d, "CNI_ARGS", "so long");
    r->args = mem_strdup(env->args);
    if (r->args == NULL)
        return fail(r, CNI_CODE_IO, "Out of memory", diag_set(d, ERR_NOMEM, 0, "Out of memory"));
    char *rest = NULL;
    for (char *pair = strtok_r(r->args, ";", &rest); pair != NULL;
         pair = strtok_r(NULL, ";", &rest)) {
        char *equals = strchr(pair, '=');
        if (equals == NULL)
            return fail_variable(r, d, "CNI_ARGS", env->args);
        *equals = '\0';
        add_argument(r, pair, equals + 1);
    }
    return 0;
}

/* ---- the configuration ---- */

static int fail_config(struct cni_request *r, struct diag *d)
{
    return fail(r, CNI_CODE_CONFIG, "Invalid network configuration", d->err);
}

static int read_json(struct slice text, struct cni_request *r, struct diag *d)
{
    if (text.len > CNI_STDIN_MAX)
        return fail(r, CNI_CODE_DECODE, "The network configuration is too long",
                    diag_set(d, ERR_TOOBIG, 0, "It has more than %zu bytes", CNI_STDIN_MAX));
    int err = json_text_read(text, 0, &r->conf, d);
    if (err < 0)
        return fail(r, err == ERR_NOMEM ? CNI_CODE_IO : CNI_CODE_DECODE,
                    "The network configuration can't be read", err);
    if (!json_is_object(r->conf))
        return fail(r, CNI_CODE_DECODE, "The network configuration isn't an object",
                    diag_set(d, ERR_FORMAT, 0, "It is another kind of JSON value"));
    return 0;
}

static int read_version(struct cni_request *r, struct diag *d)
{
    const json_t *value = json_object_get(r->conf, "cniVersion");
    const char *wanted = json_string_value(value);
    for (size_t i = 0; i < cni_version_count; i++)
        if (wanted != NULL && str_eq(wanted, cni_versions[i])) {
            r->version = cni_versions[i];
            return 0;
        }
    (void)diag_set(d, ERR_VERSION, 0,
                   "The configuration is of version \"%.40s\"; known are %s to %s",
                   wanted != NULL ? wanted : "", cni_versions[0], CNI_VERSION);
    return fail(r, CNI_CODE_VERSION, "Incompatible CNI version", ERR_VERSION);
}

/* Commands that came with a later version than the first. */
static int check_command(struct cni_request *r, struct diag *d)
{
    static const char *const since[] = {
        [CNI_CHECK] = "0.4.0", [CNI_GC] = "1.1.0", [CNI_STATUS] = "1.1.0"};
    const char *first = since[r->command];
    if (first == NULL || strcmp(r->version, first) >= 0) /* of digits with the same length */
        return 0;
    (void)diag_set(d, ERR_VERSION, 0,
                   "The configuration is of version %s; this command came with %s", r->version,
                   first);
    return fail(r, CNI_CODE_VERSION, "Incompatible CNI version", ERR_VERSION);
}

static bool is_known_member(const char *key)
{
    static const char *const known[] = {"cniVersion",   "cniVersions",   "name",       "type",
                                        "capabilities", "runtimeConfig", "prevResult", "args",
                                        "rules",        "file"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (str_eq(key, known[i]))
            return true;
    return str_starts(key, "cni.dev/"); /* of runtimes */
}

static int check_members(struct cni_request *r, struct diag *d)
{
    const char *key;
    json_t *value;
    json_object_foreach(r->conf, key, value)
    {
        if (is_known_member(key))
            continue;
        CLEANUP(buf_release) struct buf text;
        buf_init(&text, SIZE_MAX);
        int err = json_text_write(value, JSON_COMPACT | JSON_ENCODE_ANY, &text);
        const char *shown = err == 0 ? buf_cstr(&text) : NULL;
        (void)diag_set(d, ERR_FORMAT, 0, "Unknown member \"%.100s\": %.200s", key,
                       shown != NULL ? shown : "");
        return fail(r, CNI_CODE_FIELD, "Unsupported field in the network configuration",
                    ERR_FORMAT);
    }
    return 0;
}

static int read_rules(struct cni_request *r, struct diag *d)
{
    json_t *rules = json_object_get(r->conf, "rules");
    const json_t *file = json_object_get(r->conf, "file");
    int err;
    if ((rules == NULL) == (file == NULL))
        err = diag_set(d, ERR_FORMAT, 0,
                       "One of \"rules\" (an array) and \"file\" (a path) is expected");
    else if (rules != NULL)
        err = watch_rules_read_value(rules, &r->rules, d);
    else if (!json_is_string(file) || json_string_value(file)[0] != '/')
        err = diag_set(d, ERR_FORMAT, 0, "file: an absolute path is expected");
    else
        err = watch_rules_load(json_string_value(file), &r->rules, d);
    return err < 0 ? fail_config(r, d) : 0;
}

/* ---- whom rules look at ---- */

static int check_labels(struct cni_request *r, const struct watch_rule *rule, size_t number,
                        struct diag *d)
{
    for (size_t i = 0; i < rule->label_count; i++) {
        const char *key = rule->labels[i].key;
        if (str_eq(key, "io.kubernetes.pod.namespace") || str_eq(key, "io.kubernetes.pod.name") ||
            str_eq(key, "io.kubernetes.pod.uid"))
            continue;
        (void)diag_set(d, ERR_UNSUPPORTED, 0,
                       "rule %zu asks for the label %.100s, but CNI plugins aren't told labels "
                       "(only io.kubernetes.pod.namespace, .name and .uid); ask for an annotation",
                       number, key);
        return fail_config(r, d);
    }
    return 0;
}

static bool wants_annotations(const struct watch_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++)
        if (rules->items[i].annotation_count > 0)
            return true;
    return false;
}

/* A runtime that isn't asked for annotations tells none, and every pod would seem to have none. */
static int check_selectors(struct cni_request *r, bool told, struct diag *d)
{
    int err = 0;
    for (size_t i = 0; err == 0 && i < r->rules->count; i++)
        err = check_labels(r, &r->rules->items[i], i + 1, d);
    if (err < 0 || told || !wants_annotations(r->rules))
        return err;
    (void)diag_set(d, ERR_FORMAT, 0,
                   "Rules ask for annotations, which the runtime doesn't tell: add "
                   "\"capabilities\": {\"" CNI_ANNOTATIONS "\": true}");
    return fail_config(r, d);
}

static int read_annotations(struct cni_request *r, json_t *object, struct diag *d)
{
    const char *key;
    json_t *text;
    if (json_is_null(object))
        return 0;
    if (!json_is_object(object) || json_object_size(object) > CNI_ANNOTATIONS_MAX) {
        (void)diag_set(d, ERR_FORMAT, 0,
                       "runtimeConfig." CNI_ANNOTATIONS ": an object of at most %d texts is "
                       "expected",
                       CNI_ANNOTATIONS_MAX);
        return fail_config(r, d);
    }
    r->annotations = mem_array(json_object_size(object), sizeof(*r->annotations));
    if (r->annotations == NULL)
        return fail(r, CNI_CODE_IO, "Out of memory", diag_set(d, ERR_NOMEM, 0, "Out of memory"));
    json_object_foreach(object, key, text)
    {
        if (!json_is_string(text)) {
            (void)diag_set(d, ERR_FORMAT, 0,
                           "runtimeConfig." CNI_ANNOTATIONS ".%.100s: a text is expected", key);
            return fail_config(r, d);
        }
        r->annotations[r->annotation_count++] =
            (struct runtime_label){key, json_string_value(text)};
    }
    return 0;
}

static int read_selectors(struct cni_request *r, struct diag *d)
{
    json_t *told = json_object_get(json_object_get(r->conf, "runtimeConfig"), CNI_ANNOTATIONS);
    bool asked =
        json_is_true(json_object_get(json_object_get(r->conf, "capabilities"), CNI_ANNOTATIONS));
    int err = check_selectors(r, told != NULL || asked, d);
    if (err == 0 && told != NULL)
        err = read_annotations(r, told, d);
    return err;
}

static int read_prev_result(struct cni_request *r, struct diag *d)
{
    r->prev_result = json_object_get(r->conf, "prevResult");
    if (json_is_object(r->prev_result) || r->command == CNI_STATUS)
        return 0;
    (void)diag_set(d, ERR_FORMAT, 0,
                   "There is no prevResult: " CNI_PROGRAM " makes no interface, so it stands in "
                   "a list of plugins, after the one that makes it");
    return fail_config(r, d);
}

/* ---- the whole ---- */

static bool needs_rules(enum cni_command command)
{
    return command == CNI_ADD || command == CNI_CHECK || command == CNI_STATUS;
}

/* Cleaning up needs no rules: a wrong one must not keep it from ending. */
static int read_conf(struct slice conf, struct cni_request *r, struct diag *d)
{
    int err = read_json(conf, r, d);
    if (err == 0)
        err = read_version(r, d);
    if (err == 0)
        err = check_command(r, d);
    if (err < 0 || !needs_rules(r->command))
        return err;
    err = check_members(r, d);
    if (err == 0 && str_is_empty(json_string_value(json_object_get(r->conf, "name")))) {
        (void)diag_set(d, ERR_FORMAT, 0, "name: the name of the network is expected");
        err = fail_config(r, d);
    }
    if (err == 0)
        err = read_prev_result(r, d);
    if (err == 0)
        err = read_rules(r, d);
    if (err == 0)
        err = read_selectors(r, d);
    return err;
}

int cni_conf_read(const struct cni_env *env, struct slice conf, struct cni_request *ret,
                  struct diag *d)
{
    int err = read_command(env, ret, d);
    /* Older runtimes give nothing, or a configuration that is older than we know, with this
     * question. */
    if (err == 0 && ret->command == CNI_VERSION_QUERY) {
        struct diag ignored = {0};
        if (conf.len == 0 || read_json(conf, ret, &ignored) < 0 || read_version(ret, &ignored) < 0)
            ret->version = CNI_VERSION;
        return 0;
    }
    if (err == 0)
        err = check_variables(env, ret, d);
    if (err == 0)
        err = read_arguments(env, ret, d);
    return err == 0 ? read_conf(conf, ret, d) : err;
}
