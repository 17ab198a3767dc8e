import NetworkTypes

/// What the router says of its address, and what is wrong with it.
extension MappingClient {
  mutating func set(_ finding: RouterFinding, _ holds: Bool, news: inout [MappingNews]) {
    let position = findings.firstIndex(of: finding)
    if holds, position == nil {
      findings.append(finding)
      if findings.count > 32 { findings.removeFirst() }
      news.append(.finding(finding))
    } else if !holds, let position {
      findings.remove(at: position)
    }
  }

  /// The router told its external address, by whatever protocol.
  mutating func addressTold(_ address: IPAddress, now: MonotonicInstant, news: inout [MappingNews]) {
    guard !address.isUnspecified else { return }
    isAddressFresh = true
    guard address != externalAddress else { return }
    let before = externalAddress
    externalAddress = address
    if before != nil { suspect(now: now, news: &news) }
    // Without another view of it, only a private one says something by itself.
    if seenAddress == nil { judgeAddress(news: &news) } else { judgeLater(now: now) }
    for lease in leases where lease.isHeld { news.append(.leaseChanged(lease.id)) }
  }

  mutating func judgeAddress(news: inout [MappingNews]) {
    let before = findings
    for finding in findings {
      switch finding {
      case .privateAddress, .otherAddress: set(finding, false, news: &news)
      default: break
      }
    }
    guard let told = externalAddress else { return }
    var found: RouterFinding?
    // An office in an office, and the lab, may have private addresses on both sides of everything.
    if !told.isPublic, seenAddress?.isPublic ?? true {
      found = .privateAddress(told)
    } else if let seen = seenAddress, seen != told, seen.isV4 == told.isV4 {
      found = .otherAddress(told: told, seen: seen)
    }
    guard let found else { return }
    // What was said stays said.
    if before.contains(found) { findings.append(found) } else { set(found, true, news: &news) }
    for lease in leases where lease.isHeld { news.append(.leaseChanged(lease.id)) }
  }

  /// Something that the router said puts the public address in doubt; a shower of it counts once.
  mutating func suspect(now: MonotonicInstant, news: inout [MappingNews]) {
    if let hintedAt, now - hintedAt < .milliseconds(250) { return }
    hintedAt = now
    news.append(.addressSuspected)
  }
}
