/* How a program uses libstile-policy: it sends what a container opens through a proxy beside it.
 *
 *   policy find CONTAINER            the container's endpoints, one per line
 *   policy add ENDPOINT PORT UID     TCP of both directions goes to the proxy on PORT, which runs as UID
 *   policy list ENDPOINT             the policies in words and as JSON
 *   policy clear ENDPOINT            none any more
 *
 * To build: cc policy.c $(pkg-config --cflags --libs libstile-policy)
 */
#include <stdio.h>
#include <string.h>

#include <stile/policy.h>

static int find(const char *container, struct stile_policy_error *error)
{
    struct stile_endpoint_names found;
    int r = stile_endpoint_find(NULL, container, &found, error);

    if (r < 0)
        return r;
    for (size_t i = 0; i < found.count; i++)
        puts(found.names[i]);
    stile_endpoint_names_release(&found);
    return 0;
}

static int add(struct stile_endpoint *endpoint, const char *port, const char *uid,
               struct stile_policy_error *error)
{
    const struct stile_policy_setting settings[] = {{"port", port}, {"uid", uid}};
    struct stile_policies *policies;
    struct stile_policy_result result;
    int r = stile_policies_new(&policies, error);

    if (r < 0)
        return r;
    r = stile_policies_add(policies, settings, 2, error);
    if (r == 0)
        r = stile_endpoint_add(endpoint, policies, 0, &result, error);
    if (r == 0) {
        printf("%zu added; the endpoint has %zu\n", result.added, result.added + result.unchanged);
        stile_policy_result_release(&result);
    }
    stile_policies_free(policies);
    return r;
}

static int show(const struct stile_policies *policies, struct stile_policy_error *error)
{
    char *text;
    int r;

    for (size_t i = 0; i < stile_policies_count(policies); i++) {
        r = stile_policies_describe(policies, i, &text, error);
        if (r < 0)
            return r;
        puts(text);
        stile_policy_free(text);
    }
    r = stile_policies_write_json(policies, &text, error);
    if (r < 0)
        return r;
    puts(text);
    stile_policy_free(text);
    return 0;
}

static int list(struct stile_endpoint *endpoint, struct stile_policy_error *error)
{
    struct stile_policies *policies;
    int r = stile_policies_new(&policies, error);

    if (r < 0)
        return r;
    r = stile_endpoint_list(endpoint, policies, error);
    if (r == 0)
        r = show(policies, error);
    stile_policies_free(policies);
    return r;
}

static int usage(struct stile_policy_error *error)
{
    error->code = STILE_POLICY_EINVAL;
    (void)snprintf(error->text, sizeof(error->text),
                   "usage: policy find CONTAINER | add ENDPOINT PORT UID | list ENDPOINT | clear "
                   "ENDPOINT");
    return error->code;
}

static int run(int argc, char **argv, struct stile_policy_error *error)
{
    struct stile_endpoint *endpoint;
    int r;

    if (argc == 3 && strcmp(argv[1], "find") == 0)
        return find(argv[2], error);
    if (argc < 3)
        return usage(error);
    r = stile_endpoint_open(argv[2], 0, &endpoint, error);
    if (r < 0)
        return r;
    if (argc == 5 && strcmp(argv[1], "add") == 0)
        r = add(endpoint, argv[3], argv[4], error);
    else if (argc == 3 && strcmp(argv[1], "list") == 0)
        r = list(endpoint, error);
    else if (argc == 3 && strcmp(argv[1], "clear") == 0)
        r = stile_endpoint_clear(endpoint, 0, NULL, error);
    else
        r = usage(error);
    stile_endpoint_close(endpoint);
    return r;
}

int main(int argc, char **argv)
{
    struct stile_policy_error error;

    if (run(argc, argv, &error) < 0) {
        fprintf(stderr, "policy: %s (%s)\n", error.text, stile_policy_code_name(error.code));
        return 1;
    }
    return 0;
}
