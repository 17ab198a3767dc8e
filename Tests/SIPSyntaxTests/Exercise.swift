import SIPSyntax

/// Reads the bytes and asks for everything; nothing may crash, whatever they are. Answers whether they were a message.
@discardableResult
func exercise(_ bytes: [UInt8]) -> Bool {
  guard let message = try? read(bytes) else { return false }
  _ = message.problem()
  _ = (message.method, message.status, message.reason, message.requestURIText, message.description)
  _ = (message.callID, message.fromTag, message.toTag, message.maxForwards, message.expires, message.contentTypeText)
  _ = message.body
  if let uri = try? message.requestURI() { _ = (uri.description, uri.user, uri.address) }
  _ = try? (message.vias(), message.topVia().description, message.cSeq())
  _ = try? (message.from().description, message.to().description)
  _ = try? (message.contacts(), message.routes(), message.recordRoutes())
  for field in message.fields {
    _ = message.values(field.name)
    _ = message.hasToken("100rel", in: field.name)
    _ = try? message.nameAddresses(field.name)
    _ = try? AuthParameters(parsing: field.value).description
  }
  return true
}
