/// The loop as the executor of actors: one whose `unownedExecutor` is the loop runs on its thread, and its handler methods reach
/// its state by `assumeIsolated`, without a lock and without a hop.
extension DatagramLoop: SerialExecutor {
  public func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    // The runtime keeps the job alive until it has run, which it does once.
    post { unsafe job.runSynchronously(on: self.asUnownedSerialExecutor()) }
  }

  public func checkIsolated() {
    precondition(isCurrent, "\(name): not on the loop's thread")
  }
}
