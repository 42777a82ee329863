"""The broker's rules, pure: `State.handle(event, now)` gives instructions. No IO, clock, random, logging or protobuf."""
