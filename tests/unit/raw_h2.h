/* A peer that speaks bare HTTP/2 and breaks rules when asked: the other side of our client or server in tests. */
#ifndef STILE_TESTS_RAW_H2_H
#define STILE_TESTS_RAW_H2_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "loop/stream.h"
#include "testing.h"

#include <string.h>

/* What came on one HTTP/2 stream; they are numbered in order of opening. */
struct raw_reply {
    int32_t id;
    bool ended;
    bool reset;
    uint32_t reset_code;
    char http_status[8];
    char grpc_status[8];
    char grpc_message[512];
    char path[128];
    char timeout[16];
    char te[16];
    char content_type[40];
    size_t header_blocks;
    size_t bytes;
};

#define RAW_REPLIES_MAX 16

struct raw_h2 {
    nghttp2_session *session;
    struct stream *stream;
    bool server;
    bool ended; /* the connection, by the other side */
    bool goaway;
    uint32_t goaway_code;
    size_t pings_acked;
    struct raw_reply replies[RAW_REPLIES_MAX];
    struct slice body; /* to send on the next request or response; sent at once */
    bool body_ends;    /* with END_STREAM */
};

static inline struct raw_reply *raw_reply(struct raw_h2 *r, int32_t id)
{
    for (size_t i = 0; i < RAW_REPLIES_MAX; i++) {
        if (r->replies[i].id == id || r->replies[i].id == 0) {
            r->replies[i].id = id;
            return &r->replies[i];
        }
    }
    return NULL;
}

static inline int raw_on_header(UNUSED nghttp2_session *session, const nghttp2_frame *frame,
                                const uint8_t *name, size_t name_len, const uint8_t *value,
                                size_t value_len, UNUSED uint8_t flags, void *user)
{
    struct raw_reply *reply = raw_reply(user, frame->hd.stream_id);
    if (reply == NULL)
        return 0;
    const struct {
        const char *name;
        char *text;
        size_t size;
    } wanted[] = {
        {":status", reply->http_status, sizeof(reply->http_status)},
        {"grpc-status", reply->grpc_status, sizeof(reply->grpc_status)},
        {"grpc-message", reply->grpc_message, sizeof(reply->grpc_message)},
        {":path", reply->path, sizeof(reply->path)},
        {"grpc-timeout", reply->timeout, sizeof(reply->timeout)},
        {"te", reply->te, sizeof(reply->te)},
        {"content-type", reply->content_type, sizeof(reply->content_type)},
    };
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        if (slice_eq_str(slice_of(name, name_len), wanted[i].name))
            snprintf(wanted[i].text, wanted[i].size, "%.*s", (int)value_len, (const char *)value);
    }
    return 0;
}

static inline int raw_on_frame(UNUSED nghttp2_session *session, const nghttp2_frame *frame,
                               void *user)
{
    struct raw_h2 *r = user;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        r->goaway = true;
        r->goaway_code = frame->goaway.error_code;
    }
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
        r->pings_acked++;
    struct raw_reply *reply = frame->hd.stream_id == 0 ? NULL : raw_reply(r, frame->hd.stream_id);
    if (reply == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS)
        reply->header_blocks++;
    if (frame->hd.type == NGHTTP2_DATA)
        reply->bytes += frame->hd.length;
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        reply->ended = true;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        reply->reset = true;
        reply->reset_code = frame->rst_stream.error_code;
    }
    return 0;
}

static inline ssize_t raw_read_body(UNUSED nghttp2_session *session, UNUSED int32_t id,
                                    uint8_t *space, size_t size, uint32_t *flags,
                                    nghttp2_data_source *source, UNUSED void *user)
{
    struct raw_h2 *r = source->ptr;
    struct slice part = slice_first(r->body, size);
    if (part.len > 0)
        memcpy(space, part.data, part.len);
    r->body = slice_from(r->body, part.len);
    if (r->body.len > 0)
        return (ssize_t)part.len;
    if (!r->body_ends && part.len == 0)
        return NGHTTP2_ERR_DEFERRED;
    if (r->body_ends)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)part.len;
}

static inline void raw_flush(struct raw_h2 *r)
{
    const uint8_t *data;
    ssize_t n;
    while (!r->ended && (n = nghttp2_session_mem_send(r->session, &data)) > 0) {
        struct slice part = slice_of(data, (size_t)n);
        if (stream_write(r->stream, &part, 1) < 0)
            r->ended = true;
    }
}

static inline void raw_on_data(void *arg, struct slice bytes)
{
    struct raw_h2 *r = arg;
    if (nghttp2_session_mem_recv(r->session, bytes.data, bytes.len) < 0)
        r->ended = true;
    raw_flush(r);
}

static inline void raw_on_end(void *arg)
{
    struct raw_h2 *r = arg;
    r->ended = true;
}

static inline void raw_on_error(void *arg, UNUSED int err, UNUSED const struct diag *d)
{
    raw_on_end(arg);
}

/* stream is taken. */
static inline void raw_init(struct raw_h2 *r, struct stream *stream, bool server)
{
    static const struct stream_events events = {
        .on_data = raw_on_data, .on_end = raw_on_end, .on_error = raw_on_error};
    nghttp2_session_callbacks *cbs;
    nghttp2_option *options;
    *r = (struct raw_h2){.stream = stream, .server = server, .body_ends = true};
    nghttp2_session_callbacks_new(&cbs);
    nghttp2_session_callbacks_set_on_header_callback(cbs, raw_on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, raw_on_frame);
    nghttp2_option_new(&options);
    nghttp2_option_set_no_http_messaging(options, 1);
    nghttp2_option_set_max_outbound_ack(options, 1000000);
    nghttp2_option_set_peer_max_concurrent_streams(options, 1000000); /* until told otherwise */
    if (server)
        nghttp2_session_server_new2(&r->session, cbs, r, options);
    else
        nghttp2_session_client_new2(&r->session, cbs, r, options);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(cbs);
    nghttp2_submit_settings(r->session, NGHTTP2_FLAG_NONE, NULL, 0);
    stream_set_events(stream, &events, r);
    assert_int_equal(stream_read_start(stream), 0);
    raw_flush(r);
}

static inline void raw_release(struct raw_h2 *r)
{
    nghttp2_session_del(r->session);
    stream_close(r->stream);
}

static inline nghttp2_nv raw_nv(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
                        strlen(value), NGHTTP2_NV_FLAG_NONE};
}

/* Headers as "name", "value", …, NULL. A body of length 0 that ends is END_STREAM on the headers. */
#define RAW_NV_MAX 100

static inline size_t raw_headers(const char *const *texts, nghttp2_nv nv[RAW_NV_MAX])
{
    size_t n = 0;
    for (; texts[0] != NULL && n < RAW_NV_MAX; texts += 2)
        nv[n++] = raw_nv(texts[0], texts[1]);
    return n;
}

/* A request (client) or the response to stream id (server). Returns the id. */
static inline int32_t raw_send(struct raw_h2 *r, int32_t id, const char *const *headers,
                               struct slice body, bool ends)
{
    nghttp2_nv nv[RAW_NV_MAX];
    nghttp2_data_provider provider = {.source.ptr = r, .read_callback = raw_read_body};
    size_t n = raw_headers(headers, nv);
    const nghttp2_data_provider *with = body.len > 0 || !ends ? &provider : NULL;
    r->body = body;
    r->body_ends = ends;
    if (r->server)
        nghttp2_submit_response(r->session, id, nv, n, with);
    else
        id = nghttp2_submit_request(r->session, NULL, nv, n, with, NULL);
    raw_flush(r);
    return id;
}

/* Bytes that nghttp2 would never send. */
static inline void raw_bytes(struct raw_h2 *r, struct slice bytes)
{
    if (!r->ended && stream_write(r->stream, &bytes, 1) < 0)
        r->ended = true;
}

#endif
