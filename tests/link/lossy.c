#include "lossy.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "net/checksum.h"
#include "net/ip.h"

struct parcel {
    struct list node;
    uint64_t due;
    struct link_meta meta;
    size_t len;
    uint8_t data[];
};

struct lossy {
    struct link link;
    struct link *lower;
    struct lossy_config config;
    struct lossy_stats stats;
    uint64_t random;
    struct list in, out; /* of parcels, by due */
};

static struct lossy *lossy_of(struct link *l)
{
    return CONTAINER_OF(l, struct lossy, link);
}

static uint64_t next_random(struct lossy *y)
{
    y->random ^= y->random << 13;
    y->random ^= y->random >> 7;
    y->random ^= y->random << 17;
    return y->random;
}

static bool happens(struct lossy *y, unsigned of_1000)
{
    return next_random(y) % 1000 < of_1000;
}

static struct parcel *parcel_new(size_t len, const struct link_meta *meta)
{
    struct parcel *p = mem_alloc(sizeof *p + len);
    if (p == NULL)
        return NULL;
    p->len = len;
    p->meta = *meta;
    return p;
}

static void insert_by_due(struct list *queue, struct parcel *p)
{
    struct list *at = queue;
    while (at->prev != queue && LIST_ENTRY(at->prev, struct parcel, node)->due > p->due)
        at = at->prev;
    list_insert_before(at, &p->node);
}

/* Takes p. */
static void enqueue(struct lossy *y, struct list *queue, struct parcel *p)
{
    p->due = clock_mono_ns() + y->config.delay_ns;
    if (y->config.reorder_ns > 0 && happens(y, y->config.reorder)) {
        y->stats.reordered++;
        p->due += next_random(y) % y->config.reorder_ns;
    }
    insert_by_due(queue, p);
}

/* Takes p. */
static void fate(struct lossy *y, struct list *queue, struct parcel *p)
{
    y->stats.packets++;
    if (happens(y, y->config.lose)) {
        y->stats.lost++;
        mem_free(p);
        return;
    }
    if (happens(y, y->config.duplicate)) {
        struct parcel *twin = parcel_new(p->len, &p->meta);
        if (twin != NULL) {
            y->stats.duplicated++;
            memcpy(twin->data, p->data, p->len);
            enqueue(y, queue, twin);
        }
    }
    enqueue(y, queue, p);
}

static void put_u16(uint8_t *p, size_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

/* The lengths in the headers, and the pseudo-header's sum that goes with them. */
static void fix_lengths(uint8_t *packet, size_t ip_len, size_t len)
{
    uint8_t version = packet[0] >> 4;
    size_t l4_len = len - ip_len;
    struct ip_addr src = ip_addr_from(version, packet + (version == 4 ? 12 : 8));
    struct ip_addr dst = ip_addr_from(version, packet + (version == 4 ? 16 : 24));
    if (version == 4) {
        put_u16(packet + 2, len);
        memset(packet + 10, 0, 2);
        struct checksum ip = {0};
        checksum_add(&ip, slice_of(packet, ip_len));
        checksum_put(&ip, packet + 10);
    } else {
        put_u16(packet + 4, l4_len);
    }
    struct checksum pseudo = {0};
    checksum_add_pseudo(&pseudo, &src, &dst, IP_TCP, l4_len);
    checksum_put_partial(&pseudo, packet + ip_len + 16);
}

struct super { /* one superpacket and where its parts are */
    const struct parcel *whole;
    size_t ip_len, head_len;
};

/* The piece of n payload bytes from offset on. */
static struct parcel *piece_of(const struct super *s, size_t offset, size_t n)
{
    struct parcel *p = parcel_new(s->head_len + n, &s->whole->meta);
    if (p == NULL)
        return NULL;
    memcpy(p->data, s->whole->data, s->head_len);
    memcpy(p->data + s->head_len, s->whole->data + s->head_len + offset, n);
    uint8_t *tcp = p->data + s->ip_len;
    uint32_t seq = (uint32_t)tcp[4] << 24 | (uint32_t)tcp[5] << 16 | (uint32_t)tcp[6] << 8 | tcp[7];
    seq += (uint32_t)offset;
    put_u16(tcp + 4, seq >> 16);
    put_u16(tcp + 6, seq & 0xffff);
    if (s->head_len + offset + n < s->whole->len)
        tcp[13] &= 0xf6; /* FIN and PSH are the last piece's */
    fix_lengths(p->data, s->ip_len, p->len);
    if (n <= p->meta.gso_size)
        p->meta.gso_size = 0;
    return p;
}

/* Takes p. */
static void cut(struct lossy *y, struct list *queue, struct parcel *p)
{
    struct super s = {.whole = p, .ip_len = p->data[0] >> 4 == 4 ? 20 : 40};
    s.head_len = s.ip_len + (size_t)(p->data[s.ip_len + 12] >> 4) * 4;
    size_t total = p->len - s.head_len;
    y->stats.cuts++;
    for (size_t offset = 0; offset < total;) {
        size_t n = p->meta.gso_size * (1 + next_random(y) % 8);
        n = MIN(n, total - offset);
        struct parcel *piece = piece_of(&s, offset, n);
        if (piece != NULL)
            fate(y, queue, piece);
        offset += n;
    }
    mem_free(p);
}

/* Takes p. */
static void impair(struct lossy *y, struct list *queue, struct parcel *p)
{
    if (p->meta.gso_size > 0 && happens(y, y->config.cut))
        cut(y, queue, p);
    else
        fate(y, queue, p);
}

static int fill(struct lossy *y, uint8_t *buffer)
{
    struct link_meta meta;
    struct slice packet;
    int r;
    while ((r = link_read(y->lower, buffer, &meta, &packet)) == 0) {
        struct parcel *p = parcel_new(packet.len, &meta);
        if (p == NULL)
            return ERR_NOMEM;
        memcpy(p->data, packet.data, packet.len);
        impair(y, &y->in, p);
    }
    return r == ERR_AGAIN ? 0 : r;
}

static struct parcel *take_due(struct list *queue, uint64_t now)
{
    if (list_empty(queue))
        return NULL;
    struct parcel *p = LIST_ENTRY(queue->next, struct parcel, node);
    if (p->due > now)
        return NULL;
    list_remove(&p->node);
    return p;
}

static int lossy_read(struct link *l, uint8_t *buffer, struct link_meta *ret_meta,
                      struct slice *ret_packet)
{
    struct lossy *y = lossy_of(l);
    int r = fill(y, buffer);
    if (r < 0)
        return r;
    struct parcel *p = take_due(&y->in, clock_mono_ns());
    if (p == NULL)
        return ERR_AGAIN;
    memcpy(buffer, p->data, p->len);
    *ret_meta = p->meta;
    *ret_packet = slice_of(buffer, p->len);
    mem_free(p);
    return 0;
}

static int lossy_write(struct link *l, const struct link_frame *f)
{
    struct lossy *y = lossy_of(l);
    size_t len = 0;
    for (size_t i = 0; i < f->part_count; i++)
        len += f->parts[i].len;
    const struct link_meta meta = {.csum_partial = f->csum_start != 0, .gso_size = f->gso_size};
    struct parcel *p = parcel_new(len, &meta);
    if (p == NULL)
        return ERR_NOMEM;
    uint8_t *at = p->data;
    for (size_t i = 0; i < f->part_count; i++) {
        if (f->parts[i].len > 0)
            memcpy(at, f->parts[i].data, f->parts[i].len);
        at += f->parts[i].len;
    }
    impair(y, &y->out, p);
    (void)lossy_pump(l);
    return 0;
}

static int send_parcel(struct lossy *y, const struct parcel *p)
{
    uint8_t version = p->data[0] >> 4;
    uint16_t ip_len = version == 4 ? 20 : 40;
    struct link_frame f = {.parts = {slice_of(p->data, p->len)}, .part_count = 1};
    f.version = version;
    f.gso_size = p->meta.gso_size;
    f.header_len = (uint16_t)(ip_len + (p->data[ip_len + 12] >> 4) * 4);
    if (p->meta.csum_partial) {
        f.csum_start = ip_len;
        f.csum_offset = 16;
    }
    return link_write(y->lower, &f);
}

static uint64_t first_due(const struct list *queue)
{
    return list_empty(queue) ? UINT64_MAX : LIST_ENTRY(queue->next, struct parcel, node)->due;
}

uint64_t lossy_pump(struct link *link)
{
    struct lossy *y = lossy_of(link);
    uint64_t now = clock_mono_ns();
    struct parcel *p;
    while ((p = take_due(&y->out, now)) != NULL) {
        if (send_parcel(y, p) == ERR_AGAIN) {
            insert_by_due(&y->out, p);
            return now + NS_PER_MS;
        }
        mem_free(p);
    }
    return MIN(first_due(&y->in), first_due(&y->out));
}

void lossy_get_stats(const struct link *link, struct lossy_stats *ret_stats)
{
    *ret_stats = ((const struct lossy *)(const void *)link)->stats;
}

static void free_queue(struct list *queue)
{
    for (struct list *node; (node = list_pop_front(queue)) != NULL;)
        mem_free(LIST_ENTRY(node, struct parcel, node));
}

static void lossy_free(struct link *l)
{
    struct lossy *y = lossy_of(l);
    free_queue(&y->in);
    free_queue(&y->out);
    link_free(y->lower);
    mem_free(y);
}

static const struct link_ops lossy_ops = {
    .read = lossy_read, .write = lossy_write, .free = lossy_free};

int lossy_new(struct link *lower, const struct lossy_config *config, struct link **ret_link)
{
    struct lossy *y = NEW(struct lossy);
    if (y == NULL)
        return ERR_NOMEM;
    y->link = *lower;
    y->link.ops = &lossy_ops;
    y->lower = lower;
    y->config = *config;
    y->random = config->seed | 1;
    list_init(&y->in);
    list_init(&y->out);
    *ret_link = &y->link;
    return 0;
}
