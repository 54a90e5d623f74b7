"""Talking to servers: requests that are tried again, downloads that resume, credentials."""
