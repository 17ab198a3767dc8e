"""What crosses a link: UDP packets seen by a packet socket, with the kernel's own times. Audio is left out by the kernel."""

import ctypes
import select
import socket
import struct
import threading
import time

ETH_P_ALL = 3
PACKET_OUTGOING = 4
SO_TIMESTAMPNS = 35
SO_ATTACH_FILTER = 26

# Classic BPF, (code, if true, if false, value): UDP over IPv4 or IPv6 whose payload is empty or does not begin with the bits 10,
# as RTP and RTCP do. With twenty calls audio is nearly all that there is.
FILTER = (
    (0x28, 0, 0, 12), (0x15, 0, 8, 0x0800),                     # IPv4
    (0x30, 0, 0, 23), (0x15, 0, 15, 17),                        # UDP
    (0xb1, 0, 0, 14), (0x48, 0, 0, 18), (0x15, 11, 0, 8),       # X = length of the header; an empty payload is taken
    (0x50, 0, 0, 22), (0x54, 0, 0, 0xc0), (0x15, 9, 8, 0x80),
    (0x15, 0, 8, 0x86dd),                                       # IPv6
    (0x30, 0, 0, 20), (0x15, 0, 6, 17),
    (0x28, 0, 0, 58), (0x15, 3, 0, 8),
    (0x30, 0, 0, 62), (0x54, 0, 0, 0xc0), (0x15, 1, 0, 0x80),
    (0x06, 0, 0, 0x40000), (0x06, 0, 0, 0))


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
            code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in FILTER))
            made.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(FILTER), ctypes.addressof(code)))
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
        """As text, for a person who looks for what went wrong: SIP whole, the rest as one line."""
        with open(path, "w", encoding="utf-8") as file:
            for packet in list(self.packets):
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
    kind = frame[12:14]
    if kind == b"\x08\x00" and len(frame) >= 42 and frame[23] == socket.IPPROTO_UDP:
        start = 14 + (frame[14] & 15) * 4
        ends = [socket.inet_ntoa(frame[place:place + 4]) for place in (26, 30)]
    elif kind == b"\x86\xdd" and len(frame) >= 62 and frame[20] == socket.IPPROTO_UDP:
        start = 54
        ends = [f"[{socket.inet_ntop(socket.AF_INET6, frame[place:place + 16])}]" for place in (22, 38)]
    else:
        return None
    source_port, target_port, size = struct.unpack_from("!HHH", frame, start)
    return Packet(at, outgoing, (ends[0], source_port), (ends[1], target_port), frame[start + 8:start + size])
