#include "net/dns.h"

#include <string.h>

#include "base/err.h"
#include "base/str.h"

enum {
    FLAG_QR = 0x8000,
    FLAG_AA = 0x0400,
    FLAG_TC = 0x0200,
    FLAG_RD = 0x0100,
    FLAG_RA = 0x0080,
    FLAG_CD = 0x0010,
    OPCODE_SHIFT = 11,
    OPCODE_QUERY = 0,
};

/* The owner of every record we write is the question's name, which always stands right behind the
 * header. */
enum { POINTER_TO_QUESTION = 0xc000 | DNS_HEADER_SIZE };

enum { QUESTION_TAIL = 4 /* type and class */ };

/* More records than any sane question carries; each is looked at once. */
enum { ADDITIONAL_MAX = 16 };

struct header {
    uint16_t id;
    uint16_t flags;
    uint16_t questions, answers, authorities, additionals;
};

static struct header read_header(struct rd *r)
{
    struct header h;

    h.id = rd_u16(r);
    h.flags = rd_u16(r);
    h.questions = rd_u16(r);
    h.answers = rd_u16(r);
    h.authorities = rd_u16(r);
    h.additionals = rd_u16(r);
    return h;
}

static void write_header(struct wr *w, const struct header *h)
{
    wr_u16(w, h->id);
    wr_u16(w, h->flags);
    wr_u16(w, h->questions);
    wr_u16(w, h->answers);
    wr_u16(w, h->authorities);
    wr_u16(w, h->additionals);
}

/* Takes OPT into account (RFC 6891 §6.1); other records in a question (TSIG, say) are passed over.
 */
static int read_additional(struct rd *r, struct dns_query *q)
{
    struct name owner;
    struct slice wire;
    int err = name_read(r, &owner, &wire);
    if (err < 0)
        return ERR_FORMAT;

    uint16_t type = rd_u16(r);
    uint16_t class = rd_u16(r);
    uint32_t ttl = rd_u32(r);
    rd_skip(r, rd_u16(r));
    if (r->bad)
        return ERR_FORMAT;
    if (type != DNS_TYPE_OPT)
        return 0;
    if (q->edns || owner.len > 0)
        return ERR_FORMAT;
    q->edns = true;
    q->edns_version = (uint8_t)(ttl >> 16);
    q->edns_do = (ttl & 0x8000) != 0;
    q->udp_size = MAX(class, DNS_UDP_SIZE);
    return 0;
}

static int read_question(struct rd *r, struct dns_query *q)
{
    struct slice wire;

    if (name_read(r, &q->name, &wire) < 0)
        return ERR_FORMAT;
    q->type = rd_u16(r);
    q->class = rd_u16(r);
    if (r->bad)
        return ERR_FORMAT;
    q->question = slice_of(wire.data, wire.len + QUESTION_TAIL);
    return 0;
}

int dns_parse_query(struct slice message, struct dns_query *ret)
{
    struct rd r = rd_init(message);
    struct header h = read_header(&r);
    int err;

    if (r.bad)
        return ERR_TRUNCATED;
    if ((h.flags & FLAG_QR) != 0)
        return ERR_PROTOCOL;

    memset(ret, 0, sizeof(*ret));
    ret->id = h.id;
    ret->opcode = (h.flags >> OPCODE_SHIFT) & 0xf;
    ret->recursion_desired = (h.flags & FLAG_RD) != 0;
    ret->checking_disabled = (h.flags & FLAG_CD) != 0;
    ret->udp_size = DNS_UDP_SIZE;
    if (ret->opcode != OPCODE_QUERY)
        return ERR_UNSUPPORTED;
    if (h.questions != 1 || h.answers != 0 || h.authorities != 0 || h.additionals > ADDITIONAL_MAX)
        return ERR_FORMAT;
    if ((err = read_question(&r, ret)) < 0)
        return err;
    for (unsigned i = 0; i < h.additionals; i++) {
        if ((err = read_additional(&r, ret)) < 0)
            return err;
    }
    return rd_end(&r) < 0 ? ERR_FORMAT : 0;
}

static void write_record_head(struct wr *w, uint16_t type, uint32_t ttl)
{
    wr_u16(w, POINTER_TO_QUESTION);
    wr_u16(w, type);
    wr_u16(w, DNS_CLASS_IN);
    wr_u32(w, ttl);
}

/* A name as record data: its length, then its wire form. */
static void write_name_rdata(struct wr *w, const struct name *n)
{
    uint8_t wire[NAME_WIRE_MAX];
    struct wr name = wr_init(wire, sizeof(wire));

    name_write(&name, n);
    wr_u16(w, (uint16_t)wr_len(&name));
    wr_bytes(w, slice_of(wire, wr_len(&name)));
}

static void write_address(struct wr *w, const struct ip_addr *a, uint32_t ttl)
{
    bool v4 = a->version == 4;
    uint16_t len = v4 ? 4 : 16;

    write_record_head(w, v4 ? DNS_TYPE_A : DNS_TYPE_AAAA, ttl);
    wr_u16(w, len);
    wr_bytes(w, slice_of(a->bytes, len));
}

static void write_soa(struct wr *w, const struct name *zone, uint32_t ttl)
{
    /* Serial, refresh, retry, expire: for secondaries, which don't exist. The last field is the
     * negative TTL. */
    const uint32_t numbers[] = {1, 3600, 600, 86400, ttl};
    uint8_t rdata[2 * NAME_WIRE_MAX + 32];
    struct wr d = wr_init(rdata, sizeof(rdata));

    name_write(&d, zone);                      /* MNAME */
    wr_bytes(&d, SLICE_LIT("\012hostmaster")); /* RNAME: hostmaster.ZONE */
    name_write(&d, zone);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        wr_u32(&d, numbers[i]);

    name_write(w, zone);
    wr_u16(w, DNS_TYPE_SOA);
    wr_u16(w, DNS_CLASS_IN);
    wr_u32(w, ttl);
    wr_u16(w, (uint16_t)wr_len(&d));
    wr_bytes(w, slice_of(rdata, wr_len(&d)));
}

static void write_opt(struct wr *w, const struct dns_query *q, enum dns_rcode rcode)
{
    uint32_t extended = (uint32_t)rcode >> 4 << 24;

    wr_u8(w, 0);
    wr_u16(w, DNS_TYPE_OPT);
    wr_u16(w, DNS_EDNS_SIZE);
    wr_u32(w, extended | (q->edns_do ? 0x8000 : 0));
    wr_u16(w, 0);
}

static uint16_t answer_flags(const struct dns_query *q, const struct dns_answer *a)
{
    unsigned flags = FLAG_QR | FLAG_RA | ((unsigned)q->opcode << OPCODE_SHIFT);

    if (a->authoritative)
        flags |= FLAG_AA;
    if (q->recursion_desired)
        flags |= FLAG_RD;
    if (q->checking_disabled)
        flags |= FLAG_CD;
    return (uint16_t)(flags | ((unsigned)a->rcode & 0xf));
}

int dns_write_answer(struct wr *w, const struct dns_query *q, const struct dns_answer *a)
{
    struct header h = {
        .id = q->id,
        .flags = answer_flags(q, a),
        .questions = q->question.len > 0,
        .answers = (uint16_t)((a->address != NULL) + (a->ptr != NULL)),
        .authorities = a->soa != NULL,
        .additionals = q->edns,
    };

    write_header(w, &h);
    wr_bytes(w, q->question);
    if (a->address != NULL)
        write_address(w, a->address, a->ttl);
    if (a->ptr != NULL) {
        write_record_head(w, DNS_TYPE_PTR, a->ttl);
        write_name_rdata(w, a->ptr);
    }
    if (a->soa != NULL)
        write_soa(w, a->soa, a->ttl);
    if (q->edns)
        write_opt(w, q, a->rcode);
    return wr_end(w);
}

int dns_write_truncated(struct wr *w, const struct dns_query *q, struct slice answer)
{
    struct rd r = rd_init(answer);
    struct header h = read_header(&r);

    if (r.bad)
        return ERR_TRUNCATED;
    h.flags |= FLAG_TC;
    h.questions = 1;
    h.answers = 0;
    h.authorities = 0;
    h.additionals = q->edns;
    write_header(w, &h);
    wr_bytes(w, q->question);
    if (q->edns)
        write_opt(w, q, (enum dns_rcode)(h.flags & 0xf));
    return wr_end(w);
}

bool dns_is_answer(struct slice message, uint16_t id, struct slice question)
{
    struct rd r = rd_init(message);
    struct header h = read_header(&r);
    struct slice echoed = rd_bytes(&r, question.len);

    return !r.bad && h.id == id && (h.flags & FLAG_QR) != 0 && h.questions == 1 &&
           slice_eq(echoed, question);
}

static uint16_t flags_of(struct slice message)
{
    struct rd r = rd_init(message);

    return read_header(&r).flags;
}

bool dns_is_truncated(struct slice message)
{
    return message.len >= DNS_HEADER_SIZE && (flags_of(message) & FLAG_TC) != 0;
}

enum dns_rcode dns_rcode_of(struct slice message)
{
    return (enum dns_rcode)(flags_of(message) & 0xf);
}

void dns_set_id(uint8_t *message, uint16_t id)
{
    message[0] = (uint8_t)(id >> 8);
    message[1] = (uint8_t)id;
}

static bool is_letter(uint8_t c)
{
    c |= 0x20;
    return c >= 'a' && c <= 'z';
}

void dns_randomise_case(uint8_t *question, size_t len, const uint8_t random[32])
{
    /* Length bytes are at most 63 and so never letters. */
    for (size_t i = 0; i + QUESTION_TAIL < len; i++) {
        if (is_letter(question[i]) && (random[i / 8 % 32] >> (i % 8) & 1) != 0)
            question[i] ^= 0x20;
    }
}

/* Cuts the last label off text[*len]; false when none is left. */
static bool last_label(const char *text, size_t *len, struct slice *ret)
{
    size_t start = *len;

    if (*len == 0)
        return false;
    while (start > 0 && text[start - 1] != '.')
        start--;
    *ret = slice_of(text + start, *len - start);
    *len = start > 0 ? start - 1 : 0;
    return true;
}

static int octet_label(struct slice label, uint8_t *ret)
{
    char text[4];
    uint64_t v;

    if (str_copy_slice(text, sizeof(text), label) < 0 || str_to_u64(text, 255, &v) < 0)
        return ERR_NOTFOUND;
    *ret = (uint8_t)v;
    return 0;
}

static int nibble_label(struct slice label, uint8_t *ret)
{
    uint8_t c = label.len == 1 ? label.data[0] : 0;

    if (c >= '0' && c <= '9')
        *ret = (uint8_t)(c - '0');
    else if (c >= 'a' && c <= 'f')
        *ret = (uint8_t)(c - 'a' + 10);
    else
        return ERR_NOTFOUND;
    return 0;
}

/* Reads one label an octet or a nibble, from the zone's end of the name, which is the address's
 * start. */
static int read_reverse(const char *text, size_t len, struct ip_addr *a)
{
    unsigned labels = a->version == 4 ? 4 : 32;
    struct slice label;

    for (unsigned i = 0; i < labels; i++) {
        uint8_t v = 0;
        if (!last_label(text, &len, &label) ||
            (a->version == 4 ? octet_label(label, &v) : nibble_label(label, &v)) < 0)
            return ERR_NOTFOUND;
        if (a->version == 4)
            a->bytes[i] = v;
        else
            a->bytes[i / 2] |= (uint8_t)(i % 2 == 0 ? v << 4 : v);
    }
    return len == 0 ? 0 : ERR_NOTFOUND;
}

int dns_parse_ptr(const struct name *n, struct ip_addr *ret)
{
    static const struct {
        const char *suffix;
        uint8_t version;
    } trees[] = {{".in-addr.arpa", 4}, {".ip6.arpa", 6}};

    for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
        struct ip_addr a = {.version = trees[i].version};
        if (!str_ends(n->text, trees[i].suffix))
            continue;
        if (read_reverse(n->text, n->len - strlen(trees[i].suffix), &a) < 0)
            return ERR_NOTFOUND;
        *ret = a;
        return 0;
    }
    return ERR_NOTFOUND;
}

void dns_type_format(uint16_t type, char text[DNS_TYPE_TEXT_SIZE])
{
    static const struct {
        uint16_t type;
        const char *name;
    } names[] = {
        {1, "A"},       {2, "NS"},    {5, "CNAME"},  {6, "SOA"},   {12, "PTR"},
        {15, "MX"},     {16, "TXT"},  {28, "AAAA"},  {33, "SRV"},  {43, "DS"},
        {48, "DNSKEY"}, {64, "SVCB"}, {65, "HTTPS"}, {255, "ANY"},
    };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (names[i].type == type) {
            (void)str_format(text, DNS_TYPE_TEXT_SIZE, "%s", names[i].name);
            return;
        }
    }
    (void)str_format(text, DNS_TYPE_TEXT_SIZE, "TYPE%u", type);
}
