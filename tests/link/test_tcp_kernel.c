/* The TCP endpoint against the Linux kernel's own, over a TUN in a namespace: in order, and over links that lose,
 * double, reorder, delay and cut. usage: test_tcp_kernel [clean|lossy [SEED]] (default: clean, then lossy). */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/random.h"
#include "base/str.h"
#include "client.h"
#include "lossy.h"
#include "pattern.h"
#include "rig.h"
#include "server.h"

#define MB UINT64_C(1000000)

struct bed { /* what one group of cases runs on */
    const char *name;
    uint32_t mtu;
    bool offload;
    const struct lossy_config *lossy; /* NULL: clean */
};

static unsigned cases, failures;
static uint64_t seed; /* added to the beds' own: other losses */
static struct link *current_link;

static void tell(const struct bed *bed, int version, const char *what, int result)
{
    cases++;
    failures += result != 0;
    printf("%sok %u - IPv%d, %s: %s\n", result == 0 ? "" : "not ", cases, version, bed->name, what);
    fflush(stdout);
}

static struct server *start(const struct bed *bed)
{
    struct link *link;
    if (rig_open(bed->mtu, bed->offload, &link) < 0)
        return NULL;
    if (bed->lossy != NULL) {
        struct lossy_config lossy = *bed->lossy;
        lossy.seed += seed;
        if (lossy_new(link, &lossy, &link) < 0)
            return NULL;
    }
    struct tcp_config c;
    tcp_config_defaults(&c);
    random_bytes(c.secret, sizeof c.secret);
    c.mtu = (uint16_t)bed->mtu;
    c.gso_max = bed->offload ? UINT16_MAX : 0;
    c.checksum_offload = bed->offload;
    struct server *s;
    current_link = link;
    return server_start(link, bed->lossy != NULL, &c, &s) < 0 ? NULL : s;
}

static void show(const struct bed *bed, const char *what, uint64_t bytes, uint64_t ns)
{
    printf("# %s, %s: %.2f Gbit/s, %.2f s\n", bed->name, what, (double)bytes * 8 / (double)ns,
           (double)ns / 1e9);
}

static void stop(const struct bed *bed, struct server *s)
{
    struct lossy_stats y = {0};
    struct server_result r;
    if (bed->lossy != NULL)
        lossy_get_stats(current_link, &y);
    server_stop(s, &r);
    printf("# in %llu out %llu retransmits %llu timeouts %llu lost %llu doubled %llu reordered "
           "%llu cut %llu cpu %.2f s\n",
           (unsigned long long)r.host.segments_in, (unsigned long long)r.host.segments_out,
           (unsigned long long)r.host.retransmits, (unsigned long long)r.host.timeouts,
           (unsigned long long)y.lost, (unsigned long long)y.duplicated,
           (unsigned long long)y.reordered, (unsigned long long)y.cuts, r.cpu_s);
    tell(bed, 0, "no event came twice or after the end", r.events_wrong == 0 ? 0 : ERR_INTERNAL);
    bool empty = r.host.flows == 0 && r.host.rings == 0 && r.host.small_rings == 0 &&
                 r.host.reordered_bytes == 0;
    if (!empty)
        printf("# flows %zu rings %zu %zu reordered %zu\n", r.host.flows, r.host.rings,
               r.host.small_rings, r.host.reordered_bytes);
    tell(bed, 0, "nothing is held after the last flow", empty ? 0 : ERR_INTERNAL);
}

static void bulk(const struct bed *bed, int version, uint64_t bytes)
{
    uint64_t t = clock_mono_ns();
    tell(bed, version, "upload arrives whole", client_upload(version, PORT_SINK, bytes));
    show(bed, "up", bytes, clock_mono_ns() - t);
    t = clock_mono_ns();
    tell(bed, version, "download arrives whole", client_download(version, bytes));
    show(bed, "down", bytes, clock_mono_ns() - t);
}

static int expect_refused(int version)
{
    int fd = client_connect(version, PORT_REFUSED);
    if (fd >= 0)
        close(fd);
    return fd == -ECONNREFUSED ? 0 : ERR_INTERNAL;
}

/* Not accepted by the kernel before we accept. */
static int expect_slow(int version)
{
    uint64_t t = clock_mono_ns();
    int r = client_echo(version, PORT_SLOW, 100000);
    return r < 0 ? r : clock_mono_ns() - t >= 300 * NS_PER_MS ? 0 : ERR_INTERNAL;
}

static int expect_reset(int version)
{
    char c;
    int fd = client_connect(version, PORT_ABORT);
    if (fd < 0 || send(fd, "x", 1, MSG_NOSIGNAL) != 1)
        return ERR_IO;
    ssize_t n = recv(fd, &c, 1, 0);
    int code = errno;
    close(fd);
    return n < 0 && code == ECONNRESET ? 0 : ERR_INTERNAL;
}

static int many_short(int version, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        int r = client_echo(version, PORT_ECHO, 100);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The client resets in the middle of a download, with data and windows in every state. */
static int reset_midway(int version)
{
    int fd = client_connect(version, PORT_SOURCE);
    if (fd < 0)
        return ERR_IO;
    const uint8_t question[8] = {0, 0, 0, 1};
    struct linger hard = {.l_onoff = 1};
    (void)!send(fd, question, sizeof question, MSG_NOSIGNAL);
    usleep(20000);
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
    usleep(20000);
    return 0;
}

static void small_things(const struct bed *bed, int version)
{
    tell(bed, version, "what is refused is refused", expect_refused(version));
    tell(bed, version, "refused again at once", expect_refused(version));
    tell(bed, version, "what is pending waits", expect_slow(version));
    tell(bed, version, "echo, both directions at once, with half-close",
         client_echo(version, PORT_ECHO, 30 * MB));
    tell(bed, version, "empty stream", client_upload(version, PORT_SINK, 0));
    tell(bed, version, "one byte", client_upload(version, PORT_SINK, 1));
    tell(bed, version, "a stalling receiver loses nothing", client_upload(version, PORT_STALL, MB));
    tell(bed, version, "a slow client with a small window loses nothing",
         client_slow_download(version, MB));
    tell(bed, version, "an abort is a reset for the client", expect_reset(version));
    uint64_t t = clock_mono_ns();
    tell(bed, version, "300 short connections", many_short(version, 300));
    printf("# %.0f connections per second, one after the other\n",
           300e9 / (double)(clock_mono_ns() - t));
    tell(bed, version, "900 connections at once", client_many(version, 900));
    tell(bed, version, "a client's reset ends the flow", reset_midway(version));
}

/* A client waits for an answer that never comes, and then goes away without a word: one flow, that ends by itself. */
static int wait_in_vain(const struct bed *bed)
{
    struct server *s = start(bed);
    struct server_result r;
    if (s == NULL)
        return ERR_IO;
    int fd = client_connect_later(4, PORT_SILENT);
    usleep(3500000); /* long enough for repeated SYNs */
    close(fd);
    server_stop(s, &r);
    tell(bed, 4, "a client that gives up while pending is noticed, once",
         r.flows_closed[TCP_END_GAVE_UP] == 1 && r.host.flows == 0 ? 0 : ERR_INTERNAL);
    return 0;
}

static int for_both(const struct bed *bed, uint64_t bytes, bool small)
{
    struct server *s = start(bed);
    if (s == NULL)
        return ERR_IO;
    /* Cubic nearly stops at such a loss. */
    client_use_congestion(bed->lossy != NULL && bed->lossy->lose >= 50 ? "bbr" : "cubic");
    for (int version = 4; version <= 6; version += 2) {
        bulk(bed, version, bytes);
        uint64_t t = clock_mono_ns();
        tell(bed, version, "eight transfers at once arrive whole",
             client_parallel(version, bytes / 10));
        show(bed, "eight", bytes / 10 * 8, clock_mono_ns() - t);
        if (small)
            small_things(bed, version);
    }
    stop(bed, s);
    return 0;
}

static int run_clean(void)
{
    static const struct bed beds[] = {
        {"clean, MTU 1500, offload", 1500, true, NULL},
        {"clean, MTU 65520, offload", 65520, true, NULL},
        {"clean, MTU 65520, no offload", 65520, false, NULL},
        {"clean, MTU 1500, no offload", 1500, false, NULL},
    };
    static const uint64_t sizes[] = {1000 * MB, 300 * MB, 200 * MB, 50 * MB};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(beds); i++)
        r = for_both(&beds[i], sizes[i], i == 0 || i == 3);
    return r < 0 ? r : wait_in_vain(&beds[0]);
}

static int run_lossy(void)
{
    static const struct lossy_config one = {
        .lose = 10, .duplicate = 10, .reorder = 20, .cut = 500, .reorder_ns = NS_PER_MS, .seed = 1};
    static const struct lossy_config ten = {.lose = 100,
                                            .duplicate = 50,
                                            .reorder = 50,
                                            .cut = 800,
                                            .delay_ns = 50 * NS_PER_US,
                                            .reorder_ns = 2 * NS_PER_MS,
                                            .seed = 2};
    static const struct bed beds[] = {
        {"1 % lost, MTU 1500, offload", 1500, true, &one},
        {"10 % lost, MTU 1500, offload", 1500, true, &ten},
        {"1 % lost, MTU 65520, no offload", 65520, false, &one},
        {"1 % lost, MTU 1500, no offload", 1500, false, &one},
    };
    static const uint64_t sizes[] = {50 * MB, 50 * MB, 50 * MB, 20 * MB};
    int r = 0;
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(beds); i++)
        r = for_both(&beds[i], sizes[i], false);
    return r;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (argc > 2 && str_to_u64(argv[2], UINT32_MAX, &seed) < 0)
        return 2;
    int r = rig_enter();
    if (r < 0) {
        printf("1..0 # SKIP no namespaces for this user\n");
        return 0;
    }
    pattern_init();
    if (strcmp(what, "lossy") != 0)
        r = run_clean();
    if (r == 0 && strcmp(what, "clean") != 0)
        r = run_lossy();
    if (r < 0 && cases == 0) {
        printf("1..0 # SKIP no TUN for this user\n");
        return 0;
    }
    printf("1..%u\n", cases);
    return failures > 0 || r < 0 ? 1 : 0;
}
