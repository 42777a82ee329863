"""The wasimoff.v1 wire, shared by broker, provider and client: schema, generated classes, codec. Only protobuf."""
