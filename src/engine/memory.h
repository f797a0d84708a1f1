/* What the allocator keeps and what it gives back to the system.
 *
 * Buffers come and go with every burst of a flow: taken from the system and given back each time they would cost page faults and a
 * message to every processor. So much is kept while there is work, and given back in quiet times.
 */
#ifndef STILE_ENGINE_MEMORY_H
#define STILE_ENGINE_MEMORY_H

/* Once, before the first thread. */
void memory_keep(void);

/* In each thread that allocated much: the unused end of its arena. */
void memory_give_back_own(void);
/* Once for all threads: unused pages between what is used. */
void memory_give_back_all(void);

#endif
