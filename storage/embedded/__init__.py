"""The embedded PostgreSQL and SeaweedFS: real servers in a data directory of the operator's."""
