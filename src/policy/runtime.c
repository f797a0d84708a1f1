/* Theory of operation. One connection at a time: connecting → listing → waiting, and again from the
 * beginning, after a pause that grows, when anything about it fails. Events and a clock only bring
 * about the next listing: both lists are read anew, what newly runs is looked at, some at a time,
 * and told, what runs no more is told as gone. So nothing depends on an event's being true,
 * complete or in time. An event of containerd's own stream comes a little before its CRI knows:
 * hence the listings that follow it.
 *
 * Listings don't wait for looks: a container about which the runtime doesn't answer (its shim
 * hangs, say) takes one place of LOOKS_MAX for as long as it is waited for, and goes to the end of
 * the queue then. The others, and those that come, are told meanwhile. */
#include "policy/runtime.h"

#include "base/mem.h"
#include "base/str.h"
#include "cri/containerd.pb-c.h"
#include "loop/timer.h"
#include "policy/cri.h"
#include "policy/cri_object.h"
#include "policy/cri_place.h"
#include "policy/runtime_items.h"
#include "policy/runtime_look.h"

#define CONNECT_MS     10000
#define CALL_MS        10000
#define LOOKS_MAX      8 /* under way at once */
#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 10000
/* Without an event: whether the runtime still answers, and what an event was lost of. */
#define LISTING_MS 30000
/* For runtimes without events. */
#define POLL_MS 2000

/* Between two listings at least, however many events come. */
#define GAP_MS 20

/* After an event and the listing that it brings about, in ms from one listing to the next. */
static const unsigned follow_ms[] = {20, 100, 400, 1500};

enum events { EVENTS_CRI, EVENTS_CONTAINERD, EVENTS_NONE };

struct asked {
    struct list node;
    struct look *look;
    struct defer later; /* the answer that there is no connection */
    runtime_answer_fn *answer;
    void *arg;
};

struct runtime {
    struct loop *loop;
    struct runtime_events events;
    void *arg;
    char path[PIPE_PATH_SIZE];
    bool anywhere;      /* the usual places in turn, until one has answered */
    size_t place;       /* of those, the one that is tried */
    struct diag reason; /* why those before it wouldn't do */
    struct cri *cri;    /* NULL: none, the timer is running */
    bool listing;       /* the lists are being read */
    bool listed;        /* they were, on this connection */
    bool connected;     /* and those of the first time were looked at */
    enum events stream;
    bool stream_works; /* something came */
    struct runtime_items items;
    size_t looks; /* at items, under way */
    struct list asked;
    struct timer timer;
    unsigned backoff_ms;
    size_t follow;      /* index in follow_ms of the next listing; its length: none */
    bool again;         /* an event came during the listing */
    uint64_t listed_at; /* uv_now */
    bool freed;
    bool said_connected; /* to on_state last */
    char said[sizeof(((struct diag *)NULL)->text)];
};

static int ask_for_events(struct runtime *r);
static void start_listing(struct runtime *r);
static void start_connecting(struct runtime *r);

static void say(struct runtime *r, bool connected, const char *text)
{
    if (r->events.on_state == NULL || (connected == r->said_connected && str_eq(text, r->said)))
        return;
    r->said_connected = connected;
    (void)str_format(r->said, sizeof(r->said), "%s", text);
    r->events.on_state(r->arg, connected, text);
}

/* ---- connections ---- */

static void move_all(struct list *from, struct list *to)
{
    struct list *node;
    list_init(to);
    while ((node = list_pop_front(from)) != NULL)
        list_push_back(to, node);
}

static void stop_looking(struct runtime *r, struct runtime_item *item)
{
    if (item->look == NULL)
        return;
    look_cancel(STEAL(item->look));
    r->looks--;
}

/* Everything that is under way on this connection. Those who asked are told, which may free the
 * runtime. */
static void disconnect(struct runtime *r, const struct diag *why)
{
    struct list asked, *node;
    LIST_FOR_EACH (one, &r->items.all)
        stop_looking(r, LIST_ENTRY(one, struct runtime_item, node));
    r->listing = false;
    r->listed = false;
    r->again = false;
    LIST_FOR_EACH (one, &r->asked)
        look_cancel(STEAL(LIST_ENTRY(one, struct asked, node)->look));
    cri_close(STEAL(r->cri));
    move_all(&r->asked, &asked);
    while ((node = list_pop_front(&asked)) != NULL) {
        struct asked *a = LIST_ENTRY(node, struct asked, node);
        defer_stop(&a->later);
        if (!r->freed)
            a->answer(a->arg, ERR_CLOSED, NULL, why);
        mem_free(a);
    }
}

/* And once more later. */
static void fail(struct runtime *r, const struct diag *why)
{
    struct diag d = *why; /* it may be the connection's */
    disconnect(r, &d);
    if (r->freed)
        return;
    r->connected = false;
    runtime_items_forget_told(&r->items);
    timer_start(&r->timer, r->backoff_ms);
    r->backoff_ms = MIN(r->backoff_ms * 2, (unsigned)BACKOFF_MAX_MS);
    say(r, false, d.text);
}

static void fail_with(struct runtime *r, int err, const char *doing)
{
    struct diag d;
    diag_set(&d, err, 0, "Failed to %s: %s", doing, err_text(err));
    fail(r, &d);
}

/* Of the usual places the next one, if this one can't be meant. */
static bool try_next_place(struct runtime *r, const struct diag *why)
{
    if (!r->anywhere ||
        (why->err != ERR_NOTFOUND && why->err != ERR_REFUSED && why->err != ERR_UNSUPPORTED))
        return false;
    if (why->err != ERR_NOTFOUND)
        r->reason = *why;
    r->place++;
    if (cri_places[r->place] == NULL)
        return false;
    disconnect(r, why);
    if (!r->freed)
        start_connecting(r);
    return true;
}

/* First the events, then the list: what happens between the two isn't missed. */
static void begin(struct runtime *r)
{
    r->stream = EVENTS_CRI;
    r->stream_works = false;
    int err = ask_for_events(r);
    if (err < 0)
        fail_with(r, err, "ask the container runtime for its events");
    else
        start_listing(r);
}

static void on_ready(void *arg, int err, const struct diag *why)
{
    struct runtime *r = arg;
    if (err == 0) {
        r->anywhere = false;
        begin(r);
        return;
    }
    struct diag d = *why;
    if (try_next_place(r, &d))
        return;
    if (r->anywhere && cri_places[r->place] == NULL) {
        if (r->reason.err != 0)
            d = r->reason;
        else
            (void)cri_place_none(&d);
    }
    fail(r, &d);
}

static void on_lost(void *arg, int err, const struct diag *why)
{
    (void)err;
    fail(arg, why);
}

static void start_connecting(struct runtime *r)
{
    static const struct cri_events events = {.on_ready = on_ready, .on_lost = on_lost};
    int err = 0;
    if (r->anywhere)
        err = cri_place_path(cri_places[r->place], r->path, NULL);
    if (err == 0)
        err = cri_open(r->loop, r->path, CONNECT_MS, &events, r, &r->cri);
    if (err < 0)
        fail_with(r, err, "connect to the container runtime");
}

static void on_timer(void *arg)
{
    struct runtime *r = arg;
    if (r->cri == NULL) {
        r->place = 0;
        r->reason.err = 0;
        start_connecting(r);
    } else if (!r->listing) {
        start_listing(r);
    }
}

/* ---- events ---- */

/* Something has happened. */
static void wake(struct runtime *r)
{
    uint64_t since = uv_now(&r->loop->uv) - r->listed_at;
    r->follow = 0;
    r->again = r->listing;
    if (!r->listing)
        timer_start(&r->timer, since >= GAP_MS ? 0 : GAP_MS - since);
}

/* The end of a program that was run inside a container beside its first one. */
static bool is_about_exec(const Containerd__Envelope *e)
{
    if (!str_eq(e->topic, "/tasks/exit") || e->event == NULL)
        return false;
    Containerd__TaskExit *exit =
        containerd__task_exit__unpack(NULL, e->event->value.len, e->event->value.data);
    bool exec = exit != NULL && exit->id[0] != '\0' && !str_eq(exit->id, exit->container_id);
    containerd__task_exit__free_unpacked(exit, NULL);
    return exec;
}

static void on_event(void *arg, int err, const ProtobufCMessage *reply, const struct diag *why);

static int ask_for_events(struct runtime *r)
{
    static char *filters[] = {
        (char *)(uintptr_t) "namespace==k8s.io,topic==\"/tasks/start\"",
        (char *)(uintptr_t) "namespace==k8s.io,topic==\"/tasks/exit\"",
    };
    Cri__GetEventsRequest cri = CRI__GET_EVENTS_REQUEST__INIT;
    Containerd__SubscribeRequest containerd = CONTAINERD__SUBSCRIBE_REQUEST__INIT;
    containerd.filters = filters;
    containerd.n_filters = ARRAY_LEN(filters);
    switch (r->stream) {
    case EVENTS_CRI:
        return cri_ask(r->cri, CRI_EVENTS, &cri.base, 0, on_event, r, NULL);
    case EVENTS_CONTAINERD:
        return cri_ask(r->cri, CRI_CONTAINERD_EVENTS, &containerd.base, 0, on_event, r, NULL);
    default:
        return 0;
    }
}

static void on_event(void *arg, int err, const ProtobufCMessage *reply, const struct diag *why)
{
    struct runtime *r = arg;
    if (err == 0) {
        r->stream_works = true;
        if (r->stream != EVENTS_CONTAINERD || !is_about_exec((const Containerd__Envelope *)reply))
            wake(r);
        return;
    }
    /* Without a word it has ended: this runtime doesn't have it, or has it switched off. */
    if (r->stream_works) {
        fail(r, why);
        return;
    }
    r->stream++;
    if (ask_for_events(r) < 0)
        fail(r, why);
    else if (!r->listing)
        start_listing(r);
}

/* ---- listing ---- */

static void tell_connected(struct runtime *r)
{
    char text[sizeof(r->said)];
    r->connected = true;
    r->backoff_ms = BACKOFF_MIN_MS;
    (void)str_format(text, sizeof(text), "Connected to %s at %s", cri_name(r->cri),
                     cri_path(r->cri));
    say(r, true, text);
    if (!r->freed && r->events.on_listed != NULL)
        r->events.on_listed(r->arg);
}

static void forget(struct runtime *r, struct runtime_item *item)
{
    char id[RUNTIME_ID_SIZE];
    bool known = item->known;
    (void)str_format(id, sizeof(id), "%s", item->id);
    stop_looking(r, item);
    runtime_items_remove(&r->items, item);
    if (known && r->events.on_gone != NULL)
        r->events.on_gone(r->arg, id);
}

static void tell_problem(struct runtime *r, struct runtime_item *item, const char *text)
{
    char id[RUNTIME_ID_SIZE];
    if (item->problem || r->events.on_problem == NULL)
        return;
    item->problem = true;
    (void)str_format(id, sizeof(id), "%s", item->id);
    r->events.on_problem(r->arg, id, text);
}

static void look_at_more(struct runtime *r);

static void on_looked(void *arg, int err, const struct runtime_container *c, const struct diag *d)
{
    struct runtime_item *item = arg;
    struct runtime *r = item->runtime;
    item->look = NULL;
    r->looks--;
    if (err == ERR_CLOSED || err == ERR_NOMEM) {
        fail(r, d);
        return;
    }
    if (err == ERR_NOTFOUND || (err == 0 && !c->running)) {
        forget(r, item);
    } else if (err < 0) {
        runtime_items_put_last(&r->items, item);
        tell_problem(r, item, d->text);
    } else {
        item->known = true;
        item->problem = false;
        item->told = true; /* before it is: the listener may free us */
        if (r->events.on_container(r->arg, c) < 0)
            item->told = false;
    }
    look_at_more(r);
}

/* Those that were listed and not told yet, as many as may be at once. */
static void look_at_more(struct runtime *r)
{
    struct runtime_item *item;
    int err = 0;
    if (r->freed || r->listing || !r->listed)
        return;
    while (err == 0 && r->looks < LOOKS_MAX && (item = runtime_items_next(&r->items)) != NULL) {
        item->tried = r->items.listing;
        item->runtime = r;
        err = look_start(r->cri, item->id, item->sandbox ? LOOK_SANDBOX : LOOK_CONTAINER,
                         item->sandbox ? "" : item->sandbox_id, CALL_MS, on_looked, item,
                         &item->look);
        r->looks += err == 0 ? 1 : 0;
    }
    if (err < 0)
        fail_with(r, err, "ask the container runtime about a container");
    else if (r->looks == 0 && !r->connected)
        tell_connected(r);
}

static void end_listing(struct runtime *r)
{
    bool first = !r->listed;
    r->listing = false;
    r->listed = true;
    r->listed_at = uv_now(&r->loop->uv);
    /* The stream was asked for, but nothing says when the runtime had begun it: so the first
     * listing has followers too. */
    if (first || r->again)
        r->follow = 0;
    r->again = false;
    unsigned ms = r->stream == EVENTS_NONE ? POLL_MS : LISTING_MS;
    if (r->follow < ARRAY_LEN(follow_ms))
        ms = follow_ms[r->follow++];
    timer_start(&r->timer, ms);
    look_at_more(r);
}

static void tell_gone(struct runtime *r)
{
    struct runtime_item *item;
    while (!r->freed && (item = runtime_items_next_gone(&r->items)) != NULL)
        forget(r, item);
}

static void on_sandboxes(void *arg, int err, const ProtobufCMessage *reply, const struct diag *why)
{
    struct runtime *r = arg;
    if (err < 0) {
        fail(r, why);
        return;
    }
    const Cri__ListPodSandboxResponse *list = (const Cri__ListPodSandboxResponse *)reply;
    for (size_t i = 0; i < list->n_items && err == 0; i++)
        if (list->items[i]->state == CRI__SANDBOX_STATE__SANDBOX_READY)
            err = runtime_items_saw(&r->items, list->items[i]->id, list->items[i]->id, true);
    if (err < 0) {
        fail_with(r, err, "remember what runs");
        return;
    }
    tell_gone(r);
    if (!r->freed && r->listing)
        end_listing(r);
}

static void on_containers(void *arg, int err, const ProtobufCMessage *reply, const struct diag *why)
{
    struct runtime *r = arg;
    Cri__ListPodSandboxRequest request = CRI__LIST_POD_SANDBOX_REQUEST__INIT;
    if (err < 0) {
        fail(r, why);
        return;
    }
    const Cri__ListContainersResponse *list = (const Cri__ListContainersResponse *)reply;
    for (size_t i = 0; i < list->n_containers && err == 0; i++)
        if (list->containers[i]->state == CRI__CONTAINER_STATE__CONTAINER_RUNNING)
            err = runtime_items_saw(&r->items, list->containers[i]->id,
                                    list->containers[i]->pod_sandbox_id, false);
    if (err == 0)
        err = cri_ask(r->cri, CRI_LIST_SANDBOXES, &request.base, CALL_MS, on_sandboxes, r, NULL);
    if (err < 0)
        fail_with(r, err, "list the container runtime's sandboxes");
}

static void start_listing(struct runtime *r)
{
    Cri__ListContainersRequest request = CRI__LIST_CONTAINERS_REQUEST__INIT;
    timer_stop(&r->timer);
    r->listing = true;
    runtime_items_begin(&r->items);
    int err = cri_ask(r->cri, CRI_LIST_CONTAINERS, &request.base, CALL_MS, on_containers, r, NULL);
    if (err < 0)
        fail_with(r, err, "list the container runtime's containers");
}

size_t runtime_problems(const struct runtime *r)
{
    return runtime_items_problems(&r->items);
}

/* ---- one asked for ---- */

static void finish_asked(struct asked *asked, int err, const struct runtime_container *c,
                         const struct diag *d)
{
    struct asked a = *asked;
    list_remove(&asked->node);
    mem_free(asked);
    a.answer(a.arg, err, c, d);
}

static void on_asked(void *arg, int err, const struct runtime_container *c, const struct diag *d)
{
    finish_asked(arg, err, c, d);
}

static void on_later(void *arg)
{
    struct diag d;
    diag_set(&d, ERR_CLOSED, 0, "There is no connection to the container runtime");
    finish_asked(arg, ERR_CLOSED, NULL, &d);
}

static int start_asked(struct runtime *r, const char *id, struct asked *a)
{
    const struct runtime_item *item = runtime_items_find(&r->items, id);
    bool sandbox = item != NULL && item->sandbox;
    if (r->cri == NULL || cri_name(r->cri)[0] == '\0')
        return ERR_CLOSED;
    return look_start(r->cri, id, sandbox ? LOOK_SANDBOX : LOOK_EITHER,
                      item != NULL && !sandbox ? item->sandbox_id : "", CALL_MS, on_asked, a,
                      &a->look);
}

int runtime_ask(struct runtime *r, const char *id, runtime_answer_fn *answer, void *arg)
{
    struct asked *a = NEW(struct asked);
    if (a == NULL)
        return ERR_NOMEM;
    a->answer = answer;
    a->arg = arg;
    defer_init(&a->later, on_later, a);
    list_push_back(&r->asked, &a->node);
    int err = start_asked(r, id, a);
    if (err == ERR_CLOSED) {
        defer_start(r->loop, &a->later);
        return 0;
    }
    if (err < 0) {
        list_remove(&a->node);
        mem_free(a);
    }
    return err;
}

/* ---- life ---- */

static void on_timer_closed(void *arg)
{
    mem_free(arg);
}

int runtime_start(struct loop *loop, const char *endpoint, const struct runtime_events *events,
                  void *arg, struct runtime **ret, struct diag *d)
{
    CLEANUP(mem_freep) struct runtime *r = NEW(struct runtime);
    if (r == NULL)
        return diag_set(d, ERR_NOMEM, 0, "Out of memory");
    r->loop = loop;
    r->events = *events;
    r->arg = arg;
    r->anywhere = endpoint == NULL;
    r->backoff_ms = BACKOFF_MIN_MS;
    r->follow = ARRAY_LEN(follow_ms);
    list_init(&r->asked);
    if (endpoint != NULL && str_eq(endpoint, "podman"))
        return diag_set(d, ERR_UNSUPPORTED, 0,
                        "podman tells nobody of its containers as they come: they can be looked up "
                        "one by one, not watched. With stile-cni(8) in the list of plugins of "
                        "their network they have policies from the start");
    int err = r->anywhere ? 0 : cri_place_path(endpoint, r->path, d);
    if (err < 0)
        return err;
    runtime_items_init(&r->items);
    (void)timer_init(&r->timer, loop, on_timer, r); /* libuv's timers can't fail to begin */
    timer_start(&r->timer, 0);
    *ret = STEAL(r);
    return 0;
}

void runtime_free(struct runtime *r)
{
    struct diag none = {0};
    if (r == NULL || r->freed)
        return;
    r->freed = true;
    disconnect(r, &none);
    runtime_items_release(&r->items);
    timer_close(&r->timer, on_timer_closed);
}
