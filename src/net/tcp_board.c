#include "net/tcp_board.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "net/tcp_seq.h"

#define RANGES_AT_FIRST 16

struct tcp_board *tcp_board_new(uint32_t start, uint32_t end, uint64_t sent_end)
{
    struct tcp_board *b = NEW(struct tcp_board);
    if (b == NULL)
        return NULL;
    b->ranges = mem_array(RANGES_AT_FIRST, sizeof *b->ranges);
    if (b->ranges == NULL) {
        mem_free(b);
        return NULL;
    }
    b->cap = RANGES_AT_FIRST;
    b->count = 1;
    b->ranges[0] = (struct tcp_range){start, end, TCP_RANGE_SENT, sent_end};
    return b;
}

void tcp_board_free(struct tcp_board *b)
{
    if (b == NULL)
        return;
    mem_free(b->ranges);
    mem_free(b);
}

static uint32_t range_len(const struct tcp_range *r)
{
    return r->end - r->start;
}

/* Room for two more ranges: the most that one change can add. */
static int reserve(struct tcp_board *b)
{
    if (b->count + 2 <= b->cap)
        return 0;
    if (b->cap >= TCP_BOARD_RANGES)
        return ERR_LIMIT;
    struct tcp_range *ranges = mem_resize(b->ranges, b->cap * 2, sizeof *ranges);
    if (ranges == NULL)
        return ERR_NOMEM;
    b->ranges = ranges;
    b->cap *= 2;
    return 0;
}

static void count_state(struct tcp_board *b, enum tcp_range_state state, uint32_t len, bool add)
{
    uint32_t change = add ? len : 0U - len;
    if (state == TCP_RANGE_SACKED)
        b->sacked += change;
    else if (state == TCP_RANGE_LOST)
        b->lost += change;
}

static void set_state(struct tcp_board *b, struct tcp_range *r, enum tcp_range_state state)
{
    count_state(b, r->state, range_len(r), false);
    r->state = state;
    count_state(b, state, range_len(r), true);
}

static void insert_at(struct tcp_board *b, size_t i, struct tcp_range r)
{
    memmove(b->ranges + i + 1, b->ranges + i, (b->count - i) * sizeof r);
    b->ranges[i] = r;
    b->count++;
}

static void remove_at(struct tcp_board *b, size_t i, size_t n)
{
    memmove(b->ranges + i, b->ranges + i + n, (b->count - i - n) * sizeof b->ranges[0]);
    b->count -= n;
}

/* Index of the range that holds seq; count if it is behind the end. */
static size_t index_of(const struct tcp_board *b, uint32_t seq)
{
    size_t low = 0;
    size_t high = b->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (seq_leq(b->ranges[mid].end, seq))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Makes a range begin at seq (inside the board) and returns its index. Needs room for one more. */
static size_t split_at(struct tcp_board *b, uint32_t seq)
{
    size_t i = index_of(b, seq);
    if (i == b->count || b->ranges[i].start == seq)
        return i;
    struct tcp_range tail = b->ranges[i];
    tail.start = seq;
    b->ranges[i].end = seq;
    b->ranges[i].sent_end -= range_len(&tail);
    insert_at(b, i + 1, tail);
    return i + 1;
}

static bool mergeable(const struct tcp_range *a, const struct tcp_range *b)
{
    if (a->state != b->state)
        return false;
    /* Ranges under way keep their places apart, unless they were sent in one go. */
    return a->state != TCP_RANGE_SENT || a->sent_end + range_len(b) == b->sent_end;
}

/* Joins the ranges around [first, last] where they are alike. */
static void merge_around(struct tcp_board *b, size_t first, size_t last)
{
    size_t i = first > 0 ? first - 1 : 0;
    size_t end = MIN(last + 1, b->count - 1);
    while (i < end) {
        if (!mergeable(&b->ranges[i], &b->ranges[i + 1])) {
            i++;
            continue;
        }
        b->ranges[i].end = b->ranges[i + 1].end;
        b->ranges[i].sent_end = MAX(b->ranges[i].sent_end, b->ranges[i + 1].sent_end);
        remove_at(b, i + 1, 1);
        end--;
    }
}

void tcp_board_sent_new(struct tcp_board *b, uint32_t start, uint32_t end, uint64_t sent_end)
{
    struct tcp_range *last = b->count > 0 ? &b->ranges[b->count - 1] : NULL;
    struct tcp_range fresh = {start, end, TCP_RANGE_SENT, sent_end};
    if (last != NULL && (mergeable(last, &fresh) || reserve(b) < 0)) {
        /* Without room for a range of its own it joins its neighbour, whatever that is: a wrong state costs a
         * retransmission at the next time-out, nothing else. */
        count_state(b, last->state, end - start, true);
        last->end = end;
        last->sent_end = sent_end;
        return;
    }
    /* There is memory from the first byte on: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    b->ranges[b->count++] = fresh;
}

/* Gives all of [start, end) one state; false without room to do so. */
static bool change(struct tcp_board *b, uint32_t start, uint32_t end, enum tcp_range_state state,
                   const uint64_t *sent_end)
{
    if (reserve(b) < 0)
        return false;
    size_t first = split_at(b, start);
    size_t behind = split_at(b, end);
    bool news = false;
    for (size_t i = first; i < behind; i++) {
        struct tcp_range *r = &b->ranges[i];
        news |= r->state != state;
        if (state == TCP_RANGE_SACKED && r->state != state)
            b->newest = MAX(b->newest, r->sent_end);
        set_state(b, r, state);
        if (sent_end != NULL)
            r->sent_end = *sent_end - (end - r->end);
    }
    if (behind > first)
        merge_around(b, first, behind - 1);
    return news;
}

void tcp_board_sent_again(struct tcp_board *b, uint32_t start, uint32_t end, uint64_t sent_end)
{
    if (change(b, start, end, TCP_RANGE_SENT, &sent_end))
        return;
    /* No room to tell the part from the rest: all of it counts as sent. A time-out finds what wasn't. */
    size_t i = index_of(b, start);
    if (i == b->count)
        return;
    set_state(b, &b->ranges[i], TCP_RANGE_SENT);
    b->ranges[i].sent_end = sent_end;
}

bool tcp_board_sacked(struct tcp_board *b, uint32_t start, uint32_t end)
{
    return change(b, start, end, TCP_RANGE_SACKED, NULL);
}

void tcp_board_acked(struct tcp_board *b, uint32_t una)
{
    size_t n = 0;
    for (; n < b->count && seq_leq(b->ranges[n].end, una); n++) {
        b->newest = MAX(b->newest, b->ranges[n].sent_end);
        count_state(b, b->ranges[n].state, range_len(&b->ranges[n]), false);
    }
    remove_at(b, 0, n);
    if (b->count == 0 || !seq_lt(b->ranges[0].start, una))
        return;
    struct tcp_range *r = &b->ranges[0];
    b->newest = MAX(b->newest, r->sent_end - (r->end - una));
    count_state(b, r->state, una - r->start, false);
    r->start = una;
}

uint32_t tcp_board_find_lost(struct tcp_board *b, uint32_t tolerance)
{
    uint32_t found = 0;
    for (size_t i = 0; i < b->count; i++) {
        struct tcp_range *r = &b->ranges[i];
        if (r->state != TCP_RANGE_SENT || r->sent_end + tolerance > b->newest)
            continue;
        found += range_len(r);
        set_state(b, r, TCP_RANGE_LOST);
    }
    return found;
}

void tcp_board_lose_front(struct tcp_board *b, uint32_t n, uint64_t before)
{
    if (b->count == 0)
        return;
    struct tcp_range *r = &b->ranges[0];
    if (r->state != TCP_RANGE_SENT || r->sent_end - range_len(r) >= before)
        return;
    (void)change(b, r->start, r->start + MIN(n, range_len(r)), TCP_RANGE_LOST, NULL);
}

void tcp_board_lose_all(struct tcp_board *b, bool forget)
{
    for (size_t i = 0; i < b->count; i++) {
        if (forget || b->ranges[i].state != TCP_RANGE_SACKED)
            set_state(b, &b->ranges[i], TCP_RANGE_LOST);
    }
    if (b->count > 0)
        merge_around(b, 0, b->count - 1);
}

const struct tcp_range *tcp_board_first_lost(const struct tcp_board *b)
{
    if (b->lost == 0)
        return NULL;
    for (size_t i = 0; i < b->count; i++) {
        if (b->ranges[i].state == TCP_RANGE_LOST)
            return &b->ranges[i];
    }
    return NULL;
}

bool tcp_board_is_trivial(const struct tcp_board *b)
{
    return b->sacked == 0 && b->lost == 0;
}
