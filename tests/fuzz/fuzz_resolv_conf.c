/* Any text is a resolv.conf: its lines are within it, and what it names are addresses, without duplicates. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "net/resolv_conf.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void check_lines(struct slice text)
{
    struct resolv_line line;
    size_t total = 0, whole = text.len;
    while (resolv_line_next(&text, &line)) {
        require(line.text.len == 0 || memchr(line.text.data, '\n', line.text.len) == NULL);
        require(line.keyword.len + line.value.len <= line.text.len);
        require(line.value.len == 0 || line.keyword.len > 0);
        total += line.text.len + 1;
    }
    require(total == whole || total == whole + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct resolvers r, again = {0};
    struct ip_addr addr;
    check_lines(slice_of(data, size));
    resolvers_parse(slice_of(data, size), &r);
    require(r.count >= 1 && r.count <= RESOLVERS_MAX);
    for (size_t i = 0; i < r.count; i++) {
        require(str_is_printable(slice_str(r.addrs[i])));
        require(resolvers_add(&again, slice_str(r.addrs[i])));
    }
    require(resolvers_equal(&r, &again));
    while (r.count > 0) {
        size_t before = r.count;
        require(resolver_address(r.addrs[0], &addr) == 0);
        resolvers_remove(&r, &addr);
        require(r.count < before);
    }
    return 0;
}
