import CallControl
import MediaRelay
import NATDiscovery
public import NetworkTypes
import OrderedCollections
import SIPDialog
import SIPSyntax
import SIPTransaction

/// What runs now, for people and programs.
extension LinkCore {
  public func status(now: MonotonicInstant) -> LinkStatus {
    var status = LinkStatus()
    status.uplinks = uplinks.indices.map { uplinkStatus($0) }
    status.trunks = trunks.indices.filter { !trunks[$0].isRemoved }.map { trunkStatus($0, now: now) }
    status.phones = configuration.phones.map { phoneStatus($0, now: now) }
    status.calls = calls.values.filter { $0.machine.phase != .ended }.map { callStatus($0) }
    return status
  }

  /// Everything counted so far, with what is open now.
  public func metrics(now: MonotonicInstant) -> LinkCounters {
    var result = counters
    for trunk in trunks where !trunk.isRemoved {
      let current = trunk.configuration.enabled ? trunk.unregisteredSince.map { (now - $0).inSeconds } ?? 0 : 0
      result.unreachableSeconds[trunk.name] = trunk.unregisteredSeconds + current
    }
    result.transactions = transactions.clientCount + transactions.serverCount
    result.dialogs = dialogs.count
    result.mediaPorts = portLedger.inUse
    result.callTimers = timers.count { timer in
      switch timer {
      case .stage, .media, .repair, .audio, .pulse: true
      case .deafPorts: true
      case .resolve, .service, .targetKeepalive, .targetSilence, .discovery, .blocked, .advance, .names,
        .bindings, .doctor,
        .stopping,
        .deadState, .portAgain, .failOver, .failBack, .hostChange, .expectedCut, .tribunal:
        false
      }
    }
    return result
  }

  /// What is held for calls now, by name; empty when all of it was given back. A transaction of ours that has had its
  /// final response still absorbs repetitions for a while, and registrations have transactions too.
  package var leftovers: [String] {
    let held = [
      ("calls", calls.count), ("dialogs", dialogs.count), ("client owners", clientOwners.count),
      ("server owners", serverOwners.count), ("media owners", mediaOwners.count),
      ("media ports", portLedger.inUse), ("client transactions", transactions.clientCount),
      ("server transactions", transactions.serverCount), ("transaction timers", transactions.timerCount),
    ]
    return held.filter { $0.1 != 0 }.map { "\($0.0): \($0.1)" }
  }

  /// The trunks that should be registered and are not.
  public var unregisteredTrunks: [String] {
    trunks.filter { $0.configuration.enabled && !$0.isUsable }.map(\.name)
  }

  private func uplinkStatus(_ index: Int) -> UplinkStatus {
    let uplink = uplinks[index]
    var status = UplinkStatus(name: uplink.configuration.name)
    let ports = sockets.filter { $0.side == .uplink(index) && $0.isInUse }
    if let fixed = uplink.configuration.publicAddress {
      let port = ports.first { $0.configured.address.isV4 == fixed.isV4 }?.local?.port ?? 0
      status.publicAddress = EndpointStatus(ip: fixed.description, port: port)
    } else if let mapping = ports.compactMap({ $0.stun?.mapping }).first {
      status.publicAddress = EndpointStatus(ip: mapping.address.description, port: mapping.port)
    }
    status.previousAddresses = uplink.previousAddresses
    let findings = findings(index)
    status.natType = findings.natType.rawValue
    status.mapping = findings.mapping.rawValue
    status.filtering = findings.filtering.rawValue
    status.hairpin = findings.hairpin.rawValue
    status.bindingLifetimeSeconds = findings.bindingLifetime.map(Double.init)
    status.portMapping = portMappingStatus(index)
    status.lastChangeAt = uplink.lastChangeAt?.description
    status.keepalives = sockets.reduce(0) { $0 + ($1.side == .uplink(index) ? $1.stun?.sent ?? 0 : 0) }
    status.lastError = uplink.lastError
    return status
  }

  private func trunkStatus(_ index: Int, now: MonotonicInstant) -> TrunkStatus {
    let trunk = trunks[index]
    var status = TrunkStatus(
      name: trunk.name, state: trunk.status, registrar: trunk.configuration.registrar.description,
      calls: callCount(trunk: index))
    status.contact = trunk.contact?.description
    status.lastError = trunk.lastError
    if let socket = trunk.socket {
      switch sockets[socket.rawValue].side {
      case .lan: status.uplink = "lan"
      case .uplink(let uplink): status.uplink = uplinks[uplink].configuration.name
      }
    }
    if case .registered(let until)? = trunk.registration?.state { status.expiresAt = wallTime(until).description }
    return status
  }

  private func phoneStatus(_ phone: PhoneConfiguration, now: MonotonicInstant) -> PhoneStatus {
    var status = PhoneStatus(extension: phone.extensionNumber, name: phone.name)
    status.contacts = location.bindings(of: phone.extensionNumber, now: now).map { binding in
      PhoneStatus.ContactStatus(
        address: binding.path.remote.description, userAgent: binding.userAgent,
        expiresAt: wallTime(binding.expiresAt).description, lastSeenAt: wallTime(binding.lastSeenAt).description)
    }
    if let address = phone.address { status.contacts.append(.init(address: address.description)) }
    return status
  }

  private func callStatus(_ call: CallState) -> CallStatus {
    var status = CallStatus(
      id: call.identifier, direction: call.direction.rawValue, from: call.callerNumber, to: call.calledNumber,
      state: call.answeredAt != nil ? "answered" : call.isRinging ? "ringing" : "setup",
      startedAt: call.startedAt.description)
    status.trunk = call.trunk
    status.answeredAt = call.answeredAt?.description
    status.legs = call.legs.filter { !$0.isEnded }.map { leg in
      var result = CallStatus.LegStatus(
        callID: leg.dialog?.callID ?? leg.invite?.callID ?? "", remote: leg.path.remote.description)
      result.codec = leg.codec
      for stream in leg.streams.compactMap({ $0 }) {
        result.packetsIn &+= stream.counters.packetsIn
        result.packetsOut &+= stream.counters.packetsOut
        result.lostIn &+= stream.counters.lostIn
        result.jitterMs = max(result.jitterMs, stream.counters.jitterMilliseconds)
        result.lastAudioGapMs = max(result.lastAudioGapMs, stream.counters.lastAudioGapMilliseconds)
      }
      return result
    }
    return status
  }
}
