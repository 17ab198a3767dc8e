package import NetworkTypes
package import SIPSyntax

/// What came back of a request of ours otherwise than it was sent.
///
/// A server copies Via, From, Call-ID and CSeq into its response as they are (RFC 3261 §8.2.6.2), so a difference is the work
/// of a box in between: an application level gateway for SIP. Registrars do write contacts otherwise; a contact is only
/// evidence where it names our address inside, which the registrar was never told.
package struct SIPAlteration: Hashable, Sendable, Codable {
  package enum Field: String, Codable, Sendable, CaseIterable {
    case via = "Via"
    case callID = "Call-ID"
    case fromTag = "the tag of From"
    case contact = "Contact"
  }

  package var field: Field
  package var sent: String
  package var returned: String

  /// As the part of a sentence, fit for a log.
  package var sentence: String {
    "\(field.rawValue) was sent as \(Self.shown(sent)) and came back as \(Self.shown(returned))"
  }

  private static func shown(_ text: String) -> String { String(text.escapedForLog().prefix(80)) }
}

extension SIPAlteration {
  /// Compares a response with the request that it answers; `nil` where nothing was altered.
  ///
  /// - Parameter inside: our own address and port, on which both passed, where no registrar was told of it.
  package init?(_ response: SIPMessage, to request: SIPMessage, inside: Endpoint?) {
    guard let sent = try? request.topVia(), let returned = try? response.topVia(), sent.branch == returned.branch else {
      return nil
    }
    if let before = Self.place(sent), let after = Self.place(returned), before != after {
      self.init(field: .via, sent: before.description, returned: after.description)
    } else if let before = request.callID, let after = response.callID, before != after {
      self.init(field: .callID, sent: before, returned: after)
    } else if let before = request.fromTag, let after = response.fromTag, before != after {
      self.init(field: .fromTag, sent: before, returned: after)
    } else if let inside, returned.received.flatMap({ IPAddress($0) }) != inside.address,
      let (before, after) = Self.contact(response, request, inside)
    {
      self.init(field: .contact, sent: before, returned: after)
    } else {
      return nil
    }
  }

  /// Whether an answer to this request would show a box that writes addresses otherwise: what is written inside as it is
  /// outside it has nothing to do with.
  package static func shows(_ request: SIPMessage, inside: IPAddress) -> Bool {
    guard let via = try? request.topVia() else { return false }
    return via.address?.unmapped != inside
  }

  /// `sent-by`, where it is an address; RFC 3261 §18.1.1: 5060 where no port is written.
  private static func place(_ via: Via) -> Endpoint? {
    via.address.map { Endpoint($0.unmapped, port: via.port ?? 5060) }
  }

  /// Our binding, known by its instance, at our address inside although we named another. Where the one that we named is
  /// listed too, or is being removed, an earlier process of ours has left the other.
  private static func contact(
    _ response: SIPMessage, _ request: SIPMessage, _ inside: Endpoint
  ) -> (String, String)? {
    guard request.method == .register, let sent = (try? request.contacts())?.first,
      let instance = sent.parameters["+sip.instance"], sent.uri.address != inside.address,
      sent.parameters["expires"] != "0", let listed = try? response.contacts(),
      !listed.contains(where: { $0.uri.isEquivalent(to: sent.uri) })
    else { return nil }
    let mine = listed.first {
      $0.parameters["+sip.instance"] == instance && $0.uri.address == inside.address && $0.uri.user == sent.uri.user
    }
    return mine.map { ("\(sent.uri)", "\($0.uri)") }
  }
}
