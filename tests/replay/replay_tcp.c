/* Runs scenarios of TCP, each for IPv4 and IPv6. usage: replay_tcp FILE...
 *
 *   # comment
 *   set NAME VALUE        configuration, before anything else (times in ms)
 *   isn N                 the current client's initial sequence number (before its SYN)
 *   client PORT           the lines that follow are about this client
 *   < FLAGS [seq N] [ack N] [len N] [win N] [mss N|auto] [ws N] [sackok] [sack A-B,C-D]
 *                         a segment from the client. FLAGS as tcpdump has them: S . F R P
 *   > FLAGS …             the next segment to the client; what isn't named isn't compared (nor is PSH); gso N: its size
 *   ! EVENT               the next event: syn, established, data N, end, space, closed DONE|RESET|TIMEOUT|GAVE_UP
 *   open [mss N|auto] [ws N] [sackok] [win N]   a whole handshake, as it must be
 *   +N                    N ms pass (a fraction is allowed)
 *   accept refuse drop abort end        what the application does
 *   room N, send N        it grants room; sends so many bytes (all must find space), "send N of M" if only N do
 *   burst … flush         no tcp_flush between the lines; otherwise it follows each of them
 *   full, free            the device takes nothing (ERR_AGAIN), takes again
 *   state NAME            of the current flow; NONE: there is none
 *   stat NAME N           of the host: flows, pending, time_wait, refused, rings, small_rings, reordered, syns_ignored
 *   quiet                 no segment, no event, also none to come: no time-out is pending
 *
 * Whatever comes out and isn't expected before the next thing happens is a failure. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "world.h"

#define WORDS_MAX 32
#define LINE_MAX_ 256

struct line {
    char text[LINE_MAX_];
    char *words[WORDS_MAX];
    size_t count;
    unsigned number;
};

struct run {
    struct world *world;
    struct line line;
    bool burst;
    char why[240]; /* the failure; empty: none */
};

static int fail(struct run *r, const char *what, const char *detail)
{
    if (r->why[0] == '\0')
        (void)str_format(r->why, sizeof r->why, "line %u: %s%s%s", r->line.number, what,
                         detail[0] != '\0' ? ": " : "", detail);
    return ERR_FORMAT;
}

static void split(struct line *l)
{
    char *hash = strchr(l->text, '#');
    if (hash != NULL)
        *hash = '\0';
    l->count = 0;
    for (char *p = l->text; *p != '\0' && l->count < WORDS_MAX;) {
        while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r')
            *p++ = '\0';
        if (*p == '\0')
            break;
        l->words[l->count++] = p;
        while (*p != '\0' && strchr(" \t\n\r", *p) == NULL)
            p++;
    }
}

static bool to_number(const char *s, int64_t *ret)
{
    char *end;
    *ret = strtoll(s, &end, 10);
    return *s != '\0' && *end == '\0';
}

static bool parse_flags(const char *s, uint8_t *ret_flags)
{
    static const char letters[] = "FSRP.";
    *ret_flags = 0;
    for (; *s != '\0'; s++) {
        const char *at = strchr(letters, *s);
        if (at == NULL)
            return false;
        *ret_flags |= (uint8_t)(1U << (at - letters));
    }
    return true;
}

static bool parse_sack(char *s, struct seg *ret)
{
    ret->sack_count = 0;
    while (*s != '\0' && ret->sack_count < TCP_SACK_MAX) {
        char *end;
        struct tcp_block *b = &ret->sack[ret->sack_count++];
        b->start = (uint32_t)strtoul(s, &end, 10);
        if (*end != '-')
            return false;
        b->end = (uint32_t)strtoul(end + 1, &end, 10);
        if (*end != ',' && *end != '\0')
            return false;
        s = *end == ',' ? end + 1 : end;
    }
    return *s == '\0';
}

static int64_t *field_of(struct seg *s, const char *name)
{
    static const char *const names[] = {"seq", "ack", "len", "win", "mss", "ws", "gso"};
    int64_t *fields[] = {&s->seq, &s->ack, &s->len, &s->win, &s->mss, &s->ws, &s->gso};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq(names[i], name))
            return fields[i];
    }
    return NULL;
}

static int64_t own_mss(const struct world *w)
{
    return w->config.mtu - (w->version == 4 ? 40 : 60);
}

/* One field and its value from word i on; how many words that were, 0: it is no field. */
static size_t parse_field(struct run *r, size_t i, struct seg *s, bool *sack)
{
    char **words = r->line.words;
    if (str_eq(words[i], "sackok")) {
        s->sackok = 1;
        return 1;
    }
    if (i + 1 >= r->line.count)
        return 0;
    if (str_eq(words[i], "sack")) {
        *sack = true;
        if (str_eq(words[i + 1], "none"))
            return 2;
        return parse_sack(words[i + 1], s) ? 2 : 0;
    }
    int64_t *field = field_of(s, words[i]);
    if (field == &s->mss && str_eq(words[i + 1], "auto"))
        *field = own_mss(r->world);
    else if (field == NULL || !to_number(words[i + 1], field))
        return 0;
    return 2;
}

static int parse_seg(struct run *r, struct seg *s, bool *sack)
{
    *s = (struct seg){.seq = -1, .ack = -1, .len = -1, .win = -1, .mss = -1, .ws = -1, .gso = -1};
    *sack = false;
    if (r->line.count < 2 || !parse_flags(r->line.words[1], &s->flags))
        return fail(r, "flags expected", "");
    for (size_t i = 2; i < r->line.count;) {
        size_t n = parse_field(r, i, s, sack);
        if (n == 0)
            return fail(r, "not a field", r->line.words[i]);
        i += n;
    }
    return 0;
}

static void show_seg(const struct seg *s, char text[160])
{
    static const char letters[] = "FSRP.";
    char flags[8];
    size_t n = 0;
    for (unsigned i = 0; i < 5; i++) {
        if (s->flags & 1U << i)
            flags[n++] = letters[i];
    }
    flags[n] = '\0';
    (void)str_format(text, 160,
                     "%s seq %" PRId64 " ack %" PRId64 " len %" PRId64 " win %" PRId64
                     " mss %" PRId64 " ws %" PRId64 " gso %" PRId64 " sacks %zu (%u-%u) port %u",
                     flags, s->seq, s->ack, s->len, s->win, s->mss, s->ws, s->gso, s->sack_count,
                     s->sack_count > 0 ? s->sack[0].start : 0,
                     s->sack_count > 0 ? s->sack[0].end : 0, s->port);
}

static bool fields_match(const struct seg *expected, const struct seg *seen)
{
    const int64_t pairs[][2] = {
        {expected->seq, seen->seq}, {expected->ack, seen->ack}, {expected->len, seen->len},
        {expected->win, seen->win}, {expected->mss, seen->mss}, {expected->ws, seen->ws},
        {expected->gso, seen->gso},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        if (pairs[i][0] >= 0 && pairs[i][0] != pairs[i][1])
            return false;
    }
    return expected->sackok == 0 || seen->sackok == 1;
}

static bool sack_matches(const struct seg *expected, const struct seg *seen)
{
    return expected->sack_count == seen->sack_count &&
           memcmp(expected->sack, seen->sack, seen->sack_count * sizeof seen->sack[0]) == 0;
}

static int expect_seg(struct run *r)
{
    struct world *w = r->world;
    struct seg s;
    bool sack;
    char text[160];
    int e = parse_seg(r, &s, &sack);
    if (e < 0)
        return e;
    if (w->seen_first == w->seen_count)
        return fail(r, "no segment came out", "");
    const struct seg *seen = &w->seen[w->seen_first++];
    show_seg(seen, text);
    if (seen->port != w->current->port || ((seen->flags ^ s.flags) & ~TCP_PSH) != 0 ||
        !fields_match(&s, seen) || (sack && !sack_matches(&s, seen)))
        return fail(r, "another segment came out", text);
    return 0;
}

static int expect_event(struct run *r)
{
    struct world *w = r->world;
    char text[48] = "";
    for (size_t i = 1; i < r->line.count; i++) {
        size_t used = strlen(text);
        (void)str_format(text + used, sizeof text - used, "%s%s", i > 1 ? " " : "",
                         r->line.words[i]);
    }
    if (w->event_first == w->event_count)
        return fail(r, "no event", text);
    const struct event *e = &w->events[w->event_first++];
    if (e->port != w->current->port || !str_eq(e->text, text))
        return fail(r, "another event", e->text);
    return 0;
}

/* Everything that came out was expected. */
static int expect_nothing(struct run *r)
{
    struct world *w = r->world;
    char text[160];
    if (w->seen_first < w->seen_count) {
        show_seg(&w->seen[w->seen_first], text);
        return fail(r, "before this line, an unexpected segment", text);
    }
    if (w->event_first < w->event_count)
        return fail(r, "before this line, an unexpected event", w->events[w->event_first].text);
    w->seen_first = w->seen_count = 0;
    w->event_first = w->event_count = 0;
    return 0;
}

static int set_option(struct run *r)
{
    struct tcp_config *c = &r->world->config;
    int64_t v;
    if (r->line.count != 3 || !to_number(r->line.words[2], &v) || v < 0)
        return fail(r, "set NAME VALUE", "");
    const char *name = r->line.words[1];
    const struct {
        const char *name;
        size_t *size;
        uint64_t *ms;
    } options[] = {
        {"window", &c->receive_window_max, NULL}, {"ring", &c->send_ring_size, NULL},
        {"max_rings", &c->max_rings, NULL},       {"max_flows", &c->max_flows, NULL},
        {"max_pending", &c->max_pending, NULL},   {"max_time_wait", &c->max_time_wait, NULL},
        {"max_refused", &c->max_refused, NULL},   {"refused", NULL, &c->refused_ns},
        {"time_wait", NULL, &c->time_wait_ns},    {"rto_min", NULL, &c->rto_min_ns},
        {"rto_max", NULL, &c->rto_max_ns},        {"give_up", NULL, &c->give_up_ns},
        {"keepalive", NULL, &c->keepalive_ns},    {"pending_first", NULL, &c->pending_first_ns},
    };
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (!str_eq(options[i].name, name))
            continue;
        if (options[i].size != NULL)
            *options[i].size = (size_t)v;
        else
            *options[i].ms = (uint64_t)v * NS_PER_MS;
        return 0;
    }
    if (str_eq(name, "mtu"))
        c->mtu = (uint16_t)v;
    else if (str_eq(name, "gso"))
        c->gso_max = (uint32_t)v;
    else if (str_eq(name, "offload"))
        c->checksum_offload = v != 0;
    else
        return fail(r, "no such option", name);
    return 0;
}

static int check_stat(struct run *r)
{
    struct tcp_host_stats s;
    int64_t v;
    if (r->line.count != 3 || !to_number(r->line.words[2], &v))
        return fail(r, "stat NAME N", "");
    tcp_host_get_stats(r->world->host, &s);
    const struct {
        const char *name;
        uint64_t value;
    } stats[] = {
        {"flows", s.flows},
        {"pending", s.pending},
        {"time_wait", s.time_wait},
        {"refused", s.refused},
        {"rings", s.rings},
        {"small_rings", s.small_rings},
        {"reordered", s.reordered_bytes},
        {"syns_ignored", s.syns_ignored},
        {"challenges", s.challenges_out},
    };
    for (size_t i = 0; i < ARRAY_LEN(stats); i++) {
        char text[32];
        (void)str_format(text, sizeof text, "%" PRIu64, stats[i].value);
        if (str_eq(stats[i].name, r->line.words[1]))
            return stats[i].value == (uint64_t)v ? 0 : fail(r, "it is", text);
    }
    return fail(r, "no such number", r->line.words[1]);
}

static int check_state(struct run *r)
{
    const struct tcp_flow *f = r->world->current->flow;
    const char *state = f == NULL ? "NONE" : tcp_flow_state_name(f);
    if (r->line.count != 2 || !str_eq(state, r->line.words[1]))
        return fail(r, "the state is", state);
    return 0;
}

static int pass_time(struct run *r)
{
    char *end;
    double ms = strtod(r->line.words[0] + 1, &end);
    if (*end != '\0' || ms < 0)
        return fail(r, "not a time", r->line.words[0]);
    world_advance(r->world, (uint64_t)(ms * 1e6));
    return 0;
}

static int send_bytes(struct run *r)
{
    int64_t wanted;
    int64_t fits;
    if (r->line.count < 2 || !to_number(r->line.words[1], &fits))
        return fail(r, "send N", "");
    wanted = fits;
    if (r->line.count == 4 && !to_number(r->line.words[3], &wanted))
        return fail(r, "send N of M", "");
    size_t done = world_send(r->world, (size_t)wanted);
    char text[32];
    (void)str_format(text, sizeof text, "%zu", done);
    return done == (size_t)fits ? 0 : fail(r, "there was space for", text);
}

/* What the application does to the current flow. */
static int act(struct run *r, const char *what)
{
    struct world *w = r->world;
    struct tcp_flow *f = w->current->flow;
    if (f == NULL)
        return fail(r, "there is no flow", "");
    int64_t room;
    if (str_eq(what, "accept"))
        tcp_accept(f, w->now);
    else if (str_eq(what, "end"))
        tcp_send_end(f, w->now);
    else if (str_eq(what, "room") && r->line.count == 2 && to_number(r->line.words[1], &room))
        tcp_set_receive_room(f, (size_t)room);
    else if (str_eq(what, "send"))
        return send_bytes(r);
    else if (str_eq(what, "refuse") || str_eq(what, "abort") || str_eq(what, "drop")) {
        w->current->flow = NULL;
        if (str_eq(what, "drop"))
            tcp_drop(f);
        else if (str_eq(what, "abort"))
            tcp_abort(f, w->now);
        else
            tcp_refuse(f, w->now);
    } else {
        return fail(r, "not a command", what);
    }
    return 0;
}

static int take_segment(struct run *r)
{
    struct seg s;
    bool sack;
    int e = parse_seg(r, &s, &sack);
    if (e < 0)
        return e;
    if (s.win < 0)
        s.win = 65535;
    if (s.seq == -1)
        s.seq = 0;
    if (s.ack == -1)
        s.ack = 0;
    world_input(r->world, &s);
    return 0;
}

static bool next_event_is(struct world *w, const char *text)
{
    return w->event_first < w->event_count && str_eq(w->events[w->event_first++].text, text);
}

static int open_flow(struct run *r)
{
    struct world *w = r->world;
    struct seg syn = {.len = 0, .win = 65535, .mss = own_mss(w), .ws = -1};
    bool sack;
    for (size_t i = 1; i < r->line.count;) {
        size_t n = parse_field(r, i, &syn, &sack);
        if (n == 0)
            return fail(r, "not a field", r->line.words[i]);
        i += n;
    }
    syn.flags = TCP_SYN;
    world_input(w, &syn);
    if (!next_event_is(w, "syn") || w->current->flow == NULL)
        return fail(r, "no on_syn", "");
    tcp_accept(w->current->flow, w->now);
    if (w->seen_first == w->seen_count || w->seen[w->seen_first++].flags != (TCP_SYN | TCP_ACK))
        return fail(r, "no SYN-ACK", "");
    const struct seg ack = {.flags = TCP_ACK, .seq = 1, .ack = 1, .win = syn.win};
    world_input(w, &ack);
    return next_event_is(w, "established") ? 0 : fail(r, "not established", "");
}

static int choose_client(struct run *r, int64_t *value)
{
    if (r->line.count != 2 || !to_number(r->line.words[1], value))
        return fail(r, "a number expected", "");
    return 0;
}

/* Lines that make something happen. */
static int do_line(struct run *r)
{
    struct world *w = r->world;
    const char *word = r->line.words[0];
    int64_t v;
    int e = expect_nothing(r);
    if (e < 0)
        return e;
    if (str_eq(word, "burst")) {
        r->burst = true;
    } else if (str_eq(word, "flush")) {
        r->burst = false;
    } else if (str_eq(word, "full") || str_eq(word, "free")) {
        w->full = str_eq(word, "full");
    } else if (str_eq(word, "client") || str_eq(word, "isn")) {
        if (choose_client(r, &v) < 0)
            return ERR_FORMAT;
        if (str_eq(word, "isn"))
            w->current->isn = (uint32_t)v;
        else
            w->current = world_client(w, (uint16_t)v);
        return w->current == NULL ? fail(r, "too many clients", "") : 0;
    } else if (str_eq(word, "open")) {
        e = open_flow(r);
    } else if (str_eq(word, "<")) {
        e = take_segment(r);
    } else if (word[0] == '+') {
        return pass_time(r);
    } else {
        e = act(r, word);
    }
    if (e == 0 && !r->burst)
        (void)tcp_flush(w->host, w->now);
    return e;
}

static int run_line(struct run *r)
{
    const char *word = r->line.words[0];
    if (str_eq(word, "set"))
        return set_option(r);
    if (world_start(r->world) < 0)
        return fail(r, "this configuration is refused", "");
    if (str_eq(word, ">"))
        return expect_seg(r);
    if (str_eq(word, "!"))
        return expect_event(r);
    if (str_eq(word, "state"))
        return check_state(r);
    if (str_eq(word, "stat"))
        return check_stat(r);
    if (str_eq(word, "quiet"))
        return tcp_next_deadline(r->world->host) == TCP_NEVER ? expect_nothing(r)
                                                              : fail(r, "a time-out pends", "");
    return do_line(r);
}

static void run_file(struct run *r, FILE *file)
{
    int e = 0;
    while (e == 0 && fgets(r->line.text, sizeof r->line.text, file) != NULL) {
        r->line.number++;
        split(&r->line);
        if (r->line.count > 0)
            e = run_line(r);
        if (r->world->problem[0] != '\0')
            e = fail(r, r->world->problem, "");
    }
    r->line.number++;
    if (e == 0)
        (void)expect_nothing(r);
    if (r->world->host == NULL)
        (void)fail(r, "the scenario does nothing", "");
}

/* True if it passed. */
static bool run_scenario(const char *path, uint8_t version, unsigned number)
{
    static struct world world;
    struct run r = {.world = &world};
    const char *name = strrchr(path, '/');
    FILE *file = fopen(path, "r");
    world_init(&world, version);
    if (file == NULL) {
        (void)fail(&r, "can't be read", path);
    } else {
        run_file(&r, file);
        fclose(file);
    }
    world_release(&world);
    bool good = r.why[0] == '\0';
    printf("%sok %u - %s, IPv%u\n", good ? "" : "not ", number, name == NULL ? path : name + 1,
           version);
    if (!good)
        printf("# %s\n", r.why);
    return good;
}

int main(int argc, char **argv)
{
    unsigned number = 0;
    bool good = argc > 1;
    printf("1..%d\n", 2 * (argc - 1));
    for (int i = 1; i < argc; i++) {
        good &= run_scenario(argv[i], 4, ++number);
        good &= run_scenario(argv[i], 6, ++number);
    }
    return good ? 0 : 1;
}
