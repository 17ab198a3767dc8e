/// A firewall whose words we know.
public enum FirewallFormat: String, CaseIterable, Sendable {
  case nftables, iptables, pf, openwrt, routeros, windows, fritzbox, text

  /// Where its rules stand.
  public enum Stand: String, CaseIterable, Sendable {
    /// On the machine that Trunkline runs on.
    case host
    /// On the router between that machine and the internet.
    case router
  }

  /// The places that it can be written for, the usual one first.
  public var stands: [Stand] {
    switch self {
    case .nftables, .iptables, .text: [.host, .router]
    case .windows: [.host]
    case .pf, .openwrt, .routeros, .fritzbox: [.router]
    }
  }

  /// Whether a host name can stand in a rule instead of addresses.
  public var takesNames: Bool {
    switch self {
    case .iptables, .pf, .routeros, .text: true
    // nft takes a name only where it has a single address, uci and New-NetFirewallRule take none, and a FRITZ!Box is
    // not told who may use a port.
    case .nftables, .openwrt, .windows, .fritzbox: false
    }
  }

  /// Who has read what this format says: the first line of every rendering.
  public var verification: String {
    switch self {
    case .nftables: "Checked: loaded by nft, with calls through a firewall that drops everything else"
    case .iptables:
      "Checked: loaded by iptables-restore and ip6tables-restore, with calls through a firewall that drops everything else"
    case .windows: "Syntax checked by a PowerShell grammar (tree-sitter); never run: UNCHECKED on Windows"
    case .pf: "UNCHECKED: there is no reader of pf.conf here; `pfctl -nf FILE` reads it without loading it"
    case .openwrt:
      "Syntax checked by a reader of UCI files (uciparse); never loaded: UNCHECKED on OpenWrt, see `uci changes firewall`"
    case .routeros: "UNCHECKED: there is no RouterOS here; `/import FILE dry-run` reads it without running it"
    case .fritzbox: "UNCHECKED: steps for a person, written without a FRITZ!Box at hand; menus differ between versions"
    case .text: "UNCHECKED: a list for people; no firewall reads it"
    }
  }
}

/// How a plan is to be written.
public struct RenderingOptions: Sendable, Equatable {
  public var stand: FirewallFormat.Stand
  /// Host names instead of addresses, where the firewall looks them up itself.
  public var usesNames = false
  /// nftables: the name of the `inet` table with hooks of its own that the rules are for, as chains to jump to; `nil`
  /// for a table of their own.
  public var table: String?

  public init(stand: FirewallFormat.Stand) { self.stand = stand }

  /// Whether `text` can be ``table``: letters, digits and `_`, and not the name of our own.
  public static func isTableName(_ text: String) -> Bool {
    (1...60).contains(text.utf8.count) && text != "trunkline" && text.first?.isLetter == true
      && text.unicodeScalars.allSatisfy { scalar in
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "_": true
        default: false
        }
      }
  }
}

extension FirewallPlan {
  /// The rules in the words of one firewall, ending with a line break.
  public func rendered(_ format: FirewallFormat, _ options: RenderingOptions) -> String {
    var options = options
    options.usesNames = options.usesNames && format.takesNames
    return switch format {
    case .nftables: NftablesRendering(plan: self, options: options).text
    case .iptables: IptablesRendering(plan: self, options: options).text
    case .pf: PFRendering(plan: self, options: options).text
    case .openwrt: OpenWrtRendering(plan: self).text
    case .routeros: RouterOSRendering(plan: self, options: options).text
    case .windows: WindowsRendering(plan: self).text
    case .fritzbox: FritzBoxRendering(plan: self).text
    case .text: TextRendering(plan: self, options: options).text
    }
  }

  /// What every rendering begins with.
  func heading(
    _ format: FirewallFormat, mark: String, usesNames: Bool = false, _ lines: [String] = []
  ) -> [String] {
    var result = [
      RuleText.comment(mark, "\(format.verification)."), RuleText.comment(mark, "What Trunkline needs by \(origin)."),
      RuleText.comment(
        mark,
        usesNames
          ? "Names stand for themselves; most firewalls look them up when they load the rules, and not again."
          : "Addresses are those that names had now: make it again when a provider or a STUN server moves."),
    ]
    result += lines.map { RuleText.comment(mark, $0) }
    result += warnings.map { RuleText.comment(mark, "WARNING: \($0).") }
    return result
  }
}
