/* What `stile up` shows: the clusters with their zones and ranges, then a line for each thing that happens. For people, or one JSON
 * object for each event.
 */
#ifndef STILE_CLI_UP_VIEW_H
#define STILE_CLI_UP_VIEW_H

#include "agent/system_session.h"

struct up_view {
    bool json;
    bool background; /* nobody's Ctrl-C reaches it */
    bool dated;      /* lines begin with date and time: they are kept */
    bool shown;      /* the table, once */
    size_t skipped;  /* lines that a reader who doesn't read (Ctrl-S) would have made us wait for */
    struct broker_network network;
};

void up_view_started(struct up_view *v, const struct system_session_info *info,
                     struct agent *agent);
void up_view_changed(struct up_view *v, struct agent *agent);
void up_view_connection(struct up_view *v, const struct connection *c);
void up_view_notice(struct up_view *v, const char *text);
void up_view_waiting(struct up_view *v, const char *text);
void up_view_ended(struct up_view *v);

#endif
