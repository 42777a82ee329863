"""The client: its cores alone, against a scripted peer, and against the real broker and provider."""
