import ArgumentParser
import Foundation
import Subprocess

/// The table `inet trunkline` of this machine's kernel.
enum NftablesTable {
  /// Puts it in force in one transaction: the old rules hold until the new ones do.
  static func replace(with script: String) async throws {
    try await nft(["-f", "-"], script)
    guard let chains = try? await nft(["list", "chains"]) else { return }
    for table in droppingTables(chains) {
      Console.error(
        "trunkline: table \(table) drops what nothing accepts in it, and an accept in inet trunkline does not change that: "
          + "load also what `trunkline firewall --format nftables --table NAME` prints for it")
    }
  }

  /// Takes it away; there may be none.
  static func remove() async throws {
    try await nft(["-f", "-"], "table inet trunkline\ndelete table inet trunkline\n")
    Console.print("There is no table inet trunkline any more.")
  }

  /// Tables with a chain of policy drop on a hook that our packets pass, as `nft list chains` shows them.
  private static func droppingTables(_ listing: String) -> [String] {
    var table = ""
    var found: [String] = []
    for line in listing.split(separator: "\n") {
      let words = line.split { $0 == " " || $0 == "\t" }
      if words.first == "table" {
        table = words.dropFirst().prefix { $0 != "{" }.joined(separator: " ")
      } else if words.contains("drop;"), words.contains("policy"), words.contains("input") || words.contains("output"),
        table != "inet trunkline", !found.contains(table)
      {
        found.append(table)
      }
    }
    return found
  }

  /// What nft printed. Exits with 69 where there is none, with 71 when it refuses.
  @discardableResult private static func nft(_ arguments: [String], _ input: String = "") async throws -> String {
    // Debian keeps it where only root's PATH leads.
    let path = (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/sbin:/sbin"
    do {
      let result = try await run(
        .name("nft"), arguments: Arguments(arguments), environment: .inherit.updating(["PATH": path]),
        input: .string(input), output: .string(limit: 1 << 24), error: .string(limit: 1 << 20))
      guard result.terminationStatus.isSuccess else {
        let said = result.standardError.split(separator: "\n").prefix(3).joined(separator: " ")
        Console.error("trunkline: nft refused: \(said)")
        throw ExitCode(71)
      }
      return result.standardOutput
    } catch let error as SubprocessError {
      guard error.code == .executableNotFound else {
        Console.error("trunkline: nft cannot be run: \(error)")
        throw ExitCode(71)
      }
      Console.error("trunkline: there is no nft on this machine (package nftables)")
      throw ExitCode(69)
    }
  }
}
