"""One end of a PCMA stream: 50 packets a second out, everything that comes in counted."""

import collections
import heapq
import itertools
import os
import select
import socket
import struct
import threading
import time

from . import sip

INTERVAL = 0.02
PAYLOAD = 160
GAP = 0.1           # no jitter
PAUSE = 0.5         # an interruption, on whatever machine
SO_TIMESTAMPNS = 35


class Audio:
    """The thread that plays and hears all streams of one telephone: one for each stream would mostly wait for each other."""

    def __init__(self):
        self._streams, self._due, self._order = {}, [], itertools.count()
        self._jobs = collections.deque()
        self._poll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._poll.register(self._wake, select.EPOLLIN)
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, stream):
        self._do(lambda: self._added(stream))

    def play(self, stream):
        self._do(lambda: self._played(stream))

    def close(self):
        self._over = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(2)
        for stream in self._streams.values():
            stream.socket.close()
        self._poll.close()
        os.close(self._wake)

    def _do(self, job):
        self._jobs.append(job)
        os.eventfd_write(self._wake, 1)

    def _added(self, stream):
        self._streams[stream.socket.fileno()] = stream
        self._poll.register(stream.socket.fileno(), select.EPOLLIN)

    def _played(self, stream):
        if not stream.is_playing:
            stream.is_playing = True
            heapq.heappush(self._due, (time.monotonic(), next(self._order), stream))

    def _run(self):
        while not self._over:
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                at, _, stream = heapq.heappop(self._due)
                if stream.is_playing:
                    stream.send_packet()
                    heapq.heappush(self._due, (at + INTERVAL, next(self._order), stream))
            wait = max(self._due[0][0] - time.monotonic(), 0) if self._due else 1
            for handle, _ in self._poll.poll(wait):
                if handle == self._wake:
                    os.eventfd_read(self._wake)
                else:
                    self._streams[handle].receive_packet()
            while self._jobs:
                self._jobs.popleft()()


class Stream:
    """`follow` is how it finds its peer: "latching" sends to where audio comes from, "strict" to what the SDP says, "once"
    to where the first packet came from, and looks again only after an offer."""

    def __init__(self, audio, network, place, address, follow):
        self.audio, self.follow = audio, follow
        self.socket = network.socket(place, lambda: open_even(address))
        self.socket.setblocking(False)
        # The kernel's times of arrival: what is measured is the line, not when this thread had its turn.
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.port = self.socket.getsockname()[1]
        self.mark = sip.token(8).encode()       # begins each payload: so one's own audio is told from another's
        self.target = None                      # by SDP
        self.heard_from = None                  # by the last packet
        self.is_playing = False
        self.sent = self.received = self.own = self.malformed = 0
        self.marks, self.sources, self.sequences = {}, set(), set()
        self.last_arrival, self.longest_gap = None, 0.0
        self.gaps = []                          # (last packet before, first packet after), each longer than GAP
        self._sequence, self._stamp, self._source = 1, PAYLOAD, int(sip.token(4), 16)
        self._payload = self.mark.ljust(PAYLOAD, b"\xd5")
        audio.add(self)

    def aim(self, target):
        self.target = target
        if self.follow == "once":
            self.heard_from = None

    def returned(self, cut, back):
        """Seconds from the line's return to audio that stays; None when it has not come."""
        if self.last_arrival is None or time.monotonic() - self.last_arrival > PAUSE:
            return None
        ends = [end for begin, end in list(self.gaps) if end > cut and end - begin > PAUSE]
        return max(0.0, ends[-1] - back) if ends else 0.0

    def longest_pause(self, since):
        """Seconds without audio, of the longest gap that ended after that moment."""
        return max((end - begin for begin, end in list(self.gaps) if end > since), default=0.0)

    def send(self):
        self.audio.play(self)

    def stop(self):
        self.is_playing = False

    def heard(self, mark):
        return self.marks.get(mark, 0)

    def send_packet(self):
        """Called by the thread that plays, every 20 ms."""
        target = (self.heard_from if self.follow != "strict" else None) or self.target
        if target:
            head = struct.pack("!BBHII", 0x80, 8, self._sequence & 0xFFFF, self._stamp & 0xFFFFFFFF, self._source)
            try:
                self.socket.sendto(head + self._payload, target)
                self.sent += 1
            except OSError:
                pass
            self._sequence, self._stamp = self._sequence + 1, self._stamp + PAYLOAD

    def receive_packet(self):
        """Called by the thread that hears, when there is one."""
        try:
            data, control, _, origin = self.socket.recvmsg(2048, 64)
        except OSError:
            return
        if len(data) < 12 or data[0] >> 6 != 2:
            self.malformed += 1     # opening packets and STUN are welcome, and no audio
            return
        if 64 <= data[1] & 0x7F < 96:
            return                  # RTCP on the RTP port
        arrival = arrived(control)
        if self.last_arrival is not None:
            self.longest_gap = max(self.longest_gap, arrival - self.last_arrival)
            if arrival - self.last_arrival > GAP:
                self.gaps.append((self.last_arrival, arrival))
        self.last_arrival = arrival
        if self.follow != "once" or self.heard_from is None:
            self.heard_from = origin
        self.received += 1
        self.sources.add(origin)
        self.sequences.add((data[8:12], data[2:4]))
        mark = data[12:12 + len(self.mark)]
        self.marks[mark] = self.marks.get(mark, 0) + 1
        if mark == self.mark:
            self.own += 1


def arrived(control):
    """When the kernel got a packet, on the monotonic clock."""
    now = time.monotonic()
    for level, kind, value in control:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", value[:16])
            return now - max(0.0, time.time() - seconds - nanoseconds / 1e9)
    return now


def open_even(address):
    """RTP lives on an even port (RFC 3550 §11)."""
    while True:
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, 0))
        if made.getsockname()[1] % 2 == 0:
            return made
        made.close()
