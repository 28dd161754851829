"""The archive: what is old, in compressed files that a chain of hashes holds together, in a folder or an S3-compatible store."""
