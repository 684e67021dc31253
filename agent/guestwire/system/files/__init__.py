"""Files that stay open between requests, and base64 as hosts send it."""
