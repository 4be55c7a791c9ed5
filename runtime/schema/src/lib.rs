//! Contracts in the words of Avro, Protobuf and JSON Schema, and the registry that keeps them.
