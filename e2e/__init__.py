"""The whole thing, for real: a broker process, Chromium, the pages as they are served."""
