public import NetworkTypes

/// What the relay asks of the shell that has the sockets.
public enum RelayAction: Sendable, Equatable {
  /// Bind a socket; answered by `socketOpened` or `openFailed`.
  case openSocket(MediaPortID, MediaComponent, local: Endpoint)
  case closeSocket(MediaPortID, MediaComponent)
  case send([UInt8], MediaPortID, MediaComponent, to: Endpoint)
  /// Packets of this source are now relayed: the shell may keep a socket connected to it. `nil`: no such
  /// socket may be kept, until another source is named or packets of the latched one have been heard again.
  case connect(MediaPortID, MediaComponent, Endpoint?)
  case event(MediaEvent)
}

/// What the shell does with a packet that it holds in its own buffer.
public enum RelayVerdict: Sendable, Equatable {
  /// Send it to the peer of that lane, then report it by `packetRelayed`.
  case relay(toLane: Int)
  /// Give it to `packetReceived`, which decides.
  case undecided
}
