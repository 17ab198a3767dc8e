import NetworkSimulator
import NetworkTypes
import PortMapping

/// A client and the router it asks, joined by a function; time passes by steps to the next deadline.
struct Office {
  static let local = IPAddress("192.168.1.10")!
  static let gateway = IPAddress("192.168.1.1")!
  static let server = Endpoint(IPAddress("203.0.113.3")!, port: 3478)
  static let publicAddress = IPAddress("198.51.100.7")!

  var client: MappingClient
  var router: MappingRouter
  var now = MonotonicInstant(nanoseconds: 5_000_000_000)
  var news: [MappingNews] = []
  var kept: [KeptLease] = []
  /// Whether the router held, at some moment, what was written down nowhere: a kill at that moment leaves it there.
  var heldUnwritten = false
  /// Datagrams and questions that left the client.
  var sent: [(at: MonotonicInstant, action: RouterAction)] = []
  /// The next so many answers of the router are lost.
  var lost = 0
  /// What is on its way to the client.
  private var coming: [RouterEvent] = []
  private var isTelling = false

  /// - Parameter old: a process that was killed; its router goes on.
  init(
    seed: UInt64 = 1, allowed: [MappingProtocol] = MappingProtocol.allCases, kept: [KeptLease] = [],
    after old: Office? = nil
  ) {
    client = MappingClient(allowed: allowed, random: RandomSource(seed: seed))
    router = old?.router ?? MappingRouter(externalAddress: Self.publicAddress, now: MonotonicInstant(nanoseconds: 0))
    if let old { now = old.now }
    self.kept = old?.kept ?? kept
    tell(.kept(self.kept))
    var actions: [RouterAction] = []
    client.start(into: &actions)
    perform(actions)
  }

  mutating func tell(_ event: RouterEvent) {
    coming.append(event)
    guard !isTelling else { return }
    isTelling = true
    defer { isTelling = false }
    while !coming.isEmpty {
      var actions: [RouterAction] = []
      client.received(coming.removeFirst(), now: now, into: &actions, news: &news)
      perform(actions)
    }
  }

  mutating func perform(_ actions: [RouterAction]) {
    for action in actions {
      switch action {
      case .findRouter: tell(.found(router: Self.gateway, local: Self.local))
      case .keep(let leases): kept = leases
      case .send(let bytes, let destination):
        sent.append((now, action))
        precondition(destination == Endpoint(Self.gateway, port: 5351))
        let answer = router.answer(bytes.span, from: Endpoint(Self.local, port: 40_000), now: now)
        noteUnwritten()
        if let answer, !isLost() { tell(.received(answer, from: destination)) }
      case .ask(let id, let request):
        sent.append((now, action))
        let answer = router.answer(request, from: Self.local, now: now)
        noteUnwritten()
        tell(.answered(id, isLost() ? .failed : answer))
      }
    }
  }

  private mutating func noteUnwritten() {
    let written = Set(kept.map(\.internalPort))
    heldUnwritten = heldUnwritten || router.entries.contains { !written.contains($0.internalPort) }
  }

  private mutating func isLost() -> Bool {
    guard lost > 0 else { return false }
    lost -= 1
    return true
  }

  mutating func request(_ wish: MappingWish) -> Int {
    var actions: [RouterAction] = []
    let id = client.request(wish, now: now, into: &actions, news: &news)
    perform(actions)
    return id ?? -1
  }

  mutating func wantAddress(_ isWanted: Bool = true) {
    var actions: [RouterAction] = []
    client.wantAddress(isWanted, peer: Self.server, now: now, into: &actions, news: &news)
    perform(actions)
  }

  mutating func release(_ id: Int) {
    var actions: [RouterAction] = []
    client.release(id, now: now, into: &actions, news: &news)
    perform(actions)
  }

  mutating func shutDown() {
    var actions: [RouterAction] = []
    client.shutDown(now: now, into: &actions, news: &news)
    perform(actions)
  }

  /// STUN sees this address, and it stays so.
  mutating func see(_ address: IPAddress) {
    var actions: [RouterAction] = []
    client.addressSeen(address, now: now, into: &actions, news: &news)
    perform(actions)
    pass(6)
  }

  /// Lets so many seconds pass.
  mutating func pass(_ seconds: Double) {
    let end = now + .milliseconds(Int64(seconds * 1000))
    var turns = 0
    while let deadline = client.nextDeadline, deadline <= end {
      now = max(now, deadline)
      var actions: [RouterAction] = []
      client.timerFired(now: now, into: &actions, news: &news)
      perform(actions)
      turns += 1
      precondition(turns < 100_000, "it never sleeps")
    }
    now = end
  }

  /// The router's announcement arrives as a datagram from its port.
  mutating func hear(_ datagrams: [[UInt8]], from address: IPAddress = Office.gateway) {
    for bytes in datagrams { tell(.received(bytes, from: Endpoint(address, port: 5351))) }
  }

  var findings: [RouterFinding] { client.findings }
}
