public import NetworkTypes
public import STUN

/// What a server can be made of, from the addresses that a person named; and what they leave undone.
public struct BindingServerPlan: Sendable, Hashable {
  /// Endpoints with no second address.
  public private(set) var endpoints: [Endpoint]
  public private(set) var pairs: [STUNServerAddresses] = []

  /// Why the addresses that were named make no server. One sentence for a person.
  public struct Mistake: Error, Sendable, Hashable {
    public let sentence: String
  }

  /// - Parameters:
  ///   - listen: where to answer.
  ///   - alternate: second addresses with second ports. Each goes with the first in `listen` of its family that has none yet.
  public init(listen: [Endpoint], alternate: [Endpoint]) throws(Mistake) {
    endpoints = listen
    for second in alternate {
      let family = second.address.isV4 ? "IPv4" : "IPv6"
      guard let index = endpoints.firstIndex(where: { $0.address.isV4 == second.address.isV4 }) else {
        throw Mistake(sentence: "the alternate \(second) has no \(family) address to be the alternate of")
      }
      let first = endpoints.remove(at: index)
      do {
        pairs.append(try STUNServerAddresses(primary: first, alternate: second))
      } catch {
        throw Mistake(sentence: Self.sentence(error, first, second))
      }
    }
    var seen: Set<Endpoint> = []
    for endpoint in pairs.flatMap(\.all) + endpoints where endpoint.port != 0 && !seen.insert(endpoint).inserted {
      throw Mistake(sentence: "\(endpoint) is named twice; a pair takes both ports on both addresses")
    }
  }

  /// What clients will not be able to find out here, a sentence for each endpoint that this is true of.
  public var limitations: [String] {
    endpoints.map {
      "\($0) has no second address: it tells clients their own address and port. What their router lets in "
        + "(filtering), how it maps towards other addresses and its RFC 3489 class cannot be found out with it."
    }
  }

  private static func sentence(_ problem: STUNServerAddresses.Problem, _ first: Endpoint, _ second: Endpoint) -> String
  {
    switch problem {
    case .mixedFamilies: "\(first) and \(second) are of different families"
    case .sameAddress: "\(second) has the address of \(first); a second address of this machine is needed"
    case .samePort: "\(second) has the port of \(first); a second port is needed"
    case .wildcard:
      "\(first) and \(second) have to name addresses and ports: clients are told to send there, so a wildcard will not do"
    }
  }
}
