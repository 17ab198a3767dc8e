import MediaRelay
import Testing

@Suite struct PortLedgerTests {
  @Test(
    arguments: [
      (55000...55999, 500, 55000), (55001...55005, 2, 55002), (7...8, 0, nil), (65534...65535, 1, 65534),
      (9...9, 0, nil),
      (65535...65535, 0, nil),
    ] as [(ClosedRange<UInt16>, Int, UInt16?)])
  func pairsLieWithinTheRange(_ range: ClosedRange<UInt16>, _ capacity: Int, _ first: UInt16?) {
    var ledger = PortLedger(range)
    #expect(ledger.capacity == capacity)
    #expect(ledger.take() == first)
  }

  @Test(
    arguments: [
      (100...105, 8, [100, 102, 104]), (100...119, 4, [100, 106, 112, 118]), (100...101, 8, [100]), (7...8, 8, []),
      (55000...55999, 8, [55000, 55142, 55284, 55426, 55570, 55712, 55854, 55998]), (100...105, 0, []),
    ] as [(ClosedRange<UInt16>, Int, [UInt16])])
  func aSpreadReachesBothEnds(_ range: ClosedRange<UInt16>, _ count: Int, _ ports: [UInt16]) {
    #expect(PortLedger(range).spread(count) == ports)
  }

  @Test func theNearestFreePairIsTaken() {
    var ledger = PortLedger(100...109)
    #expect(ledger.take() == 100)
    #expect(ledger.take(near: 100) == 102 && ledger.take(near: 108) == 108 && ledger.take(near: 108) == 106)
    ledger.markUnusable(106)
    #expect(ledger.take(near: 108, butNot: [106]) == 104 && ledger.take(near: 108) == 106)
    #expect(ledger.take(near: 108) == nil && ledger.inUse == 5 && !ledger.hasFree)
    // Whoever takes in turn goes on where they were.
    for port in [100, 102, 104, 106, 108] as [UInt16] { ledger.giveBack(port) }
    #expect(ledger.take() == 102 && ledger.hasFree)
  }

  @Test func aPortRestsAfterUse() {
    var ledger = PortLedger(100...105)
    #expect(ledger.take() == 100)
    ledger.giveBack(100)
    #expect(ledger.take() == 102 && ledger.take() == 104 && ledger.take() == 100 && ledger.take() == nil)
    #expect(ledger.inUse == 3)
    ledger.giveBack(102)
    ledger.giveBack(102)
    ledger.giveBack(103)
    ledger.giveBack(9)
    #expect(ledger.inUse == 2 && ledger.take() == 102)
  }

  @Test func whatTheSystemRefusedComesLast() {
    var ledger = PortLedger(100...105)
    #expect(ledger.take() == 100)
    ledger.markUnusable(100)
    #expect(ledger.inUse == 0)
    #expect(ledger.take() == 102 && ledger.take() == 104 && ledger.take() == 100)
  }
}
