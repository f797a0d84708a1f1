/* A program that uses libstile-policy as others do: the DLL through its header alone.
 *
 * usage: library_user.exe ROUNDS GUID...      each endpoint has a thread, which gives it policies, asks for them, takes them away
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include <stile/policy.h>

struct job {
    const char *guid;
    unsigned long rounds;
    struct stile_policy_error error;
    int result;
};

static int fill(struct stile_policies *p, unsigned long round, struct stile_policy_error *error)
{
    char port[8];
    (void)snprintf(port, sizeof(port), "%lu", 8000 + round);
    const struct stile_policy_setting settings[] = {{"port", port}, {"usersid", "system"}};
    return stile_policies_add(p, settings, 2, error);
}

/* Whether the endpoint has exactly these. */
static int compare(struct stile_endpoint *e, const struct stile_policies *wanted,
                   struct stile_policy_error *error)
{
    struct stile_policies *held = NULL;
    char *a = NULL, *b = NULL;
    int r = stile_policies_new(&held, error);
    if (r == 0)
        r = stile_endpoint_list(e, held, error);
    if (r == 0)
        r = stile_policies_write_json(held, &a, error);
    if (r == 0)
        r = stile_policies_write_json(wanted, &b, error);
    if (r == 0 && strcmp(a, b) != 0)
        r = STILE_POLICY_EINTERNAL;
    stile_policy_free(a);
    stile_policy_free(b);
    stile_policies_free(held);
    return r;
}

static int one_round(struct job *job, unsigned long round)
{
    struct stile_policies *wanted = NULL;
    struct stile_endpoint *e = NULL;
    struct stile_policy_result result = {0};
    int r = stile_policies_new(&wanted, &job->error);
    if (r == 0)
        r = fill(wanted, round, &job->error);
    if (r == 0)
        r = stile_endpoint_open(job->guid, 0, &e, &job->error);
    if (r == 0)
        r = stile_endpoint_apply(e, wanted, 0, &result, &job->error);
    if (r == 0 && result.added != 1)
        r = STILE_POLICY_EINTERNAL;
    if (r == 0)
        r = compare(e, wanted, &job->error);
    if (r == 0 && round + 1 == job->rounds)
        r = stile_endpoint_clear(e, 0, NULL, &job->error);
    stile_policy_result_release(&result);
    stile_endpoint_close(e);
    stile_policies_free(wanted);
    return r;
}

static DWORD WINAPI work(void *arg)
{
    struct job *job = arg;
    for (unsigned long i = 0; job->result == 0 && i < job->rounds; i++)
        job->result = one_round(job, i);
    return 0;
}

int main(int argc, char **argv)
{
    struct job jobs[16] = {0};
    HANDLE threads[16];
    int status = 0;
    if (argc < 3 || argc > 18)
        return 2;
    for (int i = 0; i < argc - 2; i++) {
        jobs[i].guid = argv[i + 2];
        jobs[i].rounds = strtoul(argv[1], NULL, 10);
        threads[i] = CreateThread(NULL, 0, work, &jobs[i], 0, NULL);
    }
    for (int i = 0; i < argc - 2; i++) {
        (void)WaitForSingleObject(threads[i], INFINITE);
        (void)CloseHandle(threads[i]);
        if (jobs[i].result == 0)
            continue;
        status = 1;
        fprintf(stderr, "%s: %s: %s\n", jobs[i].guid, stile_policy_code_name(jobs[i].result),
                jobs[i].error.text);
    }
    return status;
}
