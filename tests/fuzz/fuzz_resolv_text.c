/* Any text may have been in /etc/resolv.conf: ours, made of it, is ours, asks us, and without ours is that text again. Any bytes may
 * be a record of the journal. */
#include <stdlib.h>

#include "net/resolv_conf.h"
#include "netcfg/ops.h"
#include "netcfg/resolv_text.h"
#include "netcfg/resolvconf.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void try_text(const struct object_dns *dns, struct slice before)
{
    CLEANUP(buf_release) struct buf text;
    CLEANUP(buf_release) struct buf rest;
    buf_init(&text, RESOLV_TEXT_MAX);
    buf_init(&rest, RESOLV_TEXT_MAX);
    if (resolv_text_make(dns, before, &text) < 0)
        return;
    require(resolv_text_is_ours(buf_slice(&text)) && resolv_text_asks_us(buf_slice(&text), dns));
    require(resolv_text_without_ours(buf_slice(&text), dns, &rest) == 0);
    size_t cut = before.len > 0 && before.data[before.len - 1] != '\n' ? 1 : 0;
    require(buf_len(&rest) == before.len + cut);
    require(slice_eq(slice_first(buf_slice(&rest), before.len), before));
    require(resolv_text_is_torn(buf_slice(&text), before, buf_slice(&text)));
}

static void try_state(struct slice bytes)
{
    struct resolv_state s;
    CLEANUP(buf_release) struct buf again;
    buf_init(&again, OBJECT_UNDO_MAX * 2);
    if (resolv_state_decode(bytes, &s) < 0)
        return;
    require(resolv_state_encode(&s, &again) == 0 && slice_eq(buf_slice(&again), bytes));
    resolv_state_release(&s);
}

static void try_list(struct slice list)
{
    struct resolvconf_record record;
    struct slice rest = list;
    while (resolvconf_next(&rest, &record))
        require(record.text.len == 0 ||
                (record.text.data >= list.data &&
                 record.text.data + record.text.len <= list.data + list.len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct object_dns dns = {.server_count = 1};
    CLEANUP(buf_release) struct buf rest;
    struct slice bytes = slice_of(data, size);
    dns.servers[0] = ip_addr_v4(100, 64, 0, 2);
    buf_init(&rest, RESOLV_TEXT_MAX);
    try_text(&dns, bytes);
    try_state(bytes);
    try_list(bytes);
    (void)resolv_text_is_ours(bytes);
    if (resolv_text_without_ours(bytes, &dns, &rest) == 0 && !resolv_text_has_ours(bytes, &dns))
        require(buf_len(&rest) >= size);
    return 0;
}
