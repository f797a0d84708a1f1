/* Any message: parsed as a question and answered, and taken as an answer and cut. */
#include "net/dns.h"

static void answer(const struct dns_query *q)
{
    uint8_t memory[2048];
    struct wr w = wr_init(memory, sizeof(memory));
    struct ip_addr a = {.version = 6};
    struct dns_query again;

    if (dns_write_answer(
            &w, q,
            &(struct dns_answer){.ttl = 10, .address = &a, .ptr = &q->name, .soa = &q->name}) < 0)
        __builtin_trap(); /* 2 KiB hold any answer of ours */
    if (!dns_is_answer(slice_of(memory, wr_len(&w)), q->id, q->question))
        __builtin_trap();
    memory[2] &= 0x7f;
    memory[7] = memory[9] = 0;
    (void)dns_parse_query(slice_of(memory, wr_len(&w)), &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice message = slice_of(data, size);
    struct dns_query q;
    uint8_t memory[512];
    struct wr w = wr_init(memory, sizeof(memory));
    struct ip_addr a;

    if (dns_parse_query(message, &q) < 0)
        return 0;
    answer(&q);
    (void)dns_parse_ptr(&q.name, &a);
    (void)dns_write_truncated(&w, &q, message);
    (void)dns_is_truncated(message);
    return 0;
}
