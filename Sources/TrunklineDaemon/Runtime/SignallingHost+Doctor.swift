import DatagramSockets
public import LinkManager

/// The doctor, asked from other threads.
extension SignallingHost {
  /// Has the link examine what it needs; `nil` where an examination lasts already, or the link is about to end.
  ///
  /// - Parameter progress: is given a few words now and then, on the signalling thread.
  public func examine(
    _ request: DoctorRequest, progress: @escaping @Sendable (String) -> Void = { _ in }
  ) async -> DoctorReport? {
    await withCheckedContinuation { continuation in
      loop.post { [self] in
        guard examination == nil else { return continuation.resume(returning: nil) }
        examination = (progress: progress, finish: { continuation.resume(returning: $0) })
        if !apply(.examinationAsked(request)) { endExamination(nil) }
      }
    }
  }

  func doctorTold(_ event: DoctorEvent) {
    switch event {
    case .progressed(let stage): examination?.progress(stage)
    case .finished(let report): endExamination(report)
    }
  }

  private func endExamination(_ report: DoctorReport?) {
    let ended = examination
    examination = nil
    ended?.finish(report)
  }
}
