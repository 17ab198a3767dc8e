public import ArgumentParser
public import FirewallRules
import TrunklineDaemon

struct Firewall: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "firewall",
    abstract: "The rules that this configuration needs, in a firewall's own syntax, each with its reason.",
    discussion: """
      Names are looked up, for five seconds at most; one that has no address is named in the rules and on standard error. A
      format that nothing here can check says UNCHECKED in its first line. nftables and iptables are written for this
      machine, or for a Linux router with --for router; pf, openwrt, routeros and fritzbox are written for the router. See
      docs/firewall.md for what each rule is for.

      --apply puts the nftables rules in force on this machine, as the table inet trunkline, which is replaced at the next
      --apply and taken away by --remove; it needs root.

      Exit code 0, 64 for arguments that do not go together or without a configuration file, 78 for a bad configuration;
      with --apply or --remove 69 where there is no nft, 71 when it refuses.

      Example: trunkline firewall --format nftables
               trunkline firewall --format iptables --for router --names
               sudo trunkline firewall --format nftables --apply
      """)

  @Option(
    help: ArgumentHelp(
      "One of \(FirewallFormat.allCases.map(\.rawValue).joined(separator: ", ")).", valueName: "format"))
  var format: FirewallFormat?
  @OptionGroup var configuration: ConfigurationOption
  @Option(name: .customLong("for"), help: ArgumentHelp("Whose firewall it is: host or router.", valueName: "place"))
  var stand: FirewallFormat.Stand?
  @Flag(help: "Host names instead of addresses, where the firewall looks them up: iptables, pf, routeros, text.")
  var names = false
  @Option(
    help: ArgumentHelp(
      "nftables: rules as chains of this table of the inet family, which has the hooks.", valueName: "name"))
  var table: String?
  @Flag(help: "Load the nftables rules, as the table inet trunkline.") var apply = false
  @Flag(help: "Take the table inet trunkline away.") var remove = false

  func validate() throws {
    guard !remove || (!names && table == nil && stand == nil && format ?? .nftables == .nftables) else {
      throw ValidationError("--remove only takes the table inet trunkline of nftables away.")
    }
    guard let format else {
      if remove { return }
      throw ValidationError("--format is missing: \(FirewallFormat.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    if let stand, !format.stands.contains(stand) {
      throw ValidationError("\(format.rawValue) is not written for the \(stand.rawValue).")
    }
    if names, !format.takesNames {
      throw ValidationError("\(format.rawValue) has no names in its rules; iptables, pf, routeros and text have.")
    }
    if let table {
      guard format == .nftables else { throw ValidationError("--table belongs to --format nftables.") }
      guard RenderingOptions.isTableName(table) else {
        throw ValidationError("--table takes a name of letters, digits and _, other than trunkline.")
      }
    }
    if apply, format != .nftables || table != nil || stand == .router {
      throw ValidationError("--apply is for nftables on this machine, in the table inet trunkline.")
    }
  }

  func run() async throws {
    if remove { return try await NftablesTable.remove() }
    guard let format else { return }
    let plan = try await plan()
    for warning in plan.warnings { Console.error("trunkline: \(warning)") }
    var options = RenderingOptions(stand: stand ?? format.stands[0])
    options.usesNames = names
    options.table = table
    let text = plan.rendered(format, options)
    if apply {
      try await NftablesTable.replace(with: text)
      Console.print("The table inet trunkline is in force; `trunkline firewall --remove` takes it away.")
    } else {
      Console.print(String(text.dropLast()))
    }
  }

  private func plan() async throws -> FirewallPlan {
    guard let path = configuration.file else {
      Console.error(
        "trunkline: there is no \(ConfigurationFile.standardPath), and the embedded default, all on this machine, needs no "
          + "firewall opened but for its phones; name a file with --config")
      throw ExitCode(64)
    }
    let read = try ConfigurationOption.read(path)
    return FirewallNeeds.plan(read, origin: path, await FirewallSurroundings.current(for: read))
  }
}

extension FirewallFormat: ExpressibleByArgument {}
extension FirewallFormat.Stand: ExpressibleByArgument {}
