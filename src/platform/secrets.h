/* Keeps the memory of a process that holds keys out of core dumps and away from debuggers of the same user. */
#ifndef STILE_PLATFORM_SECRETS_H
#define STILE_PLATFORM_SECRETS_H

/* For this process, not for programs it starts. On Linux /proc/PID then belongs to root, so another process can't write this
 * one's uid_map: children that need that are started by exec, which undoes it for them. */
void secrets_guard_process(void);

#endif
