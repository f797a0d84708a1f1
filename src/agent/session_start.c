/* How a system session starts: the pairs of its engine, its ranges, START; and how its plan changes. */
#include "agent/system_session_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "loop/socket.h"
#include "netcfg/host_view.h"
#include "platform/local_pair.h"

static int make_pairs(struct system_session *s, struct diag *d)
{
    int r = local_pair_stream(s->pairs[PAIR_RPC], d);
    if (r == 0)
        r = local_pair_messages(s->pairs[PAIR_DIAL], d);
    if (r == 0 && pipe2(s->pairs[PAIR_LOG], O_CLOEXEC) < 0)
        r = diag_set(d, err_from_errno(errno), errno, "Failed to make a pipe: %s", strerror(errno));
    return r;
}

static int serve(struct system_session *s, struct diag *d)
{
    struct stream *stream = NULL;
    int r = engine_log_new(s->loop, s->pairs[PAIR_LOG][0], &s->engine_log);
    if (r == 0) {
        s->pairs[PAIR_LOG][0] = -1;
        r = socket_stream_new(s->loop, s->pairs[PAIR_RPC][0], &stream);
    }
    if (r == 0) {
        s->pairs[PAIR_RPC][0] = -1;
        r = agent_serve_engine(s->agent, stream);
        if (r < 0)
            stream_close(stream);
    }
    if (r == 0) {
        s->serving = true;
        r = agent_serve_dial(s->agent, s->pairs[PAIR_DIAL][0]);
    }
    if (r < 0)
        return diag_set(d, r, 0, "Failed to serve the engine: %s", err_text(r));
    s->pairs[PAIR_DIAL][0] = -1;
    return 0;
}

/* Not before: who reads "up" may use the names. */
void system_session_engine_serves(struct system_session *s)
{
    if (s->state != UP || !s->unannounced)
        return;
    const struct system_session_info info = {
        .network = &s->applied,
        .interface_name = s->interface_name,
        .dns_backend = s->shown.dns_backend,
        .flags = s->flags,
        .why = s->why,
        .notice = s->notice,
        .again_from = s->was_up ? s->lost_why : NULL,
    };
    s->was_up = true;
    s->unannounced = false;
    system_session_show(s);
    timer_stop(&s->late);
    s->events.on_up(s->arg, &info);
    s->lost_why[0] = '\0';
}

static void take_started(struct system_session *s, const struct broker_started *m)
{
    s->flags = m->flags;
    (void)str_format(s->interface_name, sizeof(s->interface_name), "%s", m->interface_name);
    (void)str_format(s->shown.dns_backend, sizeof(s->shown.dns_backend), "%s", m->dns_backend);
    (void)str_format(s->shown.detail, sizeof(s->shown.detail), "%s", s->why);
    (void)str_format(s->notice, sizeof(s->notice), "%s", m->notice);
}

/* The administrator's policy may not have the clusters' ranges: then one of those it offers, if the user forced none. */
static bool try_offered(struct system_session *s, const struct broker_refused *refused)
{
    if (refused->err != ERR_DENIED || s->offered_only || s->was_up || s->state != STARTING ||
        s->config.network.forced_count > 0 || s->asked.range_count == 0 ||
        s->offer.range_count == 0)
        return false;
    log_debug("refused: %s; trying a range that the broker offers", refused->text);
    s->offered_only = true;
    s->chosen = false;
    system_session_close_pairs(s, 0);
    system_session_prepare(s);
    return true;
}

static void on_started(void *arg, const union broker_message *answer, int fd UNUSED)
{
    struct system_session *s = arg;
    struct channel_setup setup;
    struct diag d = {0};
    if (answer->header.type == BROKER_REFUSED) {
        if (try_offered(s, &answer->refused))
            return;
        diag_set(&d, answer->refused.err, 0, "%s", answer->refused.text);
        system_session_start_failed(s, &d);
        return;
    }
    s->broker_has_it = true;
    s->on_host = true;
    s->applied = s->asked;
    take_started(s, &answer->started);
    session_network_setup(&s->applied, s->flags, &answer->started.resolvers, &setup);
    agent_set_network(s->agent, &setup, s->interface_name);
    if (serve(s, &d) < 0) {
        system_session_start_failed(s, &d);
        return;
    }
    if (s->state == STOPPING) {
        system_session_ask_stop(s);
        return;
    }
    s->unannounced = true;
    s->up_since_ns = clock_mono_ns();
    system_session_enter(s, UP);
    system_session_configure(s);
}

static void set_zones(struct system_session *s)
{
    CLEANUP(mem_freep) struct directory_zones *zones = NEW(struct directory_zones);
    if (zones == NULL)
        return;
    agent_zones(s->agent, zones);
    size_t left_out = session_network_set_zones(&s->network, &zones->zones);
    if (left_out > 0)
        agent_notice(s->agent,
                     "%zu zones are more than a session can have and are left out; choose "
                     "profiles with --profile",
                     left_out);
    /* Until other zones are wanted, what was refused isn't asked for again. */
    if (s->refused.zone_count > 0 && session_network_same_zones(&s->network, &s->refused))
        session_network_keep_zones(&s->network, &s->applied);
    else
        s->refused.zone_count = 0;
}

void system_session_start(struct system_session *s)
{
    union broker_message m;
    struct diag d = {0};
    set_zones(s);
    system_session_enter(s, STARTING);
    int r = make_pairs(s, &d);
    if (r < 0) {
        system_session_start_failed(s, &d);
        return;
    }
    const int fds[BROKER_START_FDS] = {s->pairs[PAIR_RPC][1], s->pairs[PAIR_DIAL][1],
                                       s->pairs[PAIR_LOG][1]};
    broker_message_init(&m, BROKER_START);
    m.start.network = s->network;
    s->asked = s->network;
    r = broker_client_request(s->client, &m, fds, ARRAY_LEN(fds), on_started, s);
    system_session_close_pairs(s, 1);
    if (r < 0) {
        diag_set(&d, r, 0, "Failed to ask the broker for a session: %s", err_text(r));
        system_session_start_failed(s, &d);
    }
}

/* ---- range ---- */

static int choose(struct system_session *s, const struct conflict_needed *all, size_t all_count,
                  struct diag *d)
{
    CLEANUP(mem_freep) struct directory_zones *zones = NEW(struct directory_zones);
    struct conflict_needed needed[NEEDED_ADDRESSES_MAX];
    struct prefix offered = {.addr = ip_addr_from(4, s->offer.ranges[0].addr),
                             .bits = (uint8_t)s->offer.ranges[0].bits};
    char first[PREFIX_TEXT_SIZE];
    size_t count = 0;
    struct host_view view = {0};
    if (zones == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    agent_zones(s->agent, zones);
    if (s->offered_only) {
        prefix_format(&offered, first);
        zones->ranges = (struct name_list){.count = 1, .names = {first}};
    }
    for (size_t i = 0; i < all_count; i++)
        if (!session_network_is_own_dns(&all[i].addr, &zones->ranges, &s->offer))
            needed[count++] = all[i];
    if (host_view_load(&view, d) < 0)
        log_warn("%s: whether a range is free isn't known", d->text);
    const struct conflict_query query = {.view = &view, .needed = needed, .needed_count = count};
    int r = session_network_choose(&s->config.network, &zones->ranges, &s->offer, &query,
                                   &s->network, s->why, d);
    host_view_release(&view);
    s->chosen = r == 0;
    if (r == 0 && s->offered_only && s->why[0] == '\0')
        (void)str_format(s->why, sizeof(s->why),
                         "This machine's policy doesn't allow the clusters' own ranges: using one "
                         "that it offers");
    return r;
}

static void on_needed(void *arg, const struct conflict_needed *needed, size_t count)
{
    struct system_session *s = arg;
    struct diag d = {0};
    int r = choose(s, needed, count, &d);
    needed_addresses_free(STEAL(s->needed));
    if (r < 0)
        system_session_start_failed(s, &d);
    else
        system_session_begin(s);
}

void system_session_prepare(struct system_session *s)
{
    struct diag d = {0};
    system_session_enter(s, PREPARING);
    int r = needed_addresses_new(s->loop, agent_clusters(s->agent), on_needed, s, &s->needed);
    if (r < 0) {
        diag_set(&d, r, 0, "Failed to look up the gateways: %s", err_text(r));
        system_session_start_failed(s, &d);
    }
}

/* ---- changes ---- */

/* What came and went in one plan was refused in one: what is gone goes all the same, and names in the zones that we don't get are
 * somebody else's to answer. */
static void on_zones_refused(struct system_session *s, const char *text)
{
    struct broker_network had = s->asked;
    session_network_keep_zones(&had, &s->applied);
    bool has_new = !session_network_same_zones(&had, &s->asked);
    agent_notice(s->agent, "%s: %s",
                 has_new ? "New zones are left out" : "The zones stay as they were", text);
    if (!has_new) {
        s->applied = s->asked; /* not asked again until they change */
        return;
    }
    s->refused = s->asked;
    s->asked = s->applied;
    agent_zones_changed(s->agent);
    system_session_configure(s);
}

static void on_configured(void *arg, const union broker_message *answer, int fd UNUSED)
{
    struct system_session *s = arg;
    s->configuring = false;
    if (s->state == STOPPING) {
        system_session_ask_stop(s);
        return;
    }
    if (answer->header.type == BROKER_REFUSED) {
        on_zones_refused(s, answer->refused.text);
        return;
    }
    s->applied = s->asked;
    if (answer->started.notice[0] != '\0')
        agent_notice(s->agent, "%s", answer->started.notice);
    system_session_configure(s);
}

/* Asks for another plan if what is wanted isn't what was asked for last. */
void system_session_configure(struct system_session *s)
{
    union broker_message m;
    if (s->state != UP || s->configuring)
        return;
    set_zones(s);
    if (memcmp(&s->network, &s->applied, sizeof(s->network)) == 0)
        return;
    broker_message_init(&m, BROKER_CONFIGURE);
    m.start.network = s->network;
    s->asked = s->network;
    agent_zones_changed(s->agent);
    int r = broker_client_request(s->client, &m, NULL, 0, on_configured, s);
    s->configuring = r == 0;
    if (r < 0)
        log_warn("the broker wasn't told of other zones: %s", err_text(r));
}
