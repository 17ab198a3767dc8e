import DatagramSockets
public import LinkManager

/// The doctor, asked from other threads.
extension SignallingHost {
  /// Has the link examine what it needs; `nil` where an examination lasts already, or the link is about to end.
  public func examine(_ request: DoctorRequest) async -> DoctorReport? {
    await withCheckedContinuation { continuation in
      loop.post { [self] in
        guard examination == nil else { return continuation.resume(returning: nil) }
        examination = { continuation.resume(returning: $0) }
        if !apply(.examinationAsked(request)) { endExamination(nil) }
      }
    }
  }

  /// How far the examination is that lasts, or how the last one ended.
  public func examinationProgress() async -> DoctorProgress {
    await run { $0.link.examination(now: SystemClock.now()) ?? $0.lastExamination }
  }

  func endExamination(_ report: DoctorReport?) {
    let ended = examination
    examination = nil
    ended?(report)
  }
}
