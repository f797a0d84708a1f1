#include "policy/hns_lock.h"

#include <windows.h>

#include "base/mem.h"
#include "base/str.h"

struct hns_lock {
    HANDLE mutex;
};

/* For all sessions of the machine. */
#define PREFIX "Global\\stile-policy-"

static int wait_for(HANDLE mutex, unsigned timeout_ms, const struct guid *id, struct diag *d)
{
    DWORD result = WaitForSingleObject(mutex, timeout_ms);
    if (result == WAIT_OBJECT_0 || result == WAIT_ABANDONED)
        return 0;
    if (result == WAIT_TIMEOUT)
        return diag_set(d, ERR_BUSY, 0, "Another program has been changing endpoint %s for %u s",
                        id->text, timeout_ms / 1000);
    DWORD code = GetLastError();
    return diag_set(d, err_from_win32(code), (long)code,
                    "Failed to wait for the lock of endpoint %s (error %lu)", id->text, code);
}

int hns_lock_take(const struct guid *id, unsigned timeout_ms, struct hns_lock **ret, struct diag *d)
{
    char name[sizeof(PREFIX) + GUID_TEXT_SIZE];
    CLEANUP(mem_freep) struct hns_lock *lock = NEW(struct hns_lock);
    if (lock == NULL)
        return diag_no_memory(d);
    (void)str_format(name, sizeof(name), PREFIX "%s", id->text);
    HANDLE mutex = CreateMutexA(NULL, FALSE, name);
    DWORD code = GetLastError();
    if (mutex == NULL)
        return diag_set(d, err_from_win32(code), (long)code,
                        "Failed to make the lock of endpoint %s (error %lu)", id->text, code);
    int r = wait_for(mutex, timeout_ms, id, d);
    if (r < 0) {
        CloseHandle(mutex);
        return r;
    }
    lock->mutex = mutex;
    *ret = STEAL(lock);
    return 0;
}

void hns_lock_release(struct hns_lock *lock)
{
    if (lock == NULL)
        return;
    ReleaseMutex(lock->mutex);
    CloseHandle(lock->mutex);
    mem_free(lock);
}

void hns_lock_releasep(struct hns_lock **lock)
{
    hns_lock_release(*lock);
}
