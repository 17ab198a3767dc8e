package import NetworkTypes

/// Two STUN servers that see our packets come from different addresses, at the same time and from the same port.
package struct UplinkDisagreement: Sendable, Equatable {
  /// The one that showed what is known.
  package let server: Endpoint
  package let sees: Endpoint
  package let other: Endpoint
  package let otherSees: Endpoint
}
