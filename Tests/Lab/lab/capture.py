"""What crosses a link: UDP packets seen by a packet socket, with the kernel's own times."""

import select
import socket
import struct
import threading
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4
SO_TIMESTAMPNS = 35


class Packet:
    __slots__ = ("at", "outgoing", "source", "target", "data")

    def __init__(self, at, outgoing, source, target, data):
        self.at, self.outgoing, self.source, self.target, self.data = at, outgoing, source, target, data

    @property
    def is_stun_request(self):
        return len(self.data) >= 20 and self.data[:2] == b"\x00\x01"

    @property
    def is_sip(self):
        return self.data[:1].isalpha()

    @property
    def method(self):
        """The method of a SIP request; empty for anything else."""
        word = self.data.split(b" ", 1)[0]
        return word.decode() if word.isalpha() and word.isupper() else ""

    def __repr__(self):
        start = self.data[:40].split(b"\r\n")[0]
        return f"{self.at:.3f} {self.source[0]}:{self.source[1]} > {self.target[0]}:{self.target[1]} {start!r}"


class Capture:
    """Times are seconds of the wall clock, as `time.time()` gives them."""

    def __init__(self, network, place, device):
        def make():
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            made.bind((device, 0))
            return made
        self.packets = []
        self._loopback = device == "lo"     # where each packet is seen leaving and arriving; once is enough
        self._socket = network.socket(place, make)
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._over:
            if not select.select([self._socket], [], [], 0.2)[0]:
                continue
            frame, control, _, address = self._socket.recvmsg(4096, 128)
            at = time.time()
            for level, kind, value in control:
                if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                    seconds, nanoseconds = struct.unpack("qq", value[:16])
                    at = seconds + nanoseconds / 1e9
            packet = read(frame, at, address[2] == PACKET_OUTGOING)
            if packet and not (self._loopback and packet.outgoing):
                self.packets.append(packet)

    def write(self, path):
        """As text, for a person who looks for what went wrong: SIP whole, the rest as one line; audio is left out."""
        with open(path, "w", encoding="utf-8") as file:
            for packet in list(self.packets):
                if packet.data[:1] == b"\x80":
                    continue
                clock = time.strftime("%H:%M:%S", time.localtime(packet.at)) + f"{packet.at % 1:.3f}"[1:]
                file.write(f"{clock} {packet.source[0]}:{packet.source[1]} > {packet.target[0]}:{packet.target[1]} ")
                if packet.is_sip:
                    file.write("\n" + packet.data.decode("utf-8", "replace").replace("\r\n", "\n    ").rstrip() + "\n")
                else:
                    file.write(f"{len(packet.data)} bytes {packet.data[:8].hex()}\n")

    def seen(self, condition, since=0.0):
        return [p for p in list(self.packets) if p.at >= since and condition(p)]

    def close(self):
        self._over = True
        self._thread.join(1)
        self._socket.close()


def read(frame, at, outgoing):
    """The UDP packet of an Ethernet frame; None for anything else."""
    if len(frame) < 42 or frame[12:14] != b"\x08\x00" or frame[23] != 17:
        return None
    start = 14 + (frame[14] & 15) * 4
    source_port, target_port, size = struct.unpack_from("!HHH", frame, start)
    data = frame[start + 8:start + size]
    # Audio is only counted; the rest is kept whole.
    if data[:1] == b"\x80":
        data = data[:12]
    return Packet(at, outgoing, (socket.inet_ntoa(frame[26:30]), source_port),
                  (socket.inet_ntoa(frame[30:34]), target_port), data)
