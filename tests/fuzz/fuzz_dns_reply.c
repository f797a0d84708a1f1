/* Answers of DNS as diagnosis reads them; the first byte chooses type and length of the question. */
#include "diag/dns_question.h"
#include "net/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ip_addr got;
    if (size == 0)
        return 0;
    (void)dns_reply_read(slice_of(data + 1, size - 1), data[0] >> 1,
                         (data[0] & 1) != 0 ? DNS_TYPE_A : DNS_TYPE_AAAA, &got);
    return 0;
}
