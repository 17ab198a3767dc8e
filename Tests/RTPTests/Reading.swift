import RTP

// A span cannot be captured by the macros of the tests; arrays can.
func readHeader(_ bytes: [UInt8]) -> RTPHeader? { RTPHeader.decode(bytes.span) }
func readKind(_ bytes: [UInt8]) -> PacketKind { PacketKind.classify(bytes.span) }
func readReport(_ bytes: [UInt8]) -> RTCPReport? { RTCPReport.decode(bytes.span) }
func isCompound(_ bytes: [UInt8]) -> Bool { RTCPCompound.isValid(bytes.span) }
