"""The provider's rules, pure: `State.handle(event, now)` gives instructions. No IO, clock, protobuf, js or wasmtime."""
