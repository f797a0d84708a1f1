#include "policy/nft_ports.h"

void nft_ports_add(struct nft_ports *ports, uint16_t port)
{
    if (port != 0)
        ports->bits[port / 8] |= (uint8_t)(1u << (port % 8));
}

void nft_ports_of(struct nft_ports *ports, const struct l4_policies *l, unsigned protocols)
{
    for (size_t i = 0; i < l->count; i++) {
        if ((l->items[i].protocols & protocols) == 0)
            continue;
        nft_ports_add(ports, l->items[i].inbound.proxy_port);
        nft_ports_add(ports, l->items[i].outbound.proxy_port);
    }
}

static bool has(const struct nft_ports *ports, uint32_t port)
{
    return (ports->bits[port / 8] >> (port % 8) & 1) != 0;
}

uint16_t nft_ports_next(const struct nft_ports *ports, uint16_t port)
{
    for (uint32_t next = (uint32_t)port + 1; next <= UINT16_MAX; next++) {
        if (ports->bits[next / 8] == 0)
            next |= 7; /* the last of eight that aren't there */
        else if (has(ports, next))
            return (uint16_t)next;
    }
    return 0;
}

void nft_ports_put(struct nft_text *t, const struct nft_ports *ports)
{
    uint16_t first = nft_ports_next(ports, 0);
    bool several = nft_ports_next(ports, first) != 0;

    if (first == 0)
        return;
    nft_put(t, "%s%u", several ? "{ " : "", (unsigned)first);
    for (uint16_t port = nft_ports_next(ports, first); several && port != 0;
         port = nft_ports_next(ports, port))
        nft_put(t, ", %u", (unsigned)port);
    nft_put(t, "%s", several ? " }" : "");
}
