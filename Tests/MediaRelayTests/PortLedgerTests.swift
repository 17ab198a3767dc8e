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
