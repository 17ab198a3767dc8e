"""SIP messages as text: enough of RFC 3261 for telephones that test others, and written without looking at ours."""

import hashlib
import os
import re

COMPACT = {"v": "Via", "f": "From", "t": "To", "i": "Call-ID", "m": "Contact", "l": "Content-Length", "c": "Content-Type"}
REASONS = {100: "Trying", 180: "Ringing", 200: "OK", 404: "Not Found", 481: "Call/Transaction Does Not Exist",
           486: "Busy Here", 487: "Request Terminated", 501: "Not Implemented"}


class Message:
    def __init__(self, start, headers=(), body=b""):
        self.start, self.headers, self.body = start, list(headers), body

    @classmethod
    def parse(cls, data):
        head, _, body = data.partition(b"\r\n\r\n")
        lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "replace")).split("\r\n")
        headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                headers.append((COMPACT.get(name.strip().lower(), name.strip()), value.strip()))
        if len(lines[0].split(" ", 2)) < 2:
            raise ValueError("not SIP")
        return cls(lines[0], headers, body)

    @classmethod
    def answering(cls, request, status, tag=None, extra=(), body=b""):
        headers = []
        for name, value in request.headers:
            if name.lower() in ("via", "from", "call-id", "cseq", "record-route"):
                headers.append((name, value))
            elif name.lower() == "to":
                headers.append((name, value if "tag=" in value or not tag else f"{value};tag={tag}"))
        return cls(f"SIP/2.0 {status} {REASONS.get(status, 'Status')}", headers + list(extra), body)

    @property
    def is_request(self):
        return not self.start.startswith("SIP/2.0")

    @property
    def method(self):
        return self.start.split(" ")[0] if self.is_request else self.get("CSeq").split()[-1]

    @property
    def status(self):
        return 0 if self.is_request else int(self.start.split(" ")[1])

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def get(self, name):
        return next(iter(self.all(name)), "")

    @property
    def sequence(self):
        return int(self.get("CSeq").split()[0])

    @property
    def branch(self):
        return parameter(self.get("Via").split(",")[0], "branch")

    def encode(self):
        lines = [self.start] + [f"{n}: {v}" for n, v in self.headers if n.lower() != "content-length"]
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


def parameter(text, name):
    found = re.search(rf'[;,\s]{name}\s*=\s*"?([^;,">\s]+)', text, re.I)
    return found.group(1) if found else None


def uri_of(text):
    """The URI of a name-addr or addr-spec."""
    found = re.search(r"<([^>]+)>", text)
    return found.group(1) if found else text.split(";")[0].strip()


def destination(uri, default_port=5060):
    """(address, port) of a sip: URI that names an address."""
    host = re.sub(r"^sips?:", "", uri).split("@")[-1].split(";")[0].split("?")[0]
    found = re.fullmatch(r"(?:\[([^]]+)\]|([^:]*))(?::(\d+))?", host)
    return found.group(1) or found.group(2), int(found.group(3) or default_port)


def bracketed(address):
    """As a URI writes it."""
    return f"[{address}]" if ":" in address else address


def token(count=8):
    return os.urandom(count).hex()


def authorization(challenge, method, uri, username, password):
    """The value of Authorization for a Digest challenge, with qop=auth where it is offered."""
    def field(name):
        found = re.search(rf'\b{name}\s*=\s*(?:"([^"]*)"|([^\s,]+))', challenge, re.I)
        return (found.group(1) or found.group(2) or "") if found else None

    algorithm = field("algorithm") or "MD5"
    digest = hashlib.sha256 if algorithm.upper() == "SHA-256" else hashlib.md5

    def hashed(text):
        return digest(text.encode()).hexdigest()

    realm, nonce = field("realm"), field("nonce")
    secret, action = hashed(f"{username}:{realm}:{password}"), hashed(f"{method}:{uri}")
    parts = f'username="{username}", realm="{realm}", nonce="{nonce}", uri="{uri}", algorithm={algorithm}'
    if "auth" in re.split(r"[,\s]+", field("qop") or ""):
        own = token()
        parts += f', qop=auth, nc=00000001, cnonce="{own}"'
        answer = hashed(f"{secret}:{nonce}:00000001:{own}:auth:{action}")
    else:
        answer = hashed(f"{secret}:{nonce}:{action}")
    if field("opaque"):
        parts += f', opaque="{field("opaque")}"'
    return f'Digest {parts}, response="{answer}"'


def sdp(address, port, session, codec=(8, "PCMA")):
    """`codec` is its payload type and its name."""
    place = f"IN IP{6 if ':' in address else 4} {address}"
    lines = ["v=0", f"o=- {session} 1 {place}", "s=-", f"c={place}", "t=0 0",
             f"m=audio {port} RTP/AVP {codec[0]} 101", f"a=rtpmap:{codec[0]} {codec[1]}/8000",
             "a=rtpmap:101 telephone-event/8000", "a=ptime:20", "a=sendrecv"]
    return "\r\n".join(lines).encode() + b"\r\n"


def sdp_formats(body):
    """The payload types of the first audio stream."""
    found = re.search(rb"^m=audio \d+ \S+ ([\d ]+)", body, re.M)
    return found.group(1).decode().split() if found else []


def sdp_target(body):
    """(address, port) that the first audio stream wants its RTP at; None when it was refused."""
    text = body.decode("utf-8", "replace")
    port = re.search(r"^m=audio (\d+)", text, re.M)
    if not port or port.group(1) == "0":
        return None
    session, _, media = text.partition("\nm=")
    address = re.search(r"^c=IN IP[46] (\S+)", "m=" + media, re.M) or re.search(r"^c=IN IP[46] (\S+)", session, re.M)
    return (address.group(1), int(port.group(1))) if address else None
