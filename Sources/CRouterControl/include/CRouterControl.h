// What the system offers for looking at this host's network and at its router, in a shape that Swift can call with little:
// plain values, errors as negative errno. The safe face is the target RouterControl.
#ifndef C_ROUTER_CONTROL_H
#define C_ROUTER_CONTROL_H

#include <stddef.h>
#include <stdint.h>

// A non-blocking, close-on-exec NETLINK_ROUTE socket that hears of links, addresses and routes of both families. Returns
// the descriptor or a negative errno.
int tl_netlink_open(void);
// Reads what waits. Returns how many bytes came (0: nothing was there), or a negative errno; -ENOBUFS: news were lost.
long tl_netlink_read(int descriptor, uint8_t *bytes, size_t count);
void tl_netlink_close(int descriptor);

// Makes an IPv4 UDP socket hear a multicast group (host order) on the interface that has the address `local`. Returns 0 or
// a negative errno.
int tl_multicast_join(int descriptor, uint32_t group, uint32_t local);
// What such a socket sends to a group leaves through that interface, and passes so many routers.
int tl_multicast_from(int descriptor, uint32_t local, int hops);

#endif
