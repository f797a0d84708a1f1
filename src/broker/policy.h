/* What the administrator of a machine allows: /etc/stile/broker.yaml. Without the file, only root may start a session.
 *
 * Read once, at the start of the broker: names of users and groups, and whether the uids for engines are free, are looked up
 * then, and so may block. Afterwards it is constant.
 */
#ifndef STILE_BROKER_POLICY_H
#define STILE_BROKER_POLICY_H

#include "base/log.h"
#include "broker/messages.h"
#include "config/problems.h"
#include "net/name.h"
#include "net/prefix.h"

#define POLICY_PATH "/etc/stile/broker.yaml"

#define POLICY_USERS_MAX  256
#define POLICY_RANGES_MAX 32
#define POLICY_ZONES_MAX  256
#define POLICY_UIDS_MAX   1024 /* for engines, to choose from */
#define POLICY_UIDS_FOUND 64   /* of these: more than there are sessions */
#define POLICY_OTHERS_MAX 7    /* beside the session's user */

struct policy {
    char *path; /* owned; NULL: there is no file */
    uint32_t uids[POLICY_USERS_MAX];
    size_t uid_count;
    uint32_t gids[POLICY_USERS_MAX];
    size_t gid_count;
    struct prefix allow_ranges[POLICY_RANGES_MAX]; /* a session's ranges must lie in one of them */
    size_t allow_range_count;
    struct prefix ranges[BROKER_RANGES_MAX]; /* where one may be chosen, in order */
    size_t range_count;
    bool any_zone;
    struct name *allow_zones; /* owned; and what is below them */
    size_t allow_zone_count;
    char dns[BROKER_BACKEND_SIZE]; /* "auto", or the back-end to use */
    uint32_t engine_uid_first, engine_uid_last;
    uint32_t engine_uids
        [POLICY_UIDS_FOUND]; /* of these, the first without an entry in passwd or group */
    size_t engine_uid_count;
    enum log_level log;
};

/* must_exist: the path was asked for by name. ERR_FORMAT: problems, all told to on_problem (may be NULL), the first one in d;
 * ERR_NOTFOUND; ERR_PERM (someone other than root may write it). */
int policy_load(const char *path, bool must_exist, config_problem_fn *on_problem, void *arg,
                struct policy **ret, struct diag *d);
/* The same from text that is at hand, and without looking for engine_uids: for tests. */
int policy_parse(const char *path, struct slice text, config_problem_fn *on_problem, void *arg,
                 struct policy **ret, struct diag *d);
void policy_free(struct policy *p); /* NULL: nothing */

/* What no session may have, whoever asks, and what this policy allows. ERR_DENIED with the remedy. */
int policy_check(const struct policy *p, const struct broker_network *n, struct diag *d);

#endif
