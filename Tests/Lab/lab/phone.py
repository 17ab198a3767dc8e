"""A telephone of the lab's own: registers, calls, answers, hangs up; its audio is counted by lab/rtp.py.

One thread owns its SIP socket and its table of timers. The methods that a case calls wait for what they ask for, with a
deadline, and fail when it does not come.
"""

import heapq
import itertools
import select
import socket
import threading
import time

from . import host, rtp, sip

T1, T2, GIVE_UP = 0.5, 4.0, 32.0


class Call:
    """One call, as seen by this telephone. `state`: calling, ringing, answered, ended."""

    def __init__(self, phone, outgoing):
        self.phone, self.outgoing = phone, outgoing
        self.state, self.status, self.ended_by = "calling", 0, None
        self.id = f"{sip.token()}@{phone.address}"
        self.local_tag, self.remote_tag = sip.token(6), None
        self.local_uri = self.remote_uri = self.target = ""
        self.routes, self.sequence = [], 1
        self.invite, self.answer = None, None   # outgoing: a transaction and our ACK; incoming: the request and our answer
        self.offer, self.reply = None, None     # the last re-INVITE of the other side, and what it got
        self.stream = rtp.Stream(phone.audio, phone.network, phone.place, phone.address, phone.follow)
        self.answered_at = None
        self.offers = 0             # re-INVITEs that came
        self.requested = ""         # the number in the Request-URI of an incoming call

    def wait_answered(self, seconds=8):
        host.wait_for(f"{self.phone.name}: the call is answered (last status {self.status or 'none'})",
                      lambda: self.state in ("answered", "ended"), seconds)
        host.require(self.state == "answered", f"{self.phone.name}: the call was refused with {self.status}")
        return self

    def wait_ended(self, seconds=5):
        host.wait_for(f"{self.phone.name}: the call has ended", lambda: self.state == "ended", seconds)
        return self

    def hang_up(self, seconds=5):
        self.phone.do(lambda: self.phone._bye(self))
        return self.wait_ended(seconds)

    def cancel(self, seconds=5):
        self.phone.do(lambda: self.phone._cancel(self))
        return self.wait_ended(seconds)


class Phone:
    def __init__(self, network, place, address, registrar, user, password="", domain=None, port=0, follow="latching",
                 name=None, answers=True, advertise=None):
        self.network, self.place, self.address = network, place, address
        self.registrar, self.user, self.password = registrar, user, password
        self.domain = domain or registrar[0]
        # What it calls itself in Via, Contact and SDP; its ports are its own, so this suits a NAT that keeps them.
        self.shown = advertise or address
        self.follow, self.name, self.answers = follow, name or user, answers
        self.codec = (8, "PCMA")    # the one that it has, by payload type and name
        self.refuses = {}           # the number that was called: the status that it gets instead of an answer
        self.calls, self.incoming, self.transactions = {}, [], {}
        self.requests = []          # methods of requests that came, for the cases that count
        self.registered = None      # the status of the last REGISTER
        self._timers, self._order, self._jobs = [], itertools.count(), []
        self.audio = rtp.Audio()
        self.socket = network.socket(place, lambda: bound(address, port))
        self.port = self.socket.getsockname()[1]
        self._wake, self._woken = socket.socketpair()
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # What cases call.

    def register(self, expires=300, seconds=8, expect=200):
        self.registered = None
        self.do(lambda: self._register(expires))
        host.wait_for(f"{self.name}: an answer to REGISTER", lambda: self.registered, seconds)
        host.require(self.registered == expect, f"{self.name}: REGISTER got {self.registered}, expected {expect}")
        return self

    def dial(self, number):
        call = Call(self, True)
        self.do(lambda: self._dial(call, number))
        return call

    def wait_incoming(self, count=1, seconds=8):
        """The `count`-th call that came since the start, answered."""
        host.wait_for(f"{self.name}: call {count} comes in", lambda: len(self.incoming) >= count, seconds)
        return self.incoming[count - 1].wait_answered()

    def options(self, uri, to, seconds=4):
        """The status of the answer to an OPTIONS sent to the endpoint `to`; 0 when none came."""
        seen = []
        self.do(lambda: self._request("OPTIONS", uri, f"<{uri}>", to, lambda r: r.get("Via") and seen.append(r.status),
                                      give_up=seconds))
        try:
            host.wait_for("OPTIONS", lambda: seen, seconds)
        except host.Failed:
            return 0
        return seen[0]

    def close(self):
        self._over = True
        self._wake.send(b"x")
        self._thread.join(2)
        self.audio.close()
        self.socket.close()

    def do(self, job):
        self._jobs.append(job)
        self._wake.send(b"x")

    # The thread.

    def _run(self):
        while not self._over:
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                heapq.heappop(self._timers)[2]()
            while self._jobs:
                self._jobs.pop(0)()
            wait = min(self._timers[0][0] - now, 1) if self._timers else 1
            ready = select.select([self.socket, self._woken], [], [], max(wait, 0))[0]
            if self._woken in ready:
                self._woken.recv(64)
            if self.socket in ready:
                data, origin = self.socket.recvfrom(65535)
                try:
                    message = sip.Message.parse(data)
                    if message.is_request:
                        self._request_received(message, origin)
                    else:
                        self._response_received(message)
                except (ValueError, IndexError):
                    pass                # keepalives and noise

    def _after(self, seconds, job):
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), job))

    def _send(self, message, to):
        self.socket.sendto(message.encode(), to)

    def _via(self, branch):
        return f"SIP/2.0/UDP {sip.bracketed(self.shown)}:{self.port};branch={branch};rport"

    def _contact(self):
        return f"<sip:{self.user}@{sip.bracketed(self.shown)}:{self.port}>"

    def _transact(self, message, to, on_response, give_up=GIVE_UP):
        """Sends and repeats a request until it is answered; an INVITE stops repeating at the first provisional."""
        entry = {"on": on_response, "message": message, "to": to, "done": False, "heard": False}
        self.transactions[message.branch, message.method] = entry
        end = time.monotonic() + give_up

        def repeat(pause):
            if entry["done"] or self._over or (entry["heard"] and message.method == "INVITE"):
                return
            if time.monotonic() >= end:
                entry["done"] = True
                on_response(sip.Message("SIP/2.0 408 Timeout", [("CSeq", message.get("CSeq"))]))
                return
            self._send(message, to)
            self._after(pause, lambda: repeat(min(pause * 2, T2)))

        repeat(T1)
        return entry

    def _request(self, method, uri, to_header, to, on_response, call_id=None, sequence=1, tag=None, extra=(), body=b"",
                 give_up=GIVE_UP):
        headers = [("Via", self._via("z9hG4bK" + sip.token())), ("Max-Forwards", "70"),
                   ("From", f"<sip:{self.user}@{self.domain}>;tag={tag or sip.token(6)}"), ("To", to_header),
                   ("Call-ID", call_id or sip.token()), ("CSeq", f"{sequence} {method}"), ("Contact", self._contact()),
                   ("User-Agent", "lab phone"), *extra]
        return self._transact(sip.Message(f"{method} {uri} SIP/2.0", headers, body), to, on_response, give_up)

    def _register(self, expires):
        uri, call_id, tag = f"sip:{self.domain}", sip.token(), sip.token(6)

        def send(sequence, extra):
            def heard(response):
                if response.status in (401, 407) and sequence == 1:
                    send(2, credentials(response, "REGISTER", uri, self))
                elif response.status >= 200:
                    self.registered = response.status
            self._request("REGISTER", uri, f"<sip:{self.user}@{self.domain}>", self.registrar, heard, call_id, sequence,
                          tag, [("Expires", str(expires)), *extra])
        send(1, [])

    # Calls out.

    def _dial(self, call, number):
        uri = f"sip:{number}@{self.domain}"
        call.local_uri, call.remote_uri = f"<sip:{self.user}@{self.domain}>;tag={call.local_tag}", f"<{uri}>"
        self.calls[call.id] = call
        body = sip.sdp(self.shown, call.stream.port, 1000, self.codec)

        def send(sequence, extra):
            call.sequence = sequence

            def heard(response):
                call.status = response.status
                if 100 < response.status < 200 and call.state == "calling":
                    call.state = "ringing"
                elif 200 <= response.status < 300:
                    self._answered(call, response)
                elif response.status >= 300:
                    if response.get("Via"):
                        self._acknowledge_refusal(call, response)
                    if response.status in (401, 407) and sequence == 1:
                        send(2, credentials(response, "INVITE", uri, self))
                    else:
                        self._end(call, "remote")
            extra = [("Content-Type", "application/sdp"), ("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS"), *extra]
            call.invite = self._request("INVITE", uri, f"<{uri}>", self.registrar, heard, call.id, sequence,
                                        call.local_tag, extra, body)
        send(1, [])

    def _answered(self, call, response):
        call.remote_uri = response.get("To")
        call.remote_tag = sip.parameter(response.get("To"), "tag")
        call.target = sip.uri_of(response.get("Contact"))
        call.routes = [r.strip() for line in response.all("Record-Route") for r in line.split(",")][::-1]
        ack = self._in_dialog(call, "ACK", response.sequence)
        call.answer = ack
        self._send(ack, self._next_hop(call))
        if call.state == "ended":       # answered while we cancelled
            call.state = "answered"
            self._bye(call)
        elif call.state != "answered":
            self._talk(call, response.body)

    def _acknowledge_refusal(self, call, response):
        invite = call.invite["message"]
        headers = [("Via", invite.get("Via")), ("Max-Forwards", "70"), ("From", invite.get("From")),
                   ("To", response.get("To")), ("Call-ID", call.id), ("CSeq", f"{invite.sequence} ACK")]
        self._send(sip.Message("ACK " + invite.start.split(" ", 1)[1], headers), call.invite["to"])

    def _cancel(self, call):
        invite = call.invite["message"]
        headers = [(n, invite.get(n)) for n in ("Via", "Max-Forwards", "From", "To", "Call-ID")]
        headers.append(("CSeq", f"{invite.sequence} CANCEL"))
        self._transact(sip.Message("CANCEL " + invite.start.split(" ", 1)[1], headers), call.invite["to"], lambda r: None)

    def _talk(self, call, body):
        call.stream.aim(sip.sdp_target(body))
        call.stream.send()
        call.answered_at = time.monotonic()
        call.state = "answered"

    def _end(self, call, who):
        if call.state != "ended":
            call.ended_by = who
            call.state = "ended"
            call.stream.stop()

    # Within a dialog.

    def _in_dialog(self, call, method, sequence):
        headers = [("Via", self._via("z9hG4bK" + sip.token())), ("Max-Forwards", "70"),
                   *[("Route", r) for r in call.routes], ("From", call.local_uri), ("To", call.remote_uri),
                   ("Call-ID", call.id), ("CSeq", f"{sequence} {method}"), ("Contact", self._contact())]
        return sip.Message(f"{method} {call.target} SIP/2.0", headers)

    def _next_hop(self, call):
        return sip.destination(sip.uri_of(call.routes[0]) if call.routes else call.target)

    def _bye(self, call):
        call.sequence += 1
        bye = self._in_dialog(call, "BYE", call.sequence)

        def heard(response):
            if response.status >= 200:
                call.status = response.status
                self._end(call, "local")
        self._transact(bye, self._next_hop(call), heard)

    # What others ask of us.

    def _response_received(self, response):
        entry = self.transactions.get((response.branch, response.method))
        if not entry:
            return
        if entry["done"]:
            call = self.calls.get(response.get("Call-ID"))
            if call and response.method == "INVITE" and response.status < 300 and call.answer:
                self._send(call.answer, self._next_hop(call))       # our ACK was lost
            return
        entry["heard"] = True
        entry["done"] = response.status >= 200
        entry["on"](response)

    def _request_received(self, request, origin):
        self.requests.append(request.method)
        call = self.calls.get(request.get("Call-ID"))
        if request.method == "INVITE":
            self._invited(request, origin, call)
        elif request.method == "ACK":
            if call and call.state != "ended":
                call.acknowledged = True
        elif request.method == "BYE":
            self._send(sip.Message.answering(request, 200 if call else 481), origin)
            if call:
                self._end(call, "remote")
        elif request.method == "CANCEL":
            self._send(sip.Message.answering(request, 200, tag=call.local_tag if call else None), origin)
            if call and call.state == "ringing":
                self._send(sip.Message.answering(call.invite, 487, tag=call.local_tag), origin)
                self._end(call, "remote")
        elif request.method in ("OPTIONS", "NOTIFY", "INFO"):
            self._send(sip.Message.answering(request, 200, tag=sip.token(6)), origin)
        else:
            self._send(sip.Message.answering(request, 501, tag=sip.token(6)), origin)

    def _invited(self, request, origin, call):
        if call and sip.parameter(request.get("To"), "tag"):
            self._invited_again(request, origin, call)
            return
        if call:                                            # repeated
            if call.answer:
                self._send(call.answer, origin)
            return
        status = self._refusal(request)
        if status:
            self._send(sip.Message.answering(request, status, tag=sip.token(6)), origin)
            return
        call = Call(self, False)
        call.id, call.invite, call.state = request.get("Call-ID"), request, "ringing"
        call.local_uri = f"{request.get('To')};tag={call.local_tag}"
        call.remote_uri = request.get("From")
        call.target = sip.uri_of(request.get("Contact"))
        call.routes = [r.strip() for line in request.all("Record-Route") for r in line.split(",")]
        call.requested = sip.uri_of(request.start.split(" ")[1]).split("@")[0].removeprefix("sip:")
        call.acknowledged = False
        self.calls[call.id] = call
        self.incoming.append(call)
        self._send(sip.Message.answering(request, 180, tag=call.local_tag, extra=[("Contact", self._contact())]), origin)
        if self.answers:
            self._after(0.2, lambda: self._pick_up(call, origin))

    def _refusal(self, request):
        """The status that a call gets instead of an answer; None where it may ring."""
        number = sip.uri_of(request.get("To")).split("@")[0].removeprefix("sip:")
        offered = sip.sdp_formats(request.body)
        return self.refuses.get(number) or (488 if offered and str(self.codec[0]) not in offered else None)

    def _invited_again(self, request, origin, call):
        if call.offer and request.sequence == call.offer.sequence:
            self._send(call.reply, origin)
        elif call.state == "answered":
            call.offers += 1
            call.target = sip.uri_of(request.get("Contact")) or call.target
            call.stream.aim(sip.sdp_target(request.body) or call.stream.target)
            # What was offered before is offered again, as the same session.
            body = sip.sdp(self.shown, call.stream.port, 1000 if call.outgoing else 2000, self.codec)
            call.offer, call.reply = request, self._ok(request, call, body)
            self._send(call.reply, origin)
        else:
            self._send(sip.Message.answering(request, 481), origin)

    def _ok(self, request, call, body):
        extra = [("Contact", self._contact()), ("Content-Type", "application/sdp")]
        return sip.Message.answering(request, 200, tag=call.local_tag, extra=extra, body=body)

    def _pick_up(self, call, origin):
        if call.state != "ringing":
            return
        call.answer = self._ok(call.invite, call, sip.sdp(self.shown, call.stream.port, 2000, self.codec))
        self._talk(call, call.invite.body)
        end = time.monotonic() + GIVE_UP

        def repeat(pause):
            if call.acknowledged or call.state == "ended" or self._over or time.monotonic() > end:
                return
            self._send(call.answer, origin)
            self._after(pause, lambda: repeat(min(pause * 2, T2)))
        repeat(T1)


def credentials(response, method, uri, phone):
    proxy = response.status == 407
    challenge = response.get("Proxy-Authenticate" if proxy else "WWW-Authenticate")
    value = sip.authorization(challenge, method, uri, phone.user, phone.password)
    return [("Proxy-Authorization" if proxy else "Authorization", value)]


def bound(address, port):
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, port))
    return made
