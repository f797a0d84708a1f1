/* libstile-policy: layer-4 proxy policies of containers. See libstile-policy(3).
 * (Contract draft: the owner refines texts and details.)
 *
 * Every function returns 0 or a negative STILE_POLICY_E… with a message in *error (may be NULL). Nothing is printed, nothing ends the
 * process, no signal handler is set, no global state is kept. Different threads may use different objects at once.
 */
#ifndef STILE_POLICY_H
#define STILE_POLICY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct stile_policy_error {
    int code;
    char text[512];
};

/* policies: a list in memory */
struct stile_policies;
int stile_policies_new(struct stile_policies **ret, struct stile_policy_error *error);
void stile_policies_free(struct stile_policies *p);
size_t stile_policies_count(const struct stile_policies *p);
int stile_policies_read_json(struct stile_policies *p, const char *text, size_t len,
                             struct stile_policy_error *error);
int stile_policies_write_json(const struct stile_policies *p, char **ret,
                              struct stile_policy_error *error);
/* name, value: the command's options without dashes: "port", "usersid", "uid", "protocol", "inbound-port-exceptions", … A policy is made from
 * an array of them. */
struct stile_policy_setting {
    const char *name, *value;
};
int stile_policies_add(struct stile_policies *p, const struct stile_policy_setting *settings,
                       size_t count, struct stile_policy_error *error);
enum stile_policy_system { STILE_POLICY_HERE, STILE_POLICY_LINUX, STILE_POLICY_WINDOWS };
int stile_policies_validate(const struct stile_policies *p, enum stile_policy_system system,
                            struct stile_policy_error *error);

/* endpoints */
struct stile_endpoint_names {
    size_t count;
    char **names;
};
int stile_endpoint_find(const char *runtime, const char *container,
                        struct stile_endpoint_names *ret, struct stile_policy_error *error);
void stile_endpoint_names_release(struct stile_endpoint_names *names);

struct stile_endpoint;
enum { STILE_ENDPOINT_HOST = 1 };
int stile_endpoint_open(const char *name, unsigned flags, struct stile_endpoint **ret,
                        struct stile_policy_error *error);
void stile_endpoint_close(struct stile_endpoint *e);

enum { STILE_POLICY_DRY_RUN = 1 };
struct stile_policy_result {
    size_t added, removed, unchanged;
    int drifted;
    char *sent, *notes; /* owned by the caller: stile_policy_result_release */
};
void stile_policy_result_release(struct stile_policy_result *r);
int stile_endpoint_list(struct stile_endpoint *e, struct stile_policies *into,
                        struct stile_policy_error *error);
int stile_endpoint_add(struct stile_endpoint *e, const struct stile_policies *more, unsigned flags,
                       struct stile_policy_result *ret, struct stile_policy_error *error);
int stile_endpoint_remove(struct stile_endpoint *e, const struct stile_policies *those,
                          unsigned flags, struct stile_policy_result *ret,
                          struct stile_policy_error *error);
int stile_endpoint_apply(struct stile_endpoint *e, const struct stile_policies *wanted,
                         unsigned flags, struct stile_policy_result *ret,
                         struct stile_policy_error *error);
int stile_endpoint_reconcile(struct stile_endpoint *e, const struct stile_policies *wanted,
                             unsigned flags, struct stile_policy_result *ret,
                             struct stile_policy_error *error);
int stile_endpoint_clear(struct stile_endpoint *e, unsigned flags, struct stile_policy_result *ret,
                         struct stile_policy_error *error);

void stile_policy_free(void *text); /* texts that functions returned */
const char *stile_policy_version(void);

#ifdef __cplusplus
}
#endif
#endif
