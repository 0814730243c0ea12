"""Open, find and download files: plain or compressed, local or remote; the only HTTP client."""
