import NetworkTypes

/// What a trunk knows of its provider's signs of life, and how it is reminded of us.
struct ProviderWatch: Sendable, Codable {
  /// OPTIONS that was not answered yet.
  struct Question: Sendable, Codable {
    let branch: String
    @LatinText var bytes: [UInt8]
    let target: Endpoint
    /// When it left last.
    var sentAt: MonotonicInstant
    var repetitions = 0
  }

  /// A STUN request to the provider's SIP port (RFC 6223).
  struct Probe: Sendable, Codable {
    @Limbs var transactionID: UInt128
    let target: Endpoint
  }

  /// Whom all this is about; a trunk that goes to another target begins anew.
  var target: Endpoint?
  /// When a datagram of the target's address came last.
  var heardAt: MonotonicInstant?
  var optionsAt: MonotonicInstant?
  var question: Question?
  /// Only a target that has answered OPTIONS is judged by them.
  var answersOptions = false
  /// It answered OPTIONS, and does not any more although the line is up.
  var isSilent = false
  /// Seconds, where the provider agreed to STUN on its SIP port; 0 leaves the pace to us.
  var keep: Int?
  var probes: [Probe] = []
  var sequence: UInt32 = 0
}
