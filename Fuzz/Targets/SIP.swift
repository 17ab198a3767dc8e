import SIPSyntax

func examine(_ bytes: [UInt8]) {
  guard let message = try? SIPMessage(parsing: bytes.span) else {
    examineValues(bytes)
    return
  }
  let written = message.serialized()
  let again = try? SIPMessage(parsing: written.span)
  require(again == message, "What is serialised reads as the same message.")
  require(again?.problem() == message.problem(), "It has the same problem.")
  require(bytes.count > 65_536 || written.count <= bytes.count, "An untouched message does not grow.")
  if message.problem() == nil { examineRight(message) }
  for field in message.fields {
    _ = message.hasToken("timer", in: field.name)
    for value in message.values(field.name) { examineText(value) }
    _ = try? message.nameAddresses(field.name)
  }
  _ = (message.maxForwards, message.expires, message.contentTypeText, message.callIDRange, message.contentLength)
  _ = (message.method, message.reason, message.version, message.body, message.description)
  examineChanges(message)
}

/// A message without a problem gives every typed value, and the views point at the same text.
func examineRight(_ message: SIPMessage) {
  do {
    let from = try message.from()
    let to = try message.to()
    require(message.fromTag == from.tag && message.toTag == to.tag, "The tag is the same by view and by value.")
    let vias = try message.vias()
    require(try message.topVia() == vias.first, "The top Via is the first.")
    require(try message.cSeq().method == message.method, "CSeq names the method.")
    require(message.callID?.isEmpty == false, "There is a Call-ID.")
    for address in try [from, to] + message.contacts() + message.routes() + message.recordRoutes() { examine(address) }
    for via in vias { require((try? Via(parsing: via.description)) == via, "A Via survives its text.") }
    if message.isRequest { examine(try message.requestURI()) }
  } catch {
    fatalError("A message without a problem gave \(error).")
  }
  guard message.isRequest else { return }
  for status in [100, 180, 486] {
    let response = SIPMessage(responding: message, status: status, toTag: "t")
    let written = response.serialized()
    let again = try? SIPMessage(parsing: written.span)
    require(again == response && again?.problem() == nil, "The answer to a right request is right.")
    require(again?.callID == message.callID && again?.fromTag == message.fromTag, "It belongs to the request.")
    require(again?.toTag == message.toTag || (status > 100 && again?.toTag == "t"), "It has a tag.")
  }
}

func examine(_ address: NameAddress) {
  require((try? NameAddress(parsing: address.description)) == address, "An address survives its text.")
  examine(address.uri)
}

func examine(_ uri: SIPURI) {
  require((try? SIPURI(parsing: uri.description)) == uri, "A URI survives its text.")
  require(uri.isEquivalent(to: uri), "A URI is equivalent to itself.")
  _ = (uri.address, uri.user, uri.password)
}

/// Hostile text as a value of ours: it stays in its line.
func examineChanges(_ original: SIPMessage) {
  guard original.fieldCount < 250 else { return }
  var message = original
  let hostile = String(decoding: original.body.prefix(64), as: UTF8.self)
  message.set(HeaderName("X-Mark"), "mark")
  message.add(.subject, hostile)
  message.prepend(HeaderName(hostile), hostile)
  message.replaceFirstValue(.via, "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1")
  message.removeFirstValue(.route)
  message.setBody(original.body, contentType: hostile)
  let written = message.serialized()
  guard let again = try? SIPMessage(parsing: written.span) else { fatalError("A changed message can be read.") }
  require(again == message, "It reads as it was changed.")
  require(again.fieldCount == message.fieldCount, "No value brought a field of its own.")
  require(again.value(HeaderName("X-Mark")) == "mark", "The change is in it.")
  require(again.body == original.body, "The body is the same.")
  require((try? again.topVia().branch) == "z9hG4bK1", "The Via is the new one.")
}

/// What is no message is given to the parsers of single values.
func examineValues(_ bytes: [UInt8]) { examineText(String(decoding: bytes.prefix(256), as: UTF8.self)) }

func examineText(_ text: String) {
  if let uri = try? SIPURI(parsing: text) { examine(uri) }
  if let address = try? NameAddress(parsing: text) { examine(address) }
  if let via = try? Via(parsing: text) {
    require((try? Via(parsing: via.description)) == via, "A Via survives its text.")
  }
  if let cSeq = try? CSeq(parsing: text) {
    require((try? CSeq(parsing: cSeq.description)) == cSeq, "A CSeq survives its text.")
  }
  if let parameters = try? AuthParameters(parsing: text) {
    require((try? AuthParameters(parsing: parameters.description)) == parameters, "Credentials survive their text.")
  }
}
