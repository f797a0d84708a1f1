#include "gateway/config.h"

#include <string.h>

#include "base/buf.h"

/* @C cluster, @L listen, @P public_addr, @Z zone. The reader of this text is someone who starts with it. */
static const char text[] =
    "# stile gateway configuration. After a change: stile gateway check --config FILE, then send "
    "SIGHUP.\n"
    "\n"
    "# The name of this cluster; it is in every certificate. Don't change it later.\n"
    "cluster: @C\n"
    "\n"
    "# The one port that everything goes through (ignored under systemd socket activation).\n"
    "listen: \"@L\"\n"
    "\n"
    "# How clients reach that port: a name or an address, and the port.\n"
    "public_addr: \"@P\"\n"
    "# More names and addresses for the gateway's certificate:\n"
    "# names: [gw.internal, 10.0.0.5]\n"
    "\n"
    "# Users and logs. A relative path starts at this file; the cluster's CA is in ca/ beside it.\n"
    "state: state.db\n"
    "\n"
    "# The public names of all apps are in these zones; clients ask the gateway about names "
    "there.\n"
    "dns_zones: [@Z]\n"
    "\n"
    "# Clients give apps virtual addresses from here.\n"
    "ipv4_range: 100.64.0.0/10\n"
    "\n"
    "# limits: {connections: 16384, connections_per_user: 4096, connect_timeout_s: 10, "
    "log_in_hours: 12,\n"
    "#          app_cert_minutes: 60}\n"
    "\n"
    "apps: []\n"
    "# apps:\n"
    "#   # A database: one target, one port, for one user and one group.\n"
    "#   - name: pg\n"
    "#     public_name: pg.@Z\n"
    "#     target: \"10.1.2.3:5432\"\n"
    "#     ports: [5432]\n"
    "#     allow: {users: [alice], groups: [dba]}\n"
    "#   # A host: any port, and the target has no port of its own. Every user is in the group "
    "everyone.\n"
    "#   - name: host\n"
    "#     public_name: host.@Z\n"
    "#     target: 10.1.2.4\n"
    "#     ports: any                # or a list: [22, 8000-8010]\n"
    "#     allow: {groups: [everyone]}\n"
    "#   # A plain HTTP app: only these Host values reach it.\n"
    "#   - name: wiki\n"
    "#     public_name: wiki.@Z\n"
    "#     target: \"10.1.2.5:80\"\n"
    "#     http_hosts: [wiki.@Z]\n"
    "#     allow: {groups: [everyone]}\n"
    "#   # Only listed: its name is resolved by ordinary DNS.\n"
    "#   - {name: dash, public_name: dash.@Z, web: true}\n";

/* What a mark stands for: the letter after the @. */
static const char *marked(const struct config_example *e, char letter)
{
    switch (letter) {
    case 'C':
        return e->cluster;
    case 'L':
        return e->listen;
    case 'P':
        return e->public_addr;
    default:
        return e->zone;
    }
}

int gateway_config_example(const struct config_example *e, struct buf *out)
{
    int r = 0;
    for (const char *at = text; *at != '\0' && r == 0;) {
        size_t plain = strcspn(at, "@");
        r = buf_put(out, slice_of(at, plain));
        at += plain;
        if (*at == '@' && r == 0) {
            r = buf_put_str(out, marked(e, at[1]));
            at += 2;
        }
    }
    return r;
}
