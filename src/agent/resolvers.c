#include "agent/resolvers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct slice take_word(struct slice *line)
{
    while (line->len > 0 && is_space(line->data[0]))
        *line = slice_from(*line, 1);
    size_t n = 0;
    while (n < line->len && !is_space(line->data[n]))
        n++;
    struct slice word = slice_first(*line, n);
    *line = slice_from(*line, n);
    return word;
}

static bool is_address(const char *text)
{
    struct in_addr v4;
    struct in6_addr v6;
    char plain[RESOLVER_TEXT];
    if (str_copy(plain, sizeof(plain), text) < 0)
        return false;
    char *zone = strchr(plain, '%');
    if (zone != NULL)
        *zone = '\0';
    return (zone == NULL && inet_pton(AF_INET, plain, &v4) == 1) ||
           inet_pton(AF_INET6, plain, &v6) == 1;
}

static void add(struct resolvers *r, struct slice word)
{
    if (r->count == RESOLVERS_MAX)
        return;
    char *slot = r->addrs[r->count];
    if (str_copy_slice(slot, RESOLVER_TEXT, word) < 0 || !is_address(slot))
        return;
    for (size_t i = 0; i < r->count; i++)
        if (str_eq(r->addrs[i], slot))
            return;
    r->count++;
}

void resolvers_parse(struct slice text, struct resolvers *ret)
{
    memset(ret, 0, sizeof(*ret));
    while (text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end != NULL ? (size_t)(end - text.data) : text.len;
        struct slice line = slice_first(text, len);
        /* A comment is a line that begins with # or ;: its first word isn't "nameserver". */
        if (slice_eq_str(take_word(&line), "nameserver"))
            add(ret, take_word(&line));
        text = slice_from(text, len + 1);
    }
    if (ret->count == 0)
        add(ret, slice_str("127.0.0.1"));
}

void resolvers_load(const char *path, struct resolvers *ret)
{
    CLEANUP(buf_release) struct buf b;
    uint8_t *space = NULL;
    buf_init(&b, RESOLV_CONF_CAP);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    while (fd >= 0 && buf_reserve(&b, 4096, &space) == 0) {
        ssize_t n = read(fd, space, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        buf_commit(&b, (size_t)n);
    }
    if (fd >= 0)
        close(fd);
    resolvers_parse(buf_slice(&b), ret);
}
