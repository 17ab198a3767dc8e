import Glibc

/// What a process of ours sets for itself before it begins.
public enum ProcessSetup {
  /// For a daemon: a reader of its output who goes does not end it, and where it was started without one of the standard
  /// streams, no socket takes that stream's number and then the log.
  public static func prepareForDaemon() {
    signal(SIGPIPE, SIG_IGN)
    for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) == -1 {
      // The lowest free number is taken, which is this one; the path is a string of ours.
      _ = unsafe open("/dev/null", descriptor == 0 ? O_RDONLY : O_WRONLY)
    }
  }

  /// For a client of something on this machine: HTTP goes there directly, whatever proxy the environment names.
  public static func bypassProxies() {
    // Both strings are copied; called before any other thread reads the environment.
    unsafe setenv("no_proxy", "*", 1)
  }
}
