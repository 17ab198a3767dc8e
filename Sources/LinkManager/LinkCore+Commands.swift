import CallControl
public import NetworkTypes
import OrderedCollections
import SIPDialog
import SIPTransaction

/// What people ask of a running link.
extension LinkCore {
  /// Switches a trunk on or off; answers whether there is one of this name.
  public mutating func setTrunk(
    _ name: String, enabled: Bool, now: MonotonicInstant, into actions: inout [LinkAction]
  ) -> Bool {
    guard let index = trunks.firstIndex(where: { $0.name == name && !$0.isRemoved }) else { return false }
    guard trunks[index].configuration.enabled != enabled else { return true }
    trunks[index].configuration.enabled = enabled
    if enabled {
      trunks[index].contact = nil
      trunks[index].registration = nil
      trunkWell(index)
      startTrunk(index, now: now, into: &actions)
    } else {
      stopTrunk(index, now: now, into: &actions)
      trunks[index].status = .disabled
      trunks[index].lastError = nil
    }
    actions.append(.statusChanged)
    return true
  }

  /// Registers a trunk now, whatever its timers say; answers whether there is one of this name.
  public mutating func register(
    _ name: String, now: MonotonicInstant, into actions: inout [LinkAction]
  ) -> Bool {
    guard let index = trunks.firstIndex(where: { $0.name == name }) else { return false }
    var steps: [RegistrationAction] = []
    trunks[index].registration?.refresh(isAskedByPerson: true, now: now, random: &random, into: &steps)
    perform(steps, trunk: index, now: now, into: &actions)
    return true
  }

  /// Takes a configuration that was read again. What did not change is not touched, and no call is dropped; bindings of
  /// uplinks and of the office side need a restart, and the log says so.
  public mutating func reconfigure(
    _ new: LinkConfiguration, now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    if new.uplinks.map(\.name) != configuration.uplinks.map(\.name)
      || new.uplinks.map(\.bind) != configuration.uplinks.map(\.bind) || new.lan.bind != configuration.lan.bind
      || new.media.ports != configuration.media.ports
    {
      actions.append(.log(.warning, "changed bindings or media ports take effect with the next start"))
    }
    let old = configuration
    configuration = new
    configuration.lan.bind = old.lan.bind
    configuration.lan.interfaces = new.lan.interfaces.isEmpty ? old.lan.interfaces : new.lan.interfaces
    location.retain(new.phones.map(\.extensionNumber) + new.pbxs.compactMap(\.username))
    for index in uplinks.indices {
      guard let changed = new.uplinks.first(where: { $0.name == uplinks[index].configuration.name }) else { continue }
      let bind = uplinks[index].configuration.bind
      uplinks[index].configuration = changed
      uplinks[index].configuration.bind = bind
      for server in changed.stunServers { resolveServer(server, now: now, into: &actions) }
    }
    updateSTUNServers(now: now, into: &actions)
    for index in uplinks.indices { updatePortMappings(index, now: now, into: &actions) }
    reconfigureTrunks(new.trunks, now: now, into: &actions)
    actions.append(.statusChanged)
  }

  /// A trunk's index is its name for legs and transactions, so trunks are never moved: those that are gone are switched
  /// off and hidden, new ones are appended.
  private mutating func reconfigureTrunks(
    _ new: [TrunkConfiguration], now: MonotonicInstant, into actions: inout [LinkAction]
  ) {
    for index in trunks.indices {
      guard let changed = new.first(where: { $0.name == trunks[index].name }) else {
        if !trunks[index].isRemoved {
          stopTrunk(index, now: now, into: &actions)
          trunks[index].isRemoved = true
          trunks[index].configuration.enabled = false
          trunks[index].status = .disabled
          told[.trunk(index)] = nil
        }
        continue
      }
      let wasRemoved = trunks[index].isRemoved
      trunks[index].isRemoved = false
      guard wasRemoved || changed != trunks[index].configuration else { continue }
      let isRegistrationTouched = changed.registrationPart != trunks[index].configuration.registrationPart
      trunks[index].configuration = changed
      guard isRegistrationTouched else { continue }
      stopTrunk(index, now: now, into: &actions)
      trunks[index].targets = []
      trunks[index].contact = nil
      trunks[index].registration = nil
      trunkWell(index)
      startTrunk(index, now: now, into: &actions)
    }
    for trunk in new where !trunks.contains(where: { $0.name == trunk.name }) {
      trunks.append(TrunkState(configuration: trunk))
      startTrunk(trunks.count - 1, now: now, into: &actions)
    }
  }
}

extension TrunkConfiguration {
  /// The configuration without what has no influence on the registration.
  fileprivate var registrationPart: TrunkConfiguration {
    var part = self
    part.numbers = []
    part.maxCalls = nil
    return part
  }
}
