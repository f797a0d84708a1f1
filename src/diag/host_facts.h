/* What is to be known of the host without asking anybody: system, network, resolver, and what `stile run` needs. */
#ifndef STILE_DIAG_HOST_FACTS_H
#define STILE_DIAG_HOST_FACTS_H

#include "diag/dns_facts.h"
#include "netcfg/host_view.h"

#define HOST_TEXT_SIZE 128

enum name_cache { CACHE_NSCD, CACHE_SSSD, CACHES };

struct host_facts {
    char kernel[HOST_TEXT_SIZE]; /* "Linux 6.1.0 x86_64" */
    char os[HOST_TEXT_SIZE];     /* PRETTY_NAME of os-release */
    char host_name[HOST_TEXT_SIZE];
    char user[HOST_TEXT_SIZE];
    int tun_errno;        /* 0: /dev/net/tun can be opened */
    int namespaces_errno; /* 0: a user namespace can be made */
    char
        namespaces_why[128]; /* the setting that forbids it: "kernel.unprivileged_userns_clone=0" */
    bool caches[CACHES];     /* they keep answers for programs */
    struct resolver_facts resolver;
    int view_err; /* the network couldn't be looked at; view is empty then */
    struct diag view_diag;
    struct host_view view;
};

/* Blocks for the bus alone, 5 s at most. What can't be found out is empty. */
void host_facts_load(struct host_facts *ret);
void host_facts_release(struct host_facts *h);

#endif
