"""The cache on disk: manifest, shards, reading and writing."""
