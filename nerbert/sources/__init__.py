"""Open, find and download files: plain or packed, on this machine or at an address; the only HTTP client."""
