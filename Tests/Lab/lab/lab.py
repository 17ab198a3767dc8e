"""One laboratory: a network, what runs in it, a folder for logs. Use it as `with Lab(…) as lab`; it cleans up after itself."""

import os
import threading

from . import capture, host, network, phone, provider


class Lab:
    def __init__(self, prefix, folder, nat="portrestricted", **options):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.prefix = folder, prefix
        self.phones, self.captures, self.daemons = [], [], []
        self.network = network.Network(prefix, nat, **options)
        # What a person wants to read when a case fails; audio is not in it.
        self.records = {place: self.capture(*place) for place in (("office", "eth0"), ("office", "lo"), ("provider", "eth0"))}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in self.captures + self.phones:
            each.close()
        for place, record in self.records.items():
            record.write(self.file(f"{place[0]}-{place[1]}.txt"))
        self.network.close()

    def file(self, name):
        return os.path.join(self.folder, name)

    def provider(self, latching=False, stun="coturn", date=None):
        made = provider.Provider(self, latching, ipv6=self.network.prefix_6 is not None, date=date)
        if stun:
            made.start_stun(stun)
        return made

    def phone(self, user, password, registrar, place="phones", address=network.PHONES, **options):
        made = phone.Phone(self.network, place, address, registrar, user, password, **options)
        self.phones.append(made)
        return made

    def capture(self, place="office", device="eth0"):
        made = capture.Capture(self.network, place, device)
        self.captures.append(made)
        return made


def check_audio(*streams, at_least=490):
    """Every stream has to have heard that many packets."""
    for name, stream in streams:
        host.require(stream.received >= at_least,
                     f"{name} heard {stream.received} RTP packets (its peer is to send 50 a second), expected {at_least}; "
                     f"it sent {stream.sent}")


def guarded(failures, work, *arguments):
    """Calls `work`, and notes what it says when it fails."""
    try:
        work(*arguments)
    except Exception as error:
        failures.append(str(error) if isinstance(error, host.Failed) else repr(error))


def side_by_side(lab_arguments, letters, work, failures):
    """Calls all of `work`, (function, argument…), on threads of their own. They make labs whose prefixes are the case's and one of
    the letters."""
    threads = [threading.Thread(target=guarded, args=(failures, *each), daemon=True) for each in work]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for letter in letters:
            network.remove(lab_arguments["prefix"] + letter)
