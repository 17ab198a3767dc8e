"""What the cases are made of: namespaces with a NAT router between them, a provider, telephones, a capture, the daemon."""
