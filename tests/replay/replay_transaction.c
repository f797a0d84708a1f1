/* Runs scenarios of netcfg's transactions on a host in memory. usage: replay_transaction FILE...
 *
 *   # comment
 *   host OBJECT                  the host has this of its own, before us
 *   plan NAME, then + OBJECT …   a plan
 *   one dns                      the host has one DNS setting for all (an exclusive back-end)
 *   apply SESSION PLAN [ERROR]   0 is expected, or this error: EXISTS, IO, …
 *   end SESSION; end all; recover; repair
 *   kill before|after|within N   the next of these is killed at its Nth step (operation, look, or write of the journal)
 *   fail N, fail after N         that step fails: not happened, or happened all the same
 *   refuse KIND N                the next N times that a link, address, route or dns is applied fail
 *   restart [ERROR]              another process opens the journal (no recovery yet)
 *   reboot, namespace N          before a restart: another boot, another network namespace
 *   full on|off, readonly on|off the disk
 *   set OBJECT, remove OBJECT, unplug LINK       someone else does that
 *   cut N, flip N                of the journal: the last N bytes go; a bit of its byte N turns over
 *   remember NAME, same NAME     what the host looks like; it looks so again
 *   says WHAT [TEXT]             the last report has such a line: applied undone gone left failed repaired note
 *   silent                       it has no line
 *   why TEXT                     the last failure's text has this
 *   operations N, writes N       so many, since the last action began
 *   leftovers N, applied N, journal empty, damaged kept
 *
 * OBJECT: link NAME mtu N | address IP on NAME | route PREFIX on NAME [from IP] [via IP] [metric N] | dns IP on NAME [ZONE…] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "netcfg/netcfg.h"
#include "netcfg/ops_fake.h"
#include "netcfg/store_memory.h"

#define WORDS_MAX 24
#define LINE_SIZE 256
#define NAMES_MAX 8

struct named {
    char name[32];
    struct plan plan; /* of plans */
    char *snapshot;   /* of memories; owned */
};

struct run {
    struct fuse fuse;
    struct fake_os os;
    struct store_memory disk;
    struct netcfg *n;
    struct netcfg_report report;
    struct diag diag;
    uint8_t boot;
    uint64_t namespace_id;
    struct named plans[NAMES_MAX], memories[NAMES_MAX];
    size_t plan_count, memory_count;
    size_t operations, writes; /* when the last action began */
    struct fuse armed;         /* for the next action */
    char text[LINE_SIZE], whole[LINE_SIZE];
    char *words[WORDS_MAX];
    size_t count;
    unsigned line;
    char why[400]; /* the failure; empty: none */
};

static int fail(struct run *r, const char *what, const char *detail)
{
    if (r->why[0] == '\0')
        (void)str_format(r->why, sizeof(r->why), "line %u: %s%s%s", r->line, what,
                         detail[0] != '\0' ? ": " : "", detail);
    return ERR_FORMAT;
}

static void split(struct run *r)
{
    char *hash = strchr(r->text, '#');
    if (hash != NULL)
        *hash = '\0';
    memcpy(r->whole, r->text, sizeof(r->whole)); /* of the same size */
    r->count = 0;
    for (char *p = r->text; *p != '\0' && r->count < WORDS_MAX;) {
        while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
            *p++ = '\0';
        if (*p == '\0')
            break;
        r->words[r->count++] = p;
        while (*p != '\0' && strchr(" \t\n\r", *p) == NULL)
            p++;
    }
}

static const char *word(const struct run *r, size_t i)
{
    return i < r->count ? r->words[i] : "";
}

static uint32_t number(const struct run *r, size_t i)
{
    return (uint32_t)strtoul(word(r, i), NULL, 10);
}

/* The rest of the line behind the first words, as it was written. */
static const char *rest(struct run *r, size_t words)
{
    char *p = r->whole;
    for (size_t i = 0; i <= words; i++) {
        p += strspn(p, " \t");
        if (i < words)
            p += strcspn(p, " \t\r\n");
    }
    p[strcspn(p, "\r\n")] = '\0';
    for (size_t len = strlen(p); len > 0 && p[len - 1] == ' '; len--)
        p[len - 1] = '\0';
    return p;
}

/* ---- objects ---- */

struct spec {
    struct object object;
    char zones[8][OBJECT_ZONE_SIZE];
};

static int route_options(struct run *r, size_t i, struct object_route *route)
{
    int e = 0;
    for (; i + 1 < r->count && e == 0; i += 2) {
        if (str_eq(word(r, i), "from"))
            e = ip_addr_parse(word(r, i + 1), &route->source);
        else if (str_eq(word(r, i), "via"))
            e = ip_addr_parse(word(r, i + 1), &route->via);
        else if (str_eq(word(r, i), "metric"))
            route->metric = number(r, i + 1);
        else
            e = ERR_FORMAT;
    }
    return e;
}

static int dns_options(struct run *r, size_t i, struct spec *s)
{
    struct object_dns *dns = &s->object.dns;
    int e = ip_addr_parse(word(r, i), &dns->servers[0]);
    dns->server_count = 1;
    dns->zones = s->zones;
    for (i += 3; i < r->count && dns->zone_count < ARRAY_LEN(s->zones) && e == 0; i++)
        e = str_copy(s->zones[dns->zone_count++], OBJECT_ZONE_SIZE, word(r, i));
    return e;
}

/* The words from i on. */
static int object_from(struct run *r, size_t i, struct spec *s)
{
    const char *kind = word(r, i), *what = word(r, i + 1), *link = word(r, i + 3);
    int e = 0;
    *s = (struct spec){.object.link_index = 7};
    if (str_eq(kind, "link")) {
        link = what;
        s->object.kind = OBJECT_LINK;
        s->object.settings.mtu = number(r, i + 3);
    } else if (str_eq(kind, "address")) {
        s->object.kind = OBJECT_ADDRESS;
        e = ip_addr_parse(what, &s->object.address.addr);
        s->object.address.bits = (uint8_t)(ip_addr_len(&s->object.address.addr) * 8);
    } else if (str_eq(kind, "route")) {
        s->object.kind = OBJECT_ROUTE;
        e = prefix_parse(what, &s->object.route.dst);
        if (e == 0)
            e = route_options(r, i + 4, &s->object.route);
    } else if (str_eq(kind, "dns")) {
        s->object.kind = OBJECT_DNS;
        e = dns_options(r, i + 1, s);
    } else {
        e = ERR_FORMAT;
    }
    if (e == 0 && str_copy(s->object.link, sizeof(s->object.link), link) == 0 &&
        object_check(&s->object) == 0)
        return 0;
    return fail(r, "no such object", kind);
}

/* ---- names ---- */

static struct named *find(struct named *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(list[i].name, name))
            return &list[i];
    return NULL;
}

static struct named *add(struct run *r, struct named *list, size_t *count, const char *name)
{
    struct named *n = find(list, *count, name);
    if (n == NULL && *count < NAMES_MAX)
        n = &list[(*count)++];
    if (n == NULL || str_copy(n->name, sizeof(n->name), name) < 0)
        (void)fail(r, "no room for the name", name);
    return n;
}

static char *snapshot(struct run *r)
{
    struct buf text;
    buf_init(&text, 1000000);
    char *s = fake_os_snapshot(&r->os, &text) == 0 ? buf_steal_cstr(&text) : NULL;
    if (s == NULL)
        (void)fail(r, "out of memory", "");
    return s;
}

/* ---- actions ---- */

static int open_journal(struct run *r)
{
    struct netcfg_config config = {.ops = &r->os.ops, .namespace_id = r->namespace_id};
    memset(config.boot_id, r->boot, sizeof(config.boot_id));
    int e = store_memory_open(&r->disk, &config.store, &r->diag);
    if (e < 0)
        return e;
    e = netcfg_open(&config, &r->n, &r->diag);
    if (e < 0)
        store_close(config.store);
    return e;
}

static void begin_action(struct run *r)
{
    netcfg_report_init(&r->report);
    r->diag = (struct diag){0};
    r->operations = r->os.operations;
    r->writes = r->disk.writes;
    r->fuse = r->armed;
    r->armed = (struct fuse){0};
}

/* A process that was killed has no result. */
static int end_action(struct run *r, int e, const char *expected)
{
    char text[80];
    if (r->fuse.at != 0 && r->fuse.steps < r->fuse.at)
        return fail(r, "it ended before that step", "");
    if (!r->fuse.dead)
        r->fuse = (struct fuse){0};
    else
        return 0;
    if (str_eq(e == 0 ? "" : err_name(e), expected))
        return 0;
    (void)str_format(text, sizeof(text), "%s, not %s", e == 0 ? "0" : err_name(e),
                     expected[0] == '\0' ? "0" : expected);
    return fail(r, text, r->diag.text);
}

static int do_apply(struct run *r)
{
    const struct named *plan = find(r->plans, r->plan_count, word(r, 2));
    if (plan == NULL)
        return fail(r, "no such plan", word(r, 2));
    begin_action(r);
    return end_action(r, netcfg_apply(r->n, number(r, 1), &plan->plan, &r->report, &r->diag),
                      word(r, 3));
}

static int do_end(struct run *r)
{
    begin_action(r);
    int e = str_eq(word(r, 1), "all") ? netcfg_end_all(r->n, &r->report)
                                      : netcfg_end(r->n, number(r, 1), &r->report);
    return end_action(r, e, "");
}

static int do_recover(struct run *r)
{
    begin_action(r);
    return end_action(r, netcfg_recover(r->n, &r->report), "");
}

static int do_repair(struct run *r)
{
    begin_action(r);
    return end_action(r, netcfg_repair(r->n, NULL, NULL, &r->report), "");
}

static int do_restart(struct run *r)
{
    netcfg_close(STEAL(r->n));
    r->fuse = (struct fuse){0};
    begin_action(r);
    return end_action(r, open_journal(r), word(r, 1));
}

/* ---- what is arranged ---- */

static int do_host(struct run *r)
{
    struct spec s;
    int e = object_from(r, 1, &s);
    return e < 0 ? e : fake_os_set(&r->os, &s.object);
}

static int do_remove(struct run *r)
{
    struct spec s;
    int e = object_from(r, 1, &s);
    if (e == 0)
        fake_os_remove(&r->os, &s.object);
    return e;
}

static int do_unplug(struct run *r)
{
    fake_os_remove_link(&r->os, word(r, 1));
    return 0;
}

static int do_plan(struct run *r)
{
    return add(r, r->plans, &r->plan_count, word(r, 1)) == NULL ? ERR_FORMAT : 0;
}

static int do_plus(struct run *r)
{
    struct spec s;
    if (r->plan_count == 0)
        return fail(r, "no plan", "");
    int e = object_from(r, 1, &s);
    if (e < 0)
        return e;
    e = plan_add(&r->plans[r->plan_count - 1].plan, &s.object);
    return e == 0 ? 0 : fail(r, "the plan refuses it", err_name(e));
}

static int do_one(struct run *r)
{
    r->os.kinds[OBJECT_DNS].exclusive = true;
    return 0;
}

static int do_kill(struct run *r)
{
    static const struct {
        const char *name;
        enum fuse_action action;
    } moments[] = {
        {"before", FUSE_KILL_BEFORE}, {"after", FUSE_KILL_AFTER}, {"within", FUSE_KILL_WITHIN}};
    for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
        if (str_eq(word(r, 1), moments[i].name)) {
            r->armed = (struct fuse){.at = number(r, 2), .action = moments[i].action, .part = 40};
            return 0;
        }
    }
    return fail(r, "no such moment", word(r, 1));
}

static int do_fail(struct run *r)
{
    bool after = str_eq(word(r, 1), "after");
    r->armed = (struct fuse){.at = number(r, after ? 2 : 1),
                             .action = after ? FUSE_FAIL_AFTER : FUSE_FAIL};
    return 0;
}

static int do_refuse(struct run *r)
{
    static const char *const kinds[] = {"", "link", "address", "route", "dns"};
    for (size_t i = 1; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kinds[i], word(r, 1)))
            r->os.refused[i] = number(r, 2);
    return 0;
}

static int do_reboot(struct run *r)
{
    fake_os_reboot(&r->os);
    r->boot++;
    return 0;
}

static int do_namespace(struct run *r)
{
    r->namespace_id = number(r, 1);
    return 0;
}

static int do_full(struct run *r)
{
    r->disk.full = str_eq(word(r, 1), "on");
    return 0;
}

static int do_readonly(struct run *r)
{
    r->disk.read_only = str_eq(word(r, 1), "on");
    return 0;
}

static int do_cut(struct run *r)
{
    size_t n = MIN((size_t)number(r, 1), buf_len(&r->disk.file));
    r->disk.file.end -= n;
    return 0;
}

static int do_flip(struct run *r)
{
    if (number(r, 1) >= buf_len(&r->disk.file))
        return fail(r, "the journal is shorter", "");
    r->disk.file.data[r->disk.file.start + number(r, 1)] ^= 4;
    return 0;
}

static int do_remember(struct run *r)
{
    struct named *m = add(r, r->memories, &r->memory_count, word(r, 1));
    if (m == NULL)
        return ERR_FORMAT;
    mem_free(m->snapshot);
    m->snapshot = snapshot(r);
    return 0;
}

/* ---- what is expected ---- */

static int do_same(struct run *r)
{
    const struct named *m = find(r->memories, r->memory_count, word(r, 1));
    if (m == NULL)
        return fail(r, "nothing is remembered as", word(r, 1));
    char *now = snapshot(r);
    bool same = now != NULL && m->snapshot != NULL && str_eq(now, m->snapshot);
    if (!same)
        printf("# then:\n%s# now:\n%s", m->snapshot, now);
    mem_free(now);
    return same ? 0 : fail(r, "the host isn't as it was", word(r, 1));
}

static int do_says(struct run *r)
{
    static const char *const whats[] = {"",       "applied",  "undone", "gone", "left",
                                        "failed", "repaired", "note",   "waits"};
    const char *text = rest(r, 2);
    for (size_t i = 0; i < r->report.count; i++) {
        const struct netcfg_line *line = &r->report.lines[i];
        if (str_eq(whats[line->what], word(r, 1)) && strstr(line->text, text) != NULL)
            return 0;
    }
    return fail(r, "the report doesn't say so", r->report.count > 0 ? r->report.lines[0].text : "");
}

static int do_silent(struct run *r)
{
    return r->report.total == 0 ? 0 : fail(r, "the report says", r->report.lines[0].text);
}

static int do_why(struct run *r)
{
    return strstr(r->diag.text, rest(r, 1)) != NULL ? 0 : fail(r, "it says", r->diag.text);
}

static int expect(struct run *r, size_t found)
{
    char text[40];
    if (found == number(r, 1))
        return 0;
    (void)str_format(text, sizeof(text), "%zu", found);
    return fail(r, "there are", text);
}

static int do_operations(struct run *r)
{
    return expect(r, r->os.operations - r->operations);
}

static int do_writes(struct run *r)
{
    return expect(r, r->disk.writes - r->writes);
}

static int do_leftovers(struct run *r)
{
    return expect(r, netcfg_leftovers(r->n));
}

static int do_applied(struct run *r)
{
    return expect(r, netcfg_applied(r->n));
}

static int do_journal(struct run *r)
{
    return buf_len(&r->disk.file) == 0 ? 0 : fail(r, "the journal isn't empty", "");
}

static int do_damaged(struct run *r)
{
    return buf_len(&r->disk.damaged) > 0 ? 0 : fail(r, "no damaged journal was kept", "");
}

static const struct {
    const char *word;
    int (*run)(struct run *r);
} commands[] = {
    {"host", do_host},
    {"plan", do_plan},
    {"+", do_plus},
    {"one", do_one},
    {"apply", do_apply},
    {"end", do_end},
    {"recover", do_recover},
    {"repair", do_repair},
    {"kill", do_kill},
    {"fail", do_fail},
    {"refuse", do_refuse},
    {"restart", do_restart},
    {"reboot", do_reboot},
    {"namespace", do_namespace},
    {"full", do_full},
    {"readonly", do_readonly},
    {"set", do_host},
    {"remove", do_remove},
    {"unplug", do_unplug},
    {"cut", do_cut},
    {"flip", do_flip},
    {"remember", do_remember},
    {"same", do_same},
    {"says", do_says},
    {"silent", do_silent},
    {"why", do_why},
    {"operations", do_operations},
    {"writes", do_writes},
    {"leftovers", do_leftovers},
    {"applied", do_applied},
    {"journal", do_journal},
    {"damaged", do_damaged},
};

static int run_line(struct run *r)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (str_eq(commands[i].word, r->words[0]))
            return commands[i].run(r);
    return fail(r, "no such command", r->words[0]);
}

static void run_file(struct run *r, FILE *file)
{
    int e = open_journal(r);
    while (e == 0 && fgets(r->text, sizeof(r->text), file) != NULL) {
        r->line++;
        split(r);
        if (r->count > 0)
            e = run_line(r);
    }
    if (e < 0)
        (void)fail(r, err_name(e), r->diag.text);
    if (r->armed.at != 0)
        (void)fail(r, "a kill or failure was never used", "");
}

static void run_release(struct run *r)
{
    netcfg_close(r->n);
    for (size_t i = 0; i < NAMES_MAX; i++) {
        plan_release(&r->plans[i].plan);
        mem_free(r->memories[i].snapshot);
    }
    fake_os_release(&r->os);
    store_memory_release(&r->disk);
}

static bool run_scenario(const char *path, unsigned n)
{
    static struct run r;
    const char *name = strrchr(path, '/');
    FILE *file = fopen(path, "r");
    r = (struct run){.boot = 1, .namespace_id = 1};
    fake_os_init(&r.os, &r.fuse);
    store_memory_init(&r.disk, &r.fuse);
    if (file == NULL) {
        (void)fail(&r, "can't be read", path);
    } else {
        run_file(&r, file);
        fclose(file);
    }
    run_release(&r);
    bool good = r.why[0] == '\0';
    printf("%sok %u - %s\n", good ? "" : "not ", n, name == NULL ? path : name + 1);
    if (!good)
        printf("# %s\n", r.why);
    return good;
}

int main(int argc, char **argv)
{
    bool good = argc > 1;
    printf("1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++)
        good &= run_scenario(argv[i], (unsigned)i);
    return good ? 0 : 1;
}
