#include "cli/up_view.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/connection_file.h"
#include "base/clock.h"
#include "base/str.h"
#include "cli/output.h"

#define LINE_SIZE 1024

/* The session goes on while its reader doesn't: a line that nobody takes now is skipped, and that is told with the next. */
static bool can_write(struct up_view *v)
{
    struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
    size_t skipped = v->skipped;
    if (poll(&p, 1, 0) < 1 || (p.revents & POLLOUT) == 0) {
        v->skipped++;
        return false;
    }
    v->skipped = 0;
    if (skipped > 0 && !v->json)
        printf("(%zu lines were not shown)\n", skipped);
    return true;
}

/* What steers a terminal is shown as '?': names and reasons come from gateways and programs. */
static void print_line(struct up_view *v, const char *text)
{
    char now[CLOCK_TEXT_SIZE];
    if (!can_write(v))
        return;
    clock_format(clock_wall_us(), now);
    now[10] = ' ';
    now[19] = '\0';
    printf("%s  ", v->dated ? now : now + 11);
    for (const char *c = text; *c != '\0'; c++)
        putchar((unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c);
    putchar('\n');
    fflush(stdout);
}

static void print_event(struct up_view *v, json_t *event)
{
    char now[CLOCK_TEXT_SIZE];
    if (event == NULL)
        return;
    clock_format(clock_wall_us(), now);
    json_object_set_new(event, "time", json_string(now));
    if (can_write(v) && json_dumpf(event, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER) == 0)
        putchar('\n');
    fflush(stdout);
    json_decref(event);
}

/* ---- clusters ---- */

static void range_text(const struct broker_range *r, char text[PREFIX_TEXT_SIZE])
{
    struct prefix p = {.addr = ip_addr_from(4, r->addr), .bits = (uint8_t)r->bits};
    prefix_format(&p, text);
}

/* The one its apps get addresses of: its own if the session has it, else the first. */
static void range_of(const struct member *m, const struct broker_network *n,
                     char text[PREFIX_TEXT_SIZE])
{
    text[0] = '\0';
    for (uint32_t i = n->range_count; i-- > 0;) {
        range_text(&n->ranges[i], text);
        if (str_eq(text, member_range(m)))
            return;
    }
}

static void zones_of(const struct member *m, char *text, size_t size)
{
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < member_zone_count(m) && len + 1 < size; i++) {
        (void)str_format(text + len, size - len, "%s%s", i > 0 ? ", " : "", member_zone(m, i));
        len = strlen(text);
    }
}

static void until_of(const struct member *m, char text[64])
{
    char until[CLOCK_TEXT_SIZE];
    clock_format(m->profile->expires_s * 1000000, until);
    (void)str_format(text, 64, "%.10s %.5sZ%s", until, until + 11,
                     profile_expired(m->profile) ? " (over)" : "");
}

static json_t *clusters_json(struct agent *agent, const struct broker_network *n)
{
    json_t *list = json_array();
    struct member *m;
    for (size_t i = 0; (m = clusters_at(agent_clusters(agent), i)) != NULL; i++) {
        char range[PREFIX_TEXT_SIZE] = "";
        json_t *zones = json_array();
        for (size_t z = 0; z < member_zone_count(m); z++)
            json_array_append_new(zones, json_string(member_zone(m, z)));
        if (n != NULL)
            range_of(m, n, range);
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o, s:s, s:b}", "cluster",
                                              m->profile->cluster.name, "profile", m->profile->name,
                                              "user", m->profile->user, "zones", zones, "range",
                                              range, "expired", (int)profile_expired(m->profile)));
    }
    return list;
}

static void print_clusters(struct agent *agent, const struct broker_network *n)
{
    static const char *const headings[] = {"CLUSTER", "PROFILE", "USER", "ZONES", "RANGE", "UNTIL"};
    struct table_rows rows;
    struct member *m;
    table_rows_init(&rows, ARRAY_LEN(headings));
    int r = table_rows_add(&rows, headings);
    for (size_t i = 0; r == 0 && (m = clusters_at(agent_clusters(agent), i)) != NULL; i++) {
        char zones[LINE_SIZE], until[64], range[PREFIX_TEXT_SIZE] = "";
        zones_of(m, zones, sizeof(zones));
        until_of(m, until);
        range_of(m, n, range);
        r = table_rows_add(&rows, (const char *const[]){m->profile->cluster.name, m->profile->name,
                                                        m->profile->user, zones, range, until});
    }
    if (r == 0)
        table_rows_print(&rows);
    table_rows_release(&rows);
}

/* ---- events ---- */

static void started_json(struct up_view *v, const struct system_session_info *info,
                         struct agent *agent)
{
    const struct broker_network *n = info->network;
    char text[PREFIX_TEXT_SIZE];
    json_t *ranges = json_array();
    struct prefix p6 = {.addr = {.version = 6}, .bits = 48};
    for (uint32_t i = 0; i < n->range_count; i++) {
        range_text(&n->ranges[i], text);
        json_array_append_new(ranges, json_string(text));
    }
    memcpy(p6.addr.bytes, n->ipv6_prefix, sizeof(n->ipv6_prefix));
    prefix_format(&p6, text);
    print_event(v, json_pack("{s:s, s:s, s:s, s:o, s:s, s:b, s:b, s:s, s:s, s:s, s:o}", "event",
                             "up", "interface", info->interface_name, "dns_backend",
                             info->dns_backend, "ipv4_ranges", ranges, "ipv6_prefix", text, "ipv4",
                             (int)((info->flags & BROKER_NO_IPV4) == 0), "ipv6",
                             (int)((info->flags & BROKER_NO_IPV6) == 0), "why", info->why, "notice",
                             info->notice, "again_from",
                             info->again_from != NULL ? info->again_from : "", "clusters",
                             clusters_json(agent, n)));
}

static void family_text(uint32_t flags, char text[64])
{
    (void)str_format(text, 64, "%s",
                     (flags & BROKER_NO_IPV6) != 0   ? ", IPv4 only"
                     : (flags & BROKER_NO_IPV4) != 0 ? ", IPv6 only"
                                                     : "");
}

static void show_table(struct up_view *v, const struct system_session_info *info,
                       struct agent *agent)
{
    char families[64];
    family_text(info->flags, families);
    printf("Up on %s%s; the host asks for names by: %s\n", info->interface_name, families,
           info->dns_backend);
    if (info->why[0] != '\0')
        printf("%s\n", info->why);
    if (info->notice[0] != '\0')
        printf("%s\n", info->notice);
    putchar('\n');
    print_clusters(agent, info->network);
    putchar('\n');
    if (v->background && !v->dated)
        puts("It goes on in the background; `stile down` ends it and puts the host back.");
    else if (!v->dated)
        puts("Ctrl-C ends it and puts the host back. Connections:");
    fflush(stdout);
    v->shown = true;
}

void up_view_started(struct up_view *v, const struct system_session_info *info, struct agent *agent)
{
    char line[LINE_SIZE];
    v->network = *info->network;
    if (v->json) {
        started_json(v, info, agent);
    } else if (info->again_from == NULL || !v->shown) {
        show_table(v, info, agent);
    } else {
        (void)str_format(line, sizeof(line), "%s; it was started again, on %s", info->again_from,
                         info->interface_name);
        print_line(v, line);
    }
}

void up_view_changed(struct up_view *v, struct agent *agent)
{
    if (v->json)
        print_event(v, json_pack("{s:s, s:o}", "event", "changed", "clusters",
                                 clusters_json(agent, &v->network)));
}

static const char *program_name(const struct connection *c)
{
    const char *slash = strrchr(c->program.path, '/');
    if (c->program.path[0] == '\0')
        return "?";
    return slash != NULL ? slash + 1 : c->program.path;
}

/* "port_not_listed" → "port not listed" */
static void verdict_text(Stile__Vnet__V1__Verdict verdict, char text[32])
{
    (void)str_format(text, 32, "%s", connection_verdict_name(verdict));
    for (char *c = text; *c != '\0'; c++)
        if (*c == '_')
            *c = ' ';
}

static void connection_line(const struct connection *c, char line[LINE_SIZE])
{
    char verdict[32], up[OUTPUT_BYTES_SIZE], down[OUTPUT_BYTES_SIZE], bytes[64] = "";
    verdict_text(c->verdict, verdict);
    output_bytes(c->bytes_up, up);
    output_bytes(c->bytes_down, down);
    if (c->bytes_up + c->bytes_down > 0)
        (void)str_format(bytes, sizeof(bytes), ", %s up, %s down", up, down);
    (void)str_format(line, LINE_SIZE, "%s → %s:%u  %s%s%s%s", program_name(c), c->name,
                     (unsigned)c->port, c->ended_us == 0 ? "open" : verdict, bytes,
                     c->reason[0] != '\0' ? ": " : "", c->reason);
}

void up_view_connection(struct up_view *v, const struct connection *c)
{
    char line[LINE_SIZE];
    if (v->json) {
        json_t *event = connection_to_json(c);
        if (event != NULL)
            json_object_set_new(event, "event", json_string("connection"));
        print_event(v, event);
        return;
    }
    connection_line(c, line);
    print_line(v, line);
}

void up_view_notice(struct up_view *v, const char *text)
{
    if (v->json)
        print_event(v, json_pack("{s:s, s:s}", "event", "notice", "text", text));
    else
        print_line(v, text);
}

void up_view_waiting(struct up_view *v, const char *text)
{
    if (v->json)
        print_event(v, json_pack("{s:s, s:s}", "event", "waiting", "text", text));
    else
        printf("%s\nWaiting for a log-in. %s ends the wait.\n", text,
               v->background || v->dated ? "`stile down`" : "Ctrl-C");
    fflush(stdout);
}

void up_view_ended(struct up_view *v)
{
    if (v->json)
        print_event(v, json_pack("{s:s}", "event", "down"));
    else
        print_line(v, "Down: the host is as it was.");
}
