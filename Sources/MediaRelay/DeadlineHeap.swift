import NetworkTypes

/// One deadline for each of the slots 0, 1, 2, …: a binary heap that knows where each slot stands. Setting and taking
/// allocate nothing once the slots exist. Equal deadlines come in the order of the slots.
struct DeadlineHeap: Sendable {
  private var heap: [Int] = []
  /// Where the slot stands in `heap`; −1 when it has no deadline.
  private var place: [Int] = []
  private var deadlines: [MonotonicInstant] = []

  var nextDeadline: MonotonicInstant? { heap.isEmpty ? nil : deadlines[heap[0]] }

  /// Sets, moves or, with `nil`, removes the deadline of `slot`.
  mutating func set(_ slot: Int, at deadline: MonotonicInstant?) {
    while place.count <= slot {
      place.append(-1)
      deadlines.append(MonotonicInstant(nanoseconds: 0))
    }
    guard let deadline else {
      remove(slot)
      return
    }
    deadlines[slot] = deadline
    if place[slot] < 0 {
      place[slot] = heap.count
      heap.append(slot)
    }
    siftUp(place[slot])
    siftDown(place[slot])
  }

  /// The slot whose deadline is the earliest and not after `now`. It stays until it is set anew.
  func firstDue(now: MonotonicInstant) -> Int? {
    guard let first = heap.first, deadlines[first] <= now else { return nil }
    return first
  }

  private mutating func remove(_ slot: Int) {
    let index = place[slot]
    guard index >= 0 else { return }
    let last = heap.count - 1
    swap(index, last)
    heap.removeLast()
    place[slot] = -1
    if index < last {
      siftUp(index)
      siftDown(index)
    }
  }

  private func precedes(_ left: Int, _ right: Int) -> Bool {
    (deadlines[heap[left]], heap[left]) < (deadlines[heap[right]], heap[right])
  }

  private mutating func swap(_ left: Int, _ right: Int) {
    heap.swapAt(left, right)
    place[heap[left]] = left
    place[heap[right]] = right
  }

  private mutating func siftUp(_ start: Int) {
    var index = start
    while index > 0, precedes(index, (index - 1) / 2) {
      swap(index, (index - 1) / 2)
      index = (index - 1) / 2
    }
  }

  private mutating func siftDown(_ start: Int) {
    var index = start
    while true {
      var least = index
      let child = 2 * index + 1
      if child < heap.count, precedes(child, least) { least = child }
      if child + 1 < heap.count, precedes(child + 1, least) { least = child + 1 }
      if least == index { return }
      swap(index, least)
      index = least
    }
  }
}
