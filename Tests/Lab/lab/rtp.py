"""One end of a PCMA stream: 50 packets a second out, everything that comes in counted."""

import select
import socket
import struct
import threading
import time

from . import sip

INTERVAL = 0.02
PAYLOAD = 160
PAUSE = 0.5         # no jitter, but an interruption


class Stream:
    """`follow` is how it finds its peer: "latching" sends to where audio comes from, "strict" to what the SDP says, "once"
    to where the first packet came from, and looks again only after an offer."""

    def __init__(self, network, place, address, follow):
        self.follow = follow
        self.socket = network.socket(place, lambda: open_even(address))
        self.port = self.socket.getsockname()[1]
        self.mark = sip.token(8).encode()       # begins each payload: so one's own audio is told from another's
        self.target = None                      # by SDP
        self.heard_from = None                  # by the last packet
        self.sent = self.received = self.own = self.malformed = 0
        self.marks, self.sources, self.sequences = {}, set(), set()
        self.last_arrival, self.longest_gap = None, 0.0
        self.gaps = []                          # (last packet before, first packet after), each longer than PAUSE
        self._sending = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def aim(self, target):
        self.target = target
        if self.follow == "once":
            self.heard_from = None

    def returned(self, cut, back):
        """Seconds from the line's return to audio that stays; None when it has not come."""
        if self.last_arrival is None or time.monotonic() - self.last_arrival > PAUSE:
            return None
        ends = [end for begin, end in list(self.gaps) if end > cut]
        return max(0.0, ends[-1] - back) if ends else 0.0

    def send(self):
        self._sending.set()

    def close(self):
        self._over.set()
        self._thread.join(1)
        self.socket.close()

    def heard(self, mark):
        return self.marks.get(mark, 0)

    def _run(self):
        sequence, stamp, source = 1, 160, int(sip.token(4), 16)
        due = time.monotonic()
        while not self._over.is_set():
            now = time.monotonic()
            if self._sending.is_set() and now >= due:
                target = (self.heard_from if self.follow != "strict" else None) or self.target
                if target:
                    packet = struct.pack("!BBHII", 0x80, 8, sequence & 0xFFFF, stamp & 0xFFFFFFFF, source)
                    try:
                        self.socket.sendto(packet + self.mark.ljust(PAYLOAD, b"\xd5"), target)
                        self.sent += 1
                    except OSError:
                        pass
                    sequence, stamp = sequence + 1, stamp + PAYLOAD
                due += INTERVAL
                continue
            if not self._sending.is_set():
                due = now
            wait = max(due - now, 0) if self._sending.is_set() else 0.01
            if select.select([self.socket], [], [], wait)[0]:
                self._receive()

    def _receive(self):
        try:
            data, origin = self.socket.recvfrom(2048)
        except OSError:
            return
        if len(data) < 12 or data[0] >> 6 != 2:
            self.malformed += 1     # opening packets and STUN are welcome, and no audio
            return
        if 64 <= data[1] & 0x7F < 96:
            return                  # RTCP on the RTP port
        now = time.monotonic()
        if self.last_arrival is not None:
            self.longest_gap = max(self.longest_gap, now - self.last_arrival)
            if now - self.last_arrival > PAUSE:
                self.gaps.append((self.last_arrival, now))
        self.last_arrival = now
        if self.follow != "once" or self.heard_from is None:
            self.heard_from = origin
        self.received += 1
        self.sources.add(origin)
        self.sequences.add((data[8:12], data[2:4]))
        mark = data[12:12 + len(self.mark)]
        self.marks[mark] = self.marks.get(mark, 0) + 1
        if mark == self.mark:
            self.own += 1


def open_even(address):
    """RTP lives on an even port (RFC 3550 §11)."""
    while True:
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        if made.getsockname()[1] % 2 == 0:
            return made
        made.close()
