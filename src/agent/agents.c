#include "agent/agents.h"

#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"
#include "loop/socket.h"
#include "platform/local_socket.h"
#include "rpc/client.h"

#define ASK_MS 3000

struct finding {
    const struct home *home;
    struct agent_list *list;
};

void agents_socket_name(uint32_t pid, char name[32])
{
    (void)str_format(name, 32, "%u.sock", (unsigned)pid);
}

/* "1234.sock" → 1234; 0 for anything else. */
static uint32_t pid_of(const char *name)
{
    char digits[16];
    uint64_t pid = 0;
    size_t len = strlen(name);
    if (!str_ends(name, ".sock") || len - 5 >= sizeof(digits) ||
        str_copy_slice(digits, sizeof(digits), slice_of(name, len - 5)) < 0 ||
        str_to_u64(digits, UINT32_MAX, &pid) < 0)
        return 0;
    return (uint32_t)pid;
}

static void visit(void *arg, const char *name)
{
    struct finding *f = arg;
    uint32_t pid = pid_of(name);
    int fd = -1;
    if (pid == 0)
        return;
    int r = local_socket_connect(&f->home->agents, name, &fd);
    if (r == ERR_REFUSED)
        (void)private_dir_remove(&f->home->agents, name, NULL);
    if (fd >= 0)
        close(fd);
    if (r < 0 || f->list->count == AGENTS_MAX)
        return;
    size_t at = f->list->count++;
    for (; at > 0 && f->list->pids[at - 1] > pid; at--)
        f->list->pids[at] = f->list->pids[at - 1];
    f->list->pids[at] = pid;
}

int agents_find(const struct home *home, struct agent_list *ret, struct diag *d)
{
    struct finding f = {.home = home, .list = ret};
    ret->count = 0;
    return private_dir_list(&home->agents, visit, &f, d);
}

void agents_remove_stale(const struct home *home)
{
    struct agent_list list;
    (void)agents_find(home, &list, NULL);
}

struct question {
    bool done;
    int err;
    ProtobufCMessage *copy;
};

static void on_reply(void *arg, enum rpc_status status, const char *message UNUSED,
                     const ProtobufCMessage *reply)
{
    struct question *q = arg;
    q->done = true;
    q->err = rpc_status_to_err(status);
    if (reply == NULL)
        return;
    size_t size = protobuf_c_message_get_packed_size(reply);
    CLEANUP(mem_freep) uint8_t *packed = mem_alloc(size);
    if (packed != NULL) {
        protobuf_c_message_pack(reply, packed);
        q->copy = protobuf_c_message_unpack(reply->descriptor, NULL, size, packed);
    }
    q->err = q->copy == NULL ? ERR_NOMEM : 0;
}

static void on_closed(void *arg UNUSED, int err UNUSED, const struct diag *d UNUSED)
{
    /* The call has been answered with UNAVAILABLE; the client is closed by its owner. */
}

static int ask_on(struct loop *loop, int fd, const struct rpc_method *method,
                  const ProtobufCMessage *request, struct question *q)
{
    struct stream *stream = NULL;
    struct rpc_client *client = NULL;
    int r = socket_stream_new(loop, fd, &stream);
    if (r < 0) {
        close(fd);
        return r;
    }
    r = rpc_client_new(stream, loop, NULL, on_closed, NULL, &client);
    if (r < 0) {
        stream_close(stream);
        return r;
    }
    r = rpc_client_call(client, method, request, ASK_MS, on_reply, q, NULL);
    while (r == 0 && !q->done)
        loop_turn(loop, true);
    rpc_client_close(client);
    return r < 0 ? r : q->err;
}

int agents_ask(struct loop *loop, const struct home *home, uint32_t pid,
               const struct rpc_method *method, const ProtobufCMessage *request,
               ProtobufCMessage **ret, struct diag *d)
{
    struct question q = {0};
    char name[32];
    int fd = -1;
    agents_socket_name(pid, name);
    int r = local_socket_connect(&home->agents, name, &fd);
    if (r == 0)
        r = ask_on(loop, fd, method, request, &q);
    if (r < 0)
        return diag_set(d, r, 0, "The agent with pid %u doesn't answer: %s", (unsigned)pid,
                        err_text(r));
    *ret = q.copy;
    return 0;
}
