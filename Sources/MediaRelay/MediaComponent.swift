import RTP

/// One of the two sockets of a media port.
public enum MediaComponent: UInt8, Hashable, Sendable, CaseIterable {
  case rtp, rtcp
}

/// What a port does with a packet, by what the packet is (RFC 7983) and on which of its sockets it came.
///
/// | | RTP socket | RTCP socket |
/// | --- | --- | --- |
/// | RTP | media | discarded |
/// | RTCP | discarded: we never take up `rtcp-mux` | control |
/// | STUN | an answer to our own request, else discarded | the same |
/// | DTLS | passed on from a known source | discarded |
/// | other | discarded | discarded |
///
/// *Media* and *control* are then judged by their source:
///
/// | state of the socket | source | what happens |
/// | --- | --- | --- |
/// | no peer set | any | discarded |
/// | peer set, `latching` off | another address than the SDP's | discarded |
/// | RTP latched (for RTCP) | neither that address nor the SDP's | discarded |
/// | nothing latched yet | any other | latched |
/// | latched | the latched one | accepted |
/// | latched elsewhere than at the SDP's address | the SDP's address | latched anew at once |
/// | latched | the SDP's very endpoint | latched anew at once |
/// | latched, RTCP only | the address that RTP is latched to | latched anew at once |
/// | latched, silent for ≥ 100 ms | any other, same SSRC | latched anew: the peer's NAT gave it another mapping |
/// | latched, silent for ≥ 500 ms (RTCP: 15 s) | any other | latched anew |
/// | latched | any other | discarded: nobody takes a stream that flows |
///
/// What was accepted goes to the target of the coupled port: where that is latched to, else where its SDP says; nowhere
/// while that SDP has no address, or while the port plays something of its own.
enum PacketHandling: Hashable, Sendable {
  case media, control, stunAnswer, passFromKnown, discard

  init(_ kind: PacketKind, on component: MediaComponent) {
    switch (kind, component) {
    case (.rtp, .rtp): self = .media
    case (.rtcp, .rtcp): self = .control
    case (.stun, _): self = .stunAnswer
    case (.dtls, .rtp): self = .passFromKnown
    case (.rtp, .rtcp), (.rtcp, .rtp), (.dtls, .rtcp), (.other, _): self = .discard
    }
  }
}
