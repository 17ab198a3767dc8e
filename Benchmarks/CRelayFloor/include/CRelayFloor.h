#ifndef C_RELAY_FLOOR_H
#define C_RELAY_FLOOR_H

// Relays for ever between the connected sockets 0 and 1, 2 and 3, … on a thread of its own: waits for many, receives from
// one, sends on its counterpart, and decides nothing. Returns 0, or -1 where the system refuses. Copies `descriptors`.
int relay_floor_start(const int *descriptors, int count);

#endif
