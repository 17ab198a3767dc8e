/// The timers of one machine: a row a timer, at most one deadline a row.
///
/// A machine names its timers in an enumeration as the RFC does and asks for one wake-up, ``nextDeadline``. Rows fire in
/// the order of their deadlines, and of their setting where two are equal, so that a seed always replays alike.
public struct TimerTable<Name: Hashable & Sendable>: Sendable {
  // What follows is inlinable since machines of other modules look at their deadline with every input.
  @usableFromInline struct Row: Sendable {
    @usableFromInline let name: Name
    @usableFromInline let deadline: MonotonicInstant
    @usableFromInline let order: UInt64

    @inlinable init(name: Name, deadline: MonotonicInstant, order: UInt64) {
      self.name = name
      self.deadline = deadline
      self.order = order
    }
  }

  /// A binary heap by (deadline, order), with rows that a later setting has replaced left in place until they surface.
  @usableFromInline var heap: [Row] = []
  @usableFromInline var current: [Name: UInt64] = [:]
  @usableFromInline var nextOrder: UInt64 = 0

  @inlinable public init() {}

  /// The moment at which ``popDue(now:)`` will next have something; `nil` when nothing is set.
  @inlinable public var nextDeadline: MonotonicInstant? { heap.first?.deadline }

  /// How many timers are set.
  @inlinable public var count: Int { current.count }

  @inlinable public var isEmpty: Bool { current.isEmpty }

  /// How many of the timers that are set have such a name.
  @inlinable public func count(where condition: (Name) -> Bool) -> Int { current.keys.count { condition($0) } }

  /// When that timer fires; `nil` where it is not set. It looks at every row.
  @inlinable public func deadline(of name: Name) -> MonotonicInstant? {
    guard let order = current[name] else { return nil }
    return heap.first { $0.order == order }?.deadline
  }

  @inlinable public func isSet(_ name: Name) -> Bool { current[name] != nil }

  /// Sets or moves the timer `name`.
  @inlinable public mutating func set(_ name: Name, at deadline: MonotonicInstant) {
    nextOrder += 1
    current[name] = nextOrder
    heap.append(Row(name: name, deadline: deadline, order: nextOrder))
    siftUp(heap.count - 1)
    if heap.count > 2 * current.count + 16 { compact() }
    dropStale()
  }

  @inlinable public mutating func cancel(_ name: Name) {
    guard current.removeValue(forKey: name) != nil else { return }
    dropStale()
  }

  /// Takes the next timer whose deadline is not after `now`; `nil` when none is due.
  @inlinable public mutating func popDue(now: MonotonicInstant) -> Name? {
    guard let first = heap.first, first.deadline <= now else { return nil }
    removeFirst()
    current.removeValue(forKey: first.name)
    dropStale()
    return first.name
  }

  @inlinable mutating func dropStale() {
    while let first = heap.first, current[first.name] != first.order { removeFirst() }
  }

  @inlinable mutating func compact() {
    let rows = heap.filter { current[$0.name] == $0.order }
    heap.removeAll(keepingCapacity: true)
    for row in rows {
      heap.append(row)
      siftUp(heap.count - 1)
    }
  }

  @inlinable mutating func removeFirst() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    siftDown(0)
  }

  @inlinable func precedes(_ left: Int, _ right: Int) -> Bool {
    (heap[left].deadline, heap[left].order) < (heap[right].deadline, heap[right].order)
  }

  @inlinable mutating func siftUp(_ start: Int) {
    var index = start
    while index > 0, precedes(index, (index - 1) / 2) {
      heap.swapAt(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  @inlinable mutating func siftDown(_ start: Int) {
    var index = start
    while true {
      var least = index
      for child in [2 * index + 1, 2 * index + 2] where child < heap.count && precedes(child, least) { least = child }
      if least == index { return }
      heap.swapAt(index, least)
      index = least
    }
  }
}
