import NetworkTypes

/// What will happen, in the order of its time, and of its entering where times are equal.
struct EventQueue<Event: Sendable>: Sendable {
  private struct Entry: Sendable {
    let time: MonotonicInstant
    let order: UInt64
    let event: Event
  }

  private var heap: [Entry] = []
  private var nextOrder: UInt64 = 0

  var count: Int { heap.count }
  var nextTime: MonotonicInstant? { heap.first?.time }

  mutating func insert(_ event: Event, at time: MonotonicInstant) {
    heap.append(Entry(time: time, order: nextOrder, event: event))
    nextOrder += 1
    var index = heap.count - 1
    while index > 0, precedes(index, (index - 1) / 2) {
      heap.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  /// Takes the next event that is due by `limit`.
  mutating func pop(by limit: MonotonicInstant) -> (time: MonotonicInstant, event: Event)? {
    guard let first = heap.first, first.time <= limit else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var index = 0
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2] where child < heap.count && precedes(child, least) { least = child }
      if least == index { break }
      heap.swapAt(index, least)
      index = least
    }
    return (first.time, first.event)
  }

  private func precedes(_ left: Int, _ right: Int) -> Bool {
    (heap[left].time, heap[left].order) < (heap[right].time, heap[right].order)
  }
}
